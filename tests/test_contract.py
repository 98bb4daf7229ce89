"""What every layer keeps, whatever it computes: each check below runs on each layer of the library.

A new layer goes into LAYERS with the input it takes; a layer that is not there fails.
"""

import threading

import numpy as np
import pytest

from minilstm import (
    LSTM,
    Activation,
    AveragePooling1D,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    MaxPooling1D,
    layers,
)
from minilstm.gradcheck import check_layer

B, T, D, V = 4, 6, 3, 7
LENGTHS = np.array([6, 0, 4, 1])

LAYERS = {
    "Embedding": (lambda: Embedding(V, 2), "tokens"),
    "Embedding with dropout": (lambda: Embedding(V, 2, dropout=0.4), "tokens"),
    "LSTM, last state": (lambda: LSTM(2), "sequence"),
    "LSTM, all states": (lambda: LSTM(2, return_sequences=True), "sequence"),
    "Dense on vectors": (lambda: Dense(2, "tanh"), "vector"),
    "Dense on sequences": (lambda: Dense(2, "tanh"), "sequence"),
    "Dropout": (lambda: Dropout(0.5), "sequence"),
    "LSTM, backwards": (lambda: LSTM(2, return_sequences=True, go_backwards=True), "sequence"),
    "Bidirectional": (lambda: Bidirectional(LSTM(2)), "sequence"),
    "Bidirectional, all states": (lambda: Bidirectional(LSTM(2, return_sequences=True), "mul"), "sequence"),
    "Conv1D": (lambda: Conv1D(2, 3, activation="tanh"), "sequence"),
    "Conv1D, same, stride 2": (lambda: Conv1D(2, 3, strides=2, padding="same"), "sequence"),
    "Conv1D, causal, dilated": (lambda: Conv1D(2, 2, padding="causal", dilation_rate=2), "sequence"),
    "MaxPooling1D": (MaxPooling1D, "sequence"),
    "MaxPooling1D, same": (lambda: MaxPooling1D(3, 2, "same"), "sequence"),
    "AveragePooling1D": (AveragePooling1D, "sequence"),
    "AveragePooling1D, same": (lambda: AveragePooling1D(3, 1, "same"), "sequence"),
    "GlobalMaxPooling1D": (GlobalMaxPooling1D, "sequence"),
    "GlobalAveragePooling1D": (GlobalAveragePooling1D, "sequence"),
    "Flatten": (Flatten, "sequence"),
    "Activation": (lambda: Activation("softmax"), "sequence"),
}

PADDED = [name for name, (_, kind) in LAYERS.items() if kind != "vector"]
WITH_WEIGHTS = [name for name in LAYERS if name.startswith(("Embedding", "LSTM", "Dense", "Bidirectional", "Conv1D"))]


def each(names, but=()):
    """Run a check on every layer named, with a reason beside those left out."""
    return pytest.mark.parametrize("name", [name for name in names if name not in but])


every_layer, every_padded_layer = each(LAYERS), each(PADDED)


def make(name, dtype="float64", seed=0):
    """A built layer and a batch for it."""
    factory, kind = LAYERS[name]
    rng = np.random.default_rng(seed)
    shape = {"tokens": (B, T), "vector": (B, D), "sequence": (B, T, D)}[kind]
    x = rng.integers(0, V, shape) if kind == "tokens" else rng.standard_normal(shape).astype(dtype)
    layer = factory()
    layer.shape_out = layer.build(x.shape[1:], rng, dtype)
    for parameter in layer.params.values():
        parameter += rng.standard_normal(parameter.shape).astype(dtype)
    return layer, x, (None if kind == "vector" else LENGTHS)


def run(layer, x, lengths, seed=0):
    """Forward and backward with a random upstream gradient: y, dx, grads."""
    rng = np.random.default_rng(seed)
    y, cache = layer.forward(x, lengths, True, rng)
    dy = np.random.default_rng(seed + 1).standard_normal(y.shape).astype(y.dtype)
    return y, *layer.backward(dy, cache)


def test_every_layer_of_the_library_is_in_the_list():
    assert {name.split(",")[0].split(" ")[0] for name in LAYERS} == set(layers.__all__)


@every_layer
def test_gradients_are_right(name):
    layer, x, lengths = make(name)
    report = check_layer(layer, x, lengths)
    if not report.ok:
        pytest.fail(f"\n{report}")


@every_layer
def test_build_names_the_shape_that_forward_gives(name):
    layer, x, lengths = make(name)
    y, _ = layer.forward(x, lengths)
    assert y.shape == (B, *layer.shape_out)


@every_layer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_changes_dtype_on_the_way(name, dtype):
    layer, x, lengths = make(name, dtype)
    y, dx, grads = run(layer, x, lengths)
    assert y.dtype == dtype
    assert dx is None or dx.dtype == dtype
    assert all(g.dtype == dtype for g in grads.values())


@every_layer
def test_grads_have_the_keys_and_shapes_of_params_and_dx_that_of_x(name):
    layer, x, lengths = make(name)
    _, dx, grads = run(layer, x, lengths)
    assert {k: g.shape for k, g in grads.items()} == {k: p.shape for k, p in layer.params.items()}
    assert dx is None or dx.shape == x.shape


@every_layer
def test_input_parameters_and_upstream_gradient_stay_as_they_were(name):
    layer, x, lengths = make(name)
    before, lengths_before = x.copy(), None if lengths is None else lengths.copy()
    params = {k: p.copy() for k, p in layer.params.items()}
    y, cache = layer.forward(x, lengths, True, np.random.default_rng(0))
    dy = np.random.default_rng(1).standard_normal(y.shape)
    dy_before = dy.copy()
    layer.backward(dy, cache)
    assert np.array_equal(x, before)
    assert np.array_equal(dy, dy_before)
    assert lengths is None or np.array_equal(lengths, lengths_before)
    assert all(np.array_equal(p, params[k]) for k, p in layer.params.items())


@every_layer
def test_read_only_and_strided_input_serves_as_well(name):
    layer, x, lengths = make(name)
    wide = np.repeat(x, 2, axis=1)[:, ::2]
    wide.flags.writeable = False
    for got, expected in zip(run(layer, wide, lengths)[:2], run(layer, x, lengths)[:2], strict=True):
        assert got is expected is None or np.array_equal(got, expected)


def test_token_ids_may_be_overwritten_between_forward_and_backward():
    layer, x, _ = make("Embedding")
    expected = run(layer, x, None)[2]["E"]
    ids = x.copy()
    y, cache = layer.forward(ids)
    ids[:] = 500_000_000
    _, grads = layer.backward(np.random.default_rng(1).standard_normal(y.shape), cache)
    assert np.array_equal(grads["E"], expected)


@every_layer
def test_a_cache_serves_backward_after_other_batches_went_through(name):
    layer, x, lengths = make(name)
    rng = np.random.default_rng(0)
    y, cache = layer.forward(x, lengths, True, rng)
    layer.forward(x[::-1].copy(), None, True, rng)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    dx, grads = layer.backward(dy, cache)
    _, dx_alone, grads_alone = run(layer, x, lengths)
    assert dx is dx_alone is None or np.array_equal(dx, dx_alone)
    assert all(np.array_equal(g, grads_alone[k]) for k, g in grads.items())


@every_layer
def test_two_threads_may_run_one_layer(name):
    layer, x, lengths = make(name)
    expected = run(layer, x, lengths)[0]
    results = []
    threads = [threading.Thread(target=lambda: results.append(run(layer, x, lengths)[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(y, expected) for y in results)


@each(LAYERS, but=["Dropout"])  # it draws anew for each half, and has no parameters to add up
def test_gradients_of_two_halves_add_up_to_that_of_the_batch(name):
    layer, x, lengths = make(name)
    y, cache = layer.forward(x, lengths)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    dx, grads = layer.backward(dy, cache)
    halves = []
    for half in (slice(0, 2), slice(2, 4)):
        _, cache = layer.forward(x[half], None if lengths is None else lengths[half])
        halves.append(layer.backward(dy[half], cache))
    for k in grads:
        np.testing.assert_allclose(halves[0][1][k] + halves[1][1][k], grads[k], rtol=0, atol=1e-13)
    if dx is not None:
        np.testing.assert_allclose(np.concatenate([halves[0][0], halves[1][0]]), dx, rtol=0, atol=1e-13)


@every_padded_layer
def test_what_stands_at_padded_steps_changes_nothing(name):
    layer, x, lengths = make(name)
    padded = ~(np.arange(T) < lengths[:, None])
    other = x.copy()
    other[padded] = 6 if x.dtype.kind == "i" else np.nan
    for got, expected in zip(run(layer, other, lengths)[:2], run(layer, x, lengths)[:2], strict=True):
        assert got is expected is None or np.array_equal(got, expected)
    got, expected = run(layer, other, lengths)[2], run(layer, x, lengths)[2]
    assert all(np.array_equal(got[k], expected[k]) for k in expected)


@every_padded_layer
def test_padded_inputs_get_a_gradient_of_exactly_zero(name):
    layer, x, lengths = make(name)
    _, dx, _ = run(layer, x, lengths)
    assert dx is None or not dx[~(np.arange(T) < lengths[:, None])].any()


@each(PADDED, but=["Dropout", "Flatten"])  # one draws for padded steps too, the other lays them end to end
def test_more_padding_changes_no_result(name):
    layer, x, lengths = make(name)
    y, cache = layer.forward(x, lengths)
    longer = np.concatenate([x, x[:, :3]], axis=1)
    y_longer, cache_longer = layer.forward(longer, lengths)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    dy_longer = np.zeros(y_longer.shape)
    if y.ndim == 3:
        T_out = y.shape[1]
        y_longer, dy_longer[:, :T_out] = y_longer[:, :T_out], dy
    else:
        dy_longer = dy
    np.testing.assert_allclose(y_longer, y, rtol=0, atol=1e-14)
    _, grads = layer.backward(dy, cache)
    _, grads_longer = layer.backward(dy_longer, cache_longer)
    for k in grads:
        np.testing.assert_allclose(grads_longer[k], grads[k], rtol=0, atol=1e-13)


@each(PADDED, but=["Flatten"])  # its output is as wide as the batch is long
def test_a_row_is_computed_as_if_it_were_alone(name):
    layer, x, lengths = make(name)
    y, _ = layer.forward(x, lengths)
    n_out = layer.out_lengths(lengths)
    for b in range(B):
        alone, _ = layer.forward(x[b : b + 1, : lengths[b]], lengths[b : b + 1])
        together = y[b : b + 1] if n_out is None else y[b : b + 1, : n_out[b]]
        np.testing.assert_allclose(alone, together, rtol=0, atol=1e-14)


@every_layer
def test_a_batch_of_one_row_one_step_and_no_rows_serve(name):
    layer, x, _ = make(name)
    assert len(run(layer, x[:1, :1] if x.ndim > 1 and LAYERS[name][1] != "vector" else x[:1], None)[0]) == 1
    assert len(run(layer, x[:0], None)[0]) == 0


@every_layer
def test_wrong_number_of_axes_names_what_came_and_what_was_expected(name):
    layer, x, _ = make(name)
    with pytest.raises(ValueError, match=r"has shape .*expected \("):
        layer.forward(x[..., None, None])


@each(WITH_WEIGHTS)  # without weights, whatever dtype comes in goes out
def test_another_dtype_than_that_of_the_parameters_is_refused_with_the_remedy(name):
    layer, x, lengths = make(name)
    other = x.astype(np.float32)
    with pytest.raises(TypeError, match="float32"):
        layer.forward(other, lengths)


@every_layer
def test_an_upstream_gradient_of_another_shape_is_refused(name):
    layer, x, lengths = make(name)
    y, cache = layer.forward(x, lengths)
    with pytest.raises(TypeError, match="dy is float32, expected float64"):
        layer.backward(y.astype("float32"), cache)
    for wrong in (np.ones((*y.shape, 1)), np.ones(y.shape[1:]), y[:1].copy()):
        with pytest.raises(ValueError, match="dy has shape"):
            layer.backward(wrong, cache)


@every_padded_layer
def test_lengths_that_do_not_fit_are_refused(name):
    layer, x, _ = make(name)
    with pytest.raises(ValueError, match=r"lengths has shape \(3,\), expected \(4,\)"):
        layer.forward(x, np.array([1, 2, 3]))
    with pytest.raises(ValueError, match="lengths go from 0 to 7, expected 0 to T = 6"):
        layer.forward(x, np.array([7, 0, 1, 2]))
    for wrong in ([1, 2, 3, 4], np.array([1, 2, 3, 4], np.uint8)):
        with pytest.raises(TypeError, match="lengths must be an int64 array"):
            layer.forward(x, wrong)


def test_dropout_hides_its_share_and_keeps_the_mean():
    y, _ = Dropout(0.2).forward(np.ones((100, 100)), None, True, np.random.default_rng(0))
    assert set(np.unique(y)) == {0, 1.25}
    assert (y == 0).mean() == pytest.approx(0.2, abs=0.01)
    assert y.mean() == pytest.approx(1, abs=0.02)


@every_layer
def test_a_refusal_names_the_layer_that_refuses_and_the_axes_that_it_wants(name):
    layer, x, lengths = make(name)
    y, cache = layer.forward(x, lengths)
    who = rf"({type(layer).__name__}|LSTM|pooling)"  # Bidirectional lets its LSTM speak
    with pytest.raises(ValueError, match=rf"^{who}: x has shape .*expected \(B, [T3D]"):
        layer.forward(x[..., None, None])
    with pytest.raises(ValueError, match=rf"^{who}: dy has shape"):
        layer.backward(y[..., None], cache)


@pytest.mark.parametrize(
    "layer", [Dropout(0.5), LSTM(2, dropout=0.5, recurrent_dropout=0.5), Bidirectional(LSTM(2, dropout=0.5))]
)
def test_unless_told_to_train_nothing_is_hidden_and_no_rng_is_wanted(layer, rng):
    x = rng.standard_normal((B, T, D))
    layer.build((T, D), rng, "float64")
    assert np.array_equal(layer.forward(x)[0], layer.forward(x, None, False, rng)[0])


def test_dropout_may_hide_nothing_but_not_all():
    x = np.ones((2, 3))
    assert np.array_equal(Dropout(0).forward(x, None, True)[0], x)
    with pytest.raises(ValueError, match="rate is 1, expected 0 <= rate < 1"):
        Dropout(1)
