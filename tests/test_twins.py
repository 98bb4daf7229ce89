"""Every twin computes what its textbook computes: on ragged batches, in every mode, in whole steps of training.

``python -m minilstm.fast.verify`` runs this file, and records what the twins were verified against where it passes.
The twins are made here whatever the records say.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilstm import (
    LSTM,
    SGD,
    Adam,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    GlobalMaxPooling1D,
    MaxPooling1D,
    RMSprop,
    Sequential,
)
from minilstm.data import text
from minilstm.data.batching import shards
from minilstm.fast import Plan, choose_plan, kernels
from minilstm.fast.optimizers import OPTIMIZER_TWINS
from minilstm.fast.plan import ROOTS, TWINS
from minilstm.fast.rows import RowGradient, UniqueRows
from minilstm.fast.threads import threads
from minilstm.fast.twin import Twin, takes_rows
from minilstm.losses import BinaryCrossentropy
from minilstm.training import Shard, train_step

LIMIT = {"float64": 1e-10, "float32": 1e-5}  # of the largest number that the textbook gives
UNBOUNDED = ("LSTM recurrent relu", "LSTM recurrent linear")  # gates above 1, or at a kink, let rounding grow in both
V, D, H = 7, 3, 4

every_dtype = pytest.mark.parametrize("dtype", LIMIT)
batches = given(st.lists(st.integers(0, 12), min_size=1, max_size=5), st.integers(0, 10_000))

LAYERS = {
    "Embedding": lambda: Embedding(V, D),
    "Embedding with dropout": lambda: Embedding(V, D, dropout=0.4),
    **{
        f"LSTM {phi} {sigma}": lambda phi=phi, sigma=sigma: LSTM(H, phi, sigma, return_sequences=True)
        for phi, sigma in itertools.product(("tanh", "sigmoid", "relu", "linear"), ("tanh", "sigmoid"))
    },
    "LSTM recurrent relu": lambda: LSTM(H, "tanh", "relu"),
    "LSTM recurrent linear": lambda: LSTM(H, "sigmoid", "linear"),
    "LSTM last state": lambda: LSTM(H),
    "LSTM backwards": lambda: LSTM(H, return_sequences=True, go_backwards=True),
    "LSTM backwards, last state": lambda: LSTM(H, go_backwards=True),
    "LSTM with dropout": lambda: LSTM(H, return_sequences=True, dropout=0.4, recurrent_dropout=0.3),
    "LSTM with input dropout": lambda: LSTM(H, dropout=0.4),
    "LSTM with recurrent dropout": lambda: LSTM(H, recurrent_dropout=0.3),
    **{
        f"Bidirectional {mode} {states}": lambda mode=mode, states=states: Bidirectional(
            LSTM(H, return_sequences=states == "all"), mode
        )
        for mode, states in itertools.product(("concat", "sum", "ave", "mul"), ("last", "all"))
    },
    "Bidirectional with dropout": lambda: Bidirectional(LSTM(H, dropout=0.4, recurrent_dropout=0.3)),
    **{
        f"Conv1D {padding} {strides} {rate}": lambda padding=padding, strides=strides, rate=rate: Conv1D(
            H, 3, strides, padding, dilation_rate=rate, activation="relu"
        )
        for padding, (strides, rate) in itertools.product(("valid", "same", "causal"), ((1, 1), (2, 1), (1, 2)))
    },
    **{f"Conv1D {phi}": lambda phi=phi: Conv1D(H, 2, activation=phi) for phi in ("tanh", "sigmoid", None)},
    **{
        f"MaxPooling1D {size} {step} {padding}": lambda size=size, step=step, padding=padding: MaxPooling1D(
            size, step, padding
        )
        for (size, step), padding in itertools.product(((2, None), (3, 1), (2, 3)), ("valid", "same"))
    },
    "GlobalMaxPooling1D": GlobalMaxPooling1D,
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def twin_of(layer):
    """The twin, whether or not the textbook is as it was verified."""
    twin = TWINS.get(type(layer))
    return layer if twin is None else twin(layer, twin_of)


def built(name, dtype, rng):
    """A layer with random weights."""
    layer = LAYERS[name]()
    layer.build((None,) if isinstance(layer, Embedding) else (None, D), rng, dtype)
    for p in layer.params.values():
        p += rng.standard_normal(p.shape).astype(dtype) * 0.2  # where states grow, rounding grows with them
    if name in UNBOUNDED:
        layer.params["b"][:] = 0.5
    return layer


def words(lengths, rng):
    """A batch of token ids of these lengths, and what a padded step holds is not a word."""
    x = rng.integers(0, V, (len(lengths), max(1, max(lengths))))
    x[np.arange(x.shape[1]) >= np.array(lengths)[:, None]] = V - 1
    return x


def inputs(name, shape, dtype, rng):
    """Random vectors."""
    return (rng.standard_normal(shape) * (0.3 if name in UNBOUNDED else 1)).astype(dtype)


def assert_alike(got, expected, dtype, what):
    """Fail with the name of the array, and by how much it differs."""
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    assert got.dtype == expected.dtype == dtype, f"{what}: {got.dtype}, expected {dtype}"
    largest = np.abs(expected).max(initial=0)
    error = np.abs(got - expected).max(initial=0) / (largest or 1)
    assert error <= LIMIT[dtype], f"{what} differs by {error:.1e} of its largest number, more than {LIMIT[dtype]:.0e}"


def as_array(gradient, shape=None):
    """Write out rows that stand for an array."""
    if isinstance(gradient, UniqueRows):
        return gradient.to_array()
    if isinstance(gradient, RowGradient):
        whole = np.zeros(shape, gradient.rows.dtype)
        whole[gradient.index] = gradient.rows
        return whole
    return gradient


def compare(layer, x, lengths, dtype, x_twin=None):
    """Run both with the same upstream gradient, and compare everything they return."""
    twin = twin_of(layer)
    assert isinstance(twin, Twin)
    twin.connect(None, None)
    y, cache = layer.forward(x, lengths, True, np.random.default_rng(1))
    y_twin, cache_twin = twin.forward(x if x_twin is None else x_twin, lengths, True, np.random.default_rng(1))
    assert_alike(y_twin, y, dtype, "y")
    dy = np.random.default_rng(2).standard_normal(y.shape).astype(dtype)
    dx, grads = layer.backward(dy, cache)
    dx_twin, grads_twin = twin.backward(dy, cache_twin)
    assert set(grads_twin) == set(grads)
    for name in grads:
        assert_alike(grads_twin[name], grads[name], dtype, f"d{name}")
    if dx is not None and x_twin is None:
        assert_alike(dx_twin, dx, dtype, "dx")
    return dx, dx_twin


@every_layer
@every_dtype
@batches
def test_a_twin_gives_what_its_textbook_gives(name, dtype, lengths, seed):
    rng = np.random.default_rng(seed)
    layer = built(name, dtype, rng)
    ids = words(lengths, rng)
    x = ids if isinstance(layer, Embedding) else inputs(name, (*ids.shape, D), dtype, rng)
    compare(layer, x, np.array(lengths), dtype)
    compare(layer, x, None, dtype)


@pytest.mark.parametrize("name", [name for name in LAYERS if name.startswith(("LSTM", "Bidirectional", "Conv1D"))])
@every_dtype
@batches
def test_unique_rows_give_what_the_array_they_stand_for_gives(name, dtype, lengths, seed):
    rng, n = np.random.default_rng(seed), np.array(lengths)
    layer, ids = built(name, dtype, rng), words(lengths, rng)
    index = np.where(np.arange(ids.shape[1]) < n[:, None], ids, -1)
    table = inputs(name, (V, D), dtype, rng)
    rows = UniqueRows(table, index)
    dx, dx_twin = compare(layer, rows.to_array(), n, dtype, rows)
    if isinstance(dx_twin, UniqueRows):  # each row is the sum over all its positions
        dtable = np.zeros_like(table)
        np.add.at(dtable, ids[index >= 0], dx[index >= 0])
        assert_alike(dx_twin.table, dtable, dtype, "dx")
    else:
        assert_alike(dx_twin, dx, dtype, "dx")


@pytest.mark.parametrize(
    "name", ["LSTM tanh sigmoid", "LSTM sigmoid sigmoid", "Bidirectional concat all", "Conv1D same 1 1"]
)
def test_over_300_steps_a_twin_gives_what_its_textbook_gives(name, rng):
    layer = built(name, "float64", rng)
    compare(layer, rng.standard_normal((4, 300, D)), np.array([300, 0, 170, 299]), "float64")


MODELS = {
    "CNN": lambda: [Conv1D(6, 3, activation="relu"), GlobalMaxPooling1D()],
    "LSTM": lambda: [LSTM(5)],
    "LSTM with dropout": lambda: [LSTM(5, dropout=0.4, recurrent_dropout=0.3)],
    "dropout before": lambda: [Dropout(0.4), LSTM(5, go_backwards=True)],
    "deep LSTM": lambda: [LSTM(5, return_sequences=True), LSTM(4)],
    "bidirectional LSTM": lambda: [Bidirectional(LSTM(5, return_sequences=True), "mul"), Bidirectional(LSTM(5))],
    "CNN-LSTM": lambda: [Conv1D(6, 3, activation="relu"), MaxPooling1D(2), LSTM(5)],
}
OPTIMIZERS = {
    "SGD": lambda: SGD(0.1),
    "SGD, momentum, clipped": lambda: SGD(0.1, 0.9, global_clipnorm=0.05),
    "SGD, Nesterov": lambda: SGD(0.1, 0.9, nesterov=True),
    "RMSprop": lambda: RMSprop(0.01),
    "RMSprop, clipped": lambda: RMSprop(0.01, global_clipnorm=0.05),
    "Adam": lambda: Adam(0.01),
}


def plan_of_twins(model):
    """What fit would run, whether or not the textbook is as it was verified."""
    runners, stepper = (
        [twin_of(layer) for layer in model.layers],
        OPTIMIZER_TWINS[type(model.optimizer)](model.optimizer),
    )
    for twin, following in itertools.pairwise([*runners, None]):
        if isinstance(twin, Twin):
            twin.connect(following, stepper)
    return Plan(model.layers, model.optimizer, runners, stepper, threads)


def plan_of_textbook(model):
    """What fit runs with MINILSTM_FAST=0."""
    return Plan(model.layers, model.optimizer, model.layers, model.optimizer, None)


def made(between, optimizer, dtype):
    """A compiled model of text."""
    model = Sequential([Embedding(V, D, dropout=0.2), *between(), Dense(1, activation="sigmoid")], seed=0, dtype=dtype)
    model.compile(optimizer())
    return model


@pytest.mark.parametrize("cores", ["1", "2", "3"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", MODELS)
def test_steps_of_training_lead_where_those_of_the_textbook_lead(name, optimizer, cores, rng, monkeypatch):
    monkeypatch.setenv("MINILSTM_THREADS", cores)
    models = [made(MODELS[name], OPTIMIZERS[optimizer], "float64") for _ in range(2)]
    plans, generators = (
        [plan_of_textbook(models[0]), plan_of_twins(models[1])],
        [np.random.default_rng(5) for _ in models],
    )
    for _ in range(3):
        lengths = rng.integers(0, 13, 50)
        x, y = words(lengths, rng), rng.integers(0, 2, (50, 1)).astype("float64")
        batch = [Shard(x[rows], lengths[rows], y[rows]) for rows in shards(lengths, np.arange(50))]
        assert len(batch) > 1
        with plans[1].workers() as each:
            sums, norm = train_step(plans[0], BinaryCrossentropy(), batch, generators[0])
            sums_twin, norm_twin = train_step(plans[1], BinaryCrossentropy(), batch, generators[1], each)
        assert norm_twin == pytest.approx(norm, rel=1e-10)
        np.testing.assert_allclose(sums_twin, sums, rtol=1e-10)
        for (what, p), p_twin in zip(models[0].params.items(), models[1].params.values(), strict=True):
            assert_alike(p_twin, p, "float64", what)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_a_batch_in_float32(name, rng):
    model = made(MODELS[name], RMSprop, "float32")
    lengths = rng.integers(0, 13, 20)
    x, dp = words(lengths, rng), rng.standard_normal((20, 1)).astype("float32")
    plans = plan_of_textbook(model), plan_of_twins(model)
    (p, grads), (p_twin, grads_twin) = (passes(plan.runners, x, lengths, dp) for plan in plans)
    assert_alike(p_twin, p, "float32", "p")
    for what, g in grads.items():
        assert_alike(as_array(grads_twin[what], g.shape), g, "float32", f"d{what}")


def passes(runners, x, lengths, dp):
    """Forward and backward through all layers."""
    from minilstm.training import backward, forward

    p, caches = forward(runners, x, lengths, True, np.random.default_rng(3))
    return p, backward(runners, dp, caches)


def test_unique_rows_are_handed_on_only_where_they_are_taken():
    def kinds(*between):
        model = made(lambda: between, RMSprop, "float32")
        plan = plan_of_twins(model)
        y, _ = plan.runners[0].forward(np.array([[1, 2]]))
        grads = plan.runners[0].backward(y, plan.runners[0].forward(np.array([[1, 2]]))[1])[1]
        return type(y), type(grads["E"])

    assert kinds(LSTM(2)) == kinds(Bidirectional(LSTM(2))) == (UniqueRows, RowGradient)
    assert kinds(Conv1D(2, 2), LSTM(2)) == (UniqueRows, RowGradient)
    assert kinds(Dropout(0.1), LSTM(2)) == kinds(GlobalMaxPooling1D()) == (np.ndarray, RowGradient)

    class Own(LSTM):
        pass

    assert kinds(Own(2)) == kinds(Bidirectional(Own(2))) == (np.ndarray, RowGradient)
    assert not takes_rows(Own(2))


@pytest.mark.parametrize("optimizer", [name for name in OPTIMIZERS if "clipped" not in name])
def test_a_row_gradient_moves_a_matrix_as_the_whole_gradient_does(optimizer, rng):
    start = rng.standard_normal((6, 3))
    some, whole = {"E": start.copy()}, {"E": start.copy()}
    one, other = OPTIMIZERS[optimizer](), OPTIMIZERS[optimizer]()
    one.global_clipnorm = other.global_clipnorm = 1.5
    stepper = OPTIMIZER_TWINS[type(one)](one)
    for _ in range(5):
        gradient = RowGradient(rng.permutation(6)[:4], rng.standard_normal((4, 3)))
        grads, grads_twin = {"E": as_array(gradient, (6, 3))}, {"E": gradient}
        assert stepper.norm(grads_twin) == pytest.approx(other.norm(grads))
        stepper.step(some, grads_twin, stepper.norm(grads_twin))
        other.step(whole, grads)
        np.testing.assert_allclose(some["E"], whole["E"], atol=1e-15)
    assert one.iterations == other.iterations == 5


def test_row_gradients_add_up_where_they_meet(rng):
    parts = [RowGradient(np.array(at, int), rng.standard_normal((len(at), 2))) for at in ([1, 4], [], [0, 1, 5])]
    total = parts[0] + parts[1] + parts[2]
    assert np.array_equal(total.index, [0, 1, 4, 5])
    np.testing.assert_allclose(as_array(total, (6, 2)), sum(as_array(part, (6, 2)) for part in parts))


@given(st.lists(st.lists(st.binary(max_size=3).map(lambda word: word.translate(None, b"\xfe\xff")))))
def test_words_are_numbered_as_the_textbook_numbers_them(texts):
    spelt = np.frombuffer(b"".join(b"\xff".join(words) + b"\xfe" for words in texts), np.uint8)
    for got, expected in zip(kernels.number_words(spelt), text.number_words(spelt), strict=True):
        assert got.dtype == expected.dtype
        assert np.array_equal(got, expected)


def test_more_words_than_the_table_of_the_kernel_begins_with_and_long_ones_are_numbered_likewise():
    for texts in (
        [],
        [[b"%d" % (n % 4000) for n in range(5000)]],
        [[b"long" * 1000, b"long" * 1000 + b"er"], [b"long"]],
    ):
        spelt = np.frombuffer(b"".join(b"\xff".join(words) + b"\xfe" for words in texts), np.uint8)
        for got, expected in zip(kernels.number_words(spelt), text.number_words(spelt), strict=True):
            assert np.array_equal(got, expected)


def test_every_twin_is_tested_here():
    tested = {type(make()).__name__ for make in LAYERS.values()} | {
        type(make()).__name__ for make in OPTIMIZERS.values()
    }
    assert tested | {"number_words"} == set(ROOTS)


def test_without_twins_the_plan_is_the_textbook(monkeypatch):
    model = made(MODELS["LSTM"], RMSprop, "float32")
    monkeypatch.setattr("minilstm.fast._on", False)
    plan = choose_plan(model.layers, model.optimizer)
    assert list(plan.runners) == list(model.layers)
    assert plan.stepper is model.optimizer
    assert str(plan) == "Embedding, LSTM, Dense, RMSprop"
