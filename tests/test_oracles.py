"""Layers, losses, optimisers and whole trainings give the numbers of PyTorch and Keras.

The numbers were frozen by ``oracles/make.py``, which says what was asked, and neither framework is needed to read them.
Where one is installed, it is asked again with other random numbers.
"""

import copy

import numpy as np
import pytest
from oracles.make import CASES, FOLDER, KERAS_CASES, LOSSES, MODELS, OPTIMIZERS, QUESTIONS, STEPS, answer, unpack

from minilstm import LSTM, Sequential, use_numba
from minilstm.activations import get_activation
from minilstm.fast import choose_plan
from minilstm.fast.plan import choose
from minilstm.keras.interop import from_keras, from_torch, to_keras, to_torch
from minilstm.layers import lstm
from minilstm.layers.base import padding_mask
from minilstm.losses import BinaryCrossentropy
from minilstm.optimizers import RMSprop
from minilstm.tools.report import wrong_place
from minilstm.training import Shard, forward, train_step

TOLERANCE = {"float64": 1e-9, "float32": 1e-5}  # of the largest entry
LAYERS = {f"Keras: {name}": case for name, case in (CASES | KERAS_CASES).items()}
LAYERS |= {f"PyTorch: {name}": case for name, case in CASES.items()}

every_dtype = pytest.mark.parametrize("dtype", TOLERANCE)
both_paths = pytest.mark.parametrize("twins", [False, True], ids=["textbook", "twins"])


@pytest.fixture(scope="module")
def frozen():
    """All frozen records, by the name of their case."""
    records = {}
    for file in QUESTIONS:
        with np.load(FOLDER / f"{file}.npz") as archive:
            records |= archive
    return records


def assert_close(got, expected, dtype, what="result", gates=()):
    """Compare with a framework's numbers; where they differ, say in what, where, and of an LSTM in which gates."""
    assert got.shape == expected.shape, f"{what} has shape {got.shape}, expected {expected.shape}"
    assert got.dtype == dtype, f"{what} is {got.dtype}, expected {dtype}"
    if place := wrong_place(got, expected, TOLERANCE[dtype], gates):
        pytest.fail(f"{what} is not the framework's: {place}")


def as_theirs(framework, layers):
    """The parameters of all layers as the framework names or numbers them."""
    if framework == "Keras":
        return dict(enumerate(array for layer in layers for array in to_keras(layer)))
    learning = [layer for layer in layers if layer.params]
    return {name: array for k, layer in enumerate(learning) for name, array in to_torch(layer, level=k).items()}


def load_theirs(framework, model, arrays):
    """Undo :func:`as_theirs`."""
    if framework == "Keras":
        from_keras(model, list(arrays.values()))
    else:
        for k, layer in enumerate(layer for layer in model.layers if layer.params):
            from_torch(layer, arrays, level=k)


def check_layers(name, numbers, dtype="float64", twins=True):
    """With the framework's weights, outputs and gradients are the framework's."""
    framework, case, x = name.split(":")[0], LAYERS[name], numbers["x"]
    model = Sequential(copy.deepcopy(case.layers), dtype=dtype)
    model.build(case.shape[1:])
    like = as_theirs(framework, model.layers)
    load_theirs(framework, model, dict(zip(like, unpack(numbers["weights"], like.values()), strict=True)))
    grads = {}
    runners = choose(model.layers)[0] if twins else model.layers
    y, caches = forward(runners, x.astype(dtype) if x.dtype.kind == "f" else x, case.lengths)
    dx = numbers["dy"].astype(dtype)
    for runner, cache in zip(reversed(runners), reversed(caches), strict=True):
        dx, grads[runner.name] = runner.backward(dx, cache)
    if case.lengths is not None and y.ndim == 3:
        y = y * padding_mask(case.lengths, y.shape[1])[:, :, None]
    assert_close(y, numbers["y"], dtype, "y")
    if dx is not None:
        assert_close(dx, numbers["dx"], dtype, "dx")
    for layer in model.layers:
        for param, p in layer.params.items():
            p[...] = grads[layer.name][param]  # so that they can be told in the framework's layout
    got = as_theirs(framework, model.layers)
    for (what, g), expected in zip(got.items(), unpack(numbers["grads"], got.values()), strict=True):
        gates = LSTM.gates if framework == "Keras" and any(layer.gates for layer in model.layers) else ()
        assert_close(g, expected, dtype, f"the gradient of weight {what}", gates)


def check_states(name, numbers, dtype="float64"):
    """An LSTM that starts at a given state, and of which all outputs are used; the twin always starts at zero."""

    def read(*names):
        return [numbers[name].astype(dtype) for name in names]

    layer = LSTM(3)
    layer.build(numbers["x"].shape[1:], np.random.default_rng(0), dtype)
    from_torch(layer, {name: numbers[name] for name in to_torch(layer)})
    outputs, cache = lstm.lstm_forward(*read("x"), *layer.params.values(), *read("h0", "c0"))
    dx, grads, dh0, dc0 = lstm.lstm_backward(*read("dy", "dh", "dc"), cache)
    for got, symbol in zip((*outputs, dx, dh0, dc0), ("y", "h", "c", "dx", "dh0", "dc0"), strict=True):
        assert_close(got, numbers[symbol], dtype, symbol)
    for name, theirs in (("W", "dweight_ih_l0"), ("U", "dweight_hh_l0"), ("b", "dbias_ih_l0")):
        assert_close(grads[name], numbers[theirs].T, dtype, f"d{name}", LSTM.gates)


def check_losses(name, numbers, dtype="float64"):
    """A loss, and its gradient behind an activation."""
    activation, loss = LOSSES[name]
    phi = get_activation(activation)
    z, y = numbers["z"].astype(dtype), numbers["y"].astype(dtype)
    p = phi.forward(z)
    assert_close(np.asarray(loss.forward(p, y)), numbers["L"], dtype)
    assert_close(phi.backward(loss.backward(p, y), p), numbers["dz"], dtype)


def check_optimizers(name, numbers, dtype="float64"):
    """Each of five steps leads to where the framework's leads."""
    optimizer, p = OPTIMIZERS[name].fresh(), numbers["p"].astype(dtype)
    for g, expected in zip(numbers["grads"].astype(dtype), numbers["path"], strict=True):
        optimizer.step({"a": p[:6], "b": p[6:]}, {"a": g[:6], "b": g[6:]})
        assert_close(p, expected, dtype)


def check_models(name, numbers, twins=True):
    """The loss at each step of a training, and that it fell."""
    model = Sequential(copy.deepcopy(MODELS[name]), dtype="float64")
    from_keras(model, unpack(numbers["weights"], to_keras(model)))
    x, y, loss = numbers["x"], numbers["y"], BinaryCrossentropy()
    lengths = (x > 0).sum(axis=1)
    with use_numba(twins):
        plan = choose_plan(model.layers, RMSprop())
    losses = [train_step(plan, loss, [Shard(x, lengths, y)], model.rng)[0][1] / len(y) for _ in range(STEPS)]
    np.testing.assert_allclose(losses, numbers["losses"], rtol=1e-8, atol=0)
    assert losses[-1] < losses[0]


def test_all_that_is_asked_was_answered(frozen):
    assert set(frozen) == {name for questions in QUESTIONS.values() for name in questions}


@both_paths
@every_dtype
@pytest.mark.parametrize("name", LAYERS)
def test_outputs_and_gradients_of_layers_are_those_of_the_frameworks(name, dtype, twins, frozen):
    check_layers(name, frozen[name], dtype, twins)


@every_dtype
def test_an_lstm_started_at_a_given_state_gives_the_states_and_gradients_of_pytorch(dtype, frozen):
    check_states("", frozen["an LSTM's states"], dtype)


@every_dtype
@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_their_gradients_are_those_of_keras(name, dtype, frozen):
    if dtype == "float32" and "certainties" in name:
        return  # they are clipped to 1 - 1e-7, for which float32 has no number
    check_losses(name, frozen[name], dtype)


@every_dtype
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_five_steps_of_each_optimiser_lead_where_those_of_keras_lead(name, dtype, frozen):
    check_optimizers(name, frozen[name], dtype)


@both_paths
@pytest.mark.parametrize("name", MODELS)
def test_twenty_steps_of_training_give_the_losses_of_keras(name, twins, frozen):
    check_models(name, frozen[name], twins)


@pytest.mark.filterwarnings("ignore")  # those of the frameworks
@pytest.mark.parametrize("file", QUESTIONS)
def test_with_other_random_numbers_the_frameworks_give_the_same_where_installed(file):
    framework, what = file.split("_")
    for module in ("tensorflow", "keras") if framework == "keras" else ("torch",):
        imported = pytest.importorskip(module, reason=f"{module} is not installed; its frozen numbers were compared")
    if framework == "keras" and imported.backend.backend() != "tensorflow":
        pytest.skip("Keras runs on another backend than TensorFlow; its frozen numbers were compared")
    check = {
        "layers": check_layers,
        "losses": check_losses,
        "models": check_models,
        "optimizers": check_optimizers,
        "states": check_states,
    }[what]
    for name, question in QUESTIONS[file].items():
        check(name, answer(question, seed=1))
