"""The LSTM computes what its equations say, and a sequence may come padded, in pieces or alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilstm import LSTM
from minilstm.fast.plan import choose
from minilstm.layers.lstm import lstm_forward
from minilstm.tools.gradcases import check_initial_state


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def built(units, D, seed=0, dtype="float64", **settings):
    rng = np.random.default_rng(seed)
    layer = LSTM(units, **settings)
    layer.build((None, D), rng, dtype)
    for parameter in layer.params.values():
        parameter += 0.5 * rng.standard_normal(parameter.shape).astype(dtype)
    return layer


def test_two_steps_worked_out_by_hand():
    """B = D = H = 1, numbers small enough to follow with a pocket calculator."""
    W = np.array([[0.1, 0.2, 0.3, 0.4]])  # i, f, g, o
    U = np.array([[0.5, 0.6, 0.7, 0.8]])
    b = np.array([0.0, 1.0, 0.0, 0.0])
    zero = np.zeros((1, 1))
    (y, h, c), cache = lstm_forward(np.array([[[1.0], [2.0]]]), W, U, b, zero, zero)
    # step 1: x = 1, h = c = 0
    i1, f1, g1, o1 = sigmoid(0.1), sigmoid(0.2 + 1), np.tanh(0.3), sigmoid(0.4)
    c1 = i1 * g1
    h1 = o1 * np.tanh(c1)
    # step 2: x = 2
    i2, f2 = sigmoid(0.2 + 0.5 * h1), sigmoid(0.4 + 0.6 * h1 + 1)
    g2, o2 = np.tanh(0.6 + 0.7 * h1), sigmoid(0.8 + 0.8 * h1)
    c2 = f2 * c1 + i2 * g2
    h2 = o2 * np.tanh(c2)
    assert_all_alike(
        {
            "input gate i": ([i1, i2], cache.i),
            "forget gate f": ([f1, f2], cache.f),
            "candidate g": ([g1, g2], cache.g),
            "output gate o": ([o1, o2], cache.o),
            "cell c": ([c1, c2], cache.c[1:]),
            "state h": ([h1, h2], cache.h[1:]),
            "output y": ([h1, h2], y),
            "last h": ([h2], h),
            "last c": ([c2], c),
        }
    )
    assert c2 == pytest.approx(0.4498, abs=1e-4)
    assert h2 == pytest.approx(0.2974, abs=1e-4)


def assert_all_alike(pairs):
    """Compare numbers worked out by hand with those computed; where one differs, show all of them as a table."""
    lines, wrong = [f"{'':<14} {'step':>4} {'by hand':>12} {'computed':>12}"], []
    for name, (by_hand, computed) in pairs.items():
        for step, (expected, got) in enumerate(zip(by_hand, np.ravel(computed), strict=True), start=1):
            alike = abs(got - expected) <= 1e-15
            lines.append(f"{name:<14} {step:>4} {expected:>12.8f} {got:>12.8f}  {'' if alike else 'WRONG'}")
            wrong += [] if alike else [f"{name} at step {step}"]
    if wrong:
        pytest.fail("\n".join([f"the first that is wrong: {wrong[0]}", *lines]))


def test_sigmoid_as_activation_is_applied_to_candidate_and_cell():
    layer = built(1, 1, activation="sigmoid")
    W, U, b = (layer.params[name].ravel() for name in "WUb")
    y, _ = layer.forward(np.full((1, 1, 1), 0.7))
    z = 0.7 * W + b
    c = sigmoid(z[0]) * sigmoid(z[2])
    np.testing.assert_allclose(y[0, 0], sigmoid(z[3]) * sigmoid(c), rtol=1e-14)
    assert U.shape == (4,)


def test_a_new_lstm_remembers_its_forget_bias_is_one_and_its_recurrence_keeps_lengths(rng):
    layer = LSTM(5)
    layer.build((None, 3), rng, "float64")
    assert layer.params["b"].tolist() == [0] * 5 + [1] * 5 + [0] * 10
    np.testing.assert_allclose(layer.params["U"] @ layer.params["U"].T, np.eye(5), atol=1e-14)
    assert np.abs(layer.params["W"]).max() <= np.sqrt(6 / (3 + 20))


def test_an_empty_row_stays_in_its_initial_state(rng):
    layer = built(2, 3)
    x, state = rng.standard_normal((1, 4, 3)), (rng.standard_normal((1, 2)), rng.standard_normal((1, 2)))
    y, _ = layer.forward(x, np.array([0]), initial_state=state)
    assert np.array_equal(y, state[0])


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 10_000))
def test_a_text_read_in_pieces_ends_as_one_read_whole(first, second, seed):
    layer = built(3, 2, seed, return_sequences=True, return_state=True)
    x = np.random.default_rng(seed).standard_normal((2, first + second, 2))
    (y, h, c), _ = layer.forward(x)
    (y1, h1, c1), _ = layer.forward(x[:, :first])
    (y2, h2, c2), _ = layer.forward(x[:, first:], initial_state=(h1, c1))
    np.testing.assert_allclose(np.concatenate([y1, y2], axis=1), y, rtol=0, atol=1e-14)
    np.testing.assert_allclose(h2, h, rtol=0, atol=1e-14)
    np.testing.assert_allclose(c2, c, rtol=0, atol=1e-14)


@given(st.lists(st.integers(0, 8), min_size=1, max_size=6), st.integers(0, 3), st.integers(0, 10_000))
def test_rows_of_any_lengths_give_what_each_gives_alone_whatever_the_padding(lengths, extra, seed):
    rng = np.random.default_rng(seed)
    layer = built(3, 2, seed)
    lengths = np.array(lengths)
    x = rng.standard_normal((len(lengths), lengths.max() + extra, 2))
    y, cache = layer.forward(x, lengths)
    dy = rng.standard_normal(y.shape)
    dx, grads = layer.backward(dy, cache)
    total = {name: np.zeros_like(g) for name, g in grads.items()}
    for b, n in enumerate(lengths):
        y_alone, cache = layer.forward(x[b : b + 1, :n])
        dx_alone, grads_alone = layer.backward(dy[b : b + 1], cache)
        np.testing.assert_allclose(y_alone[0], y[b], rtol=0, atol=1e-14)
        np.testing.assert_allclose(dx_alone[0], dx[b, :n], rtol=0, atol=1e-14)
        assert not dx[b, n:].any()
        for name in total:
            total[name] += grads_alone[name]
    for name in total:
        np.testing.assert_allclose(total[name], grads[name], rtol=0, atol=1e-13)


def test_the_last_column_of_all_states_is_the_last_state(rng):
    layer = built(2, 3, return_sequences=True, return_state=True)
    (y, h, _), _ = layer.forward(rng.standard_normal((3, 5, 3)), np.array([5, 2, 0]))
    assert np.array_equal(y[:, -1], h)


def test_a_gradient_that_vanishes_over_a_thousand_steps_leaves_no_subnormal_numbers():
    layer = built(4, 2, dtype="float32")
    layer.params["b"][4:8] = -3  # forget fast
    y, cache = layer.forward(np.random.default_rng(0).standard_normal((2, 1000, 2)).astype(np.float32))
    dx, _ = layer.backward(np.ones_like(y), cache)
    assert (dx[:, 0] == 0).all()
    assert dx[:, -1].all()
    # dx = dz Wᵀ with |W| > 1e-8, so nothing between 0 and the smallest normal number is left
    assert not ((dx != 0) & (np.abs(dx) < np.finfo(np.float32).tiny)).any()


@pytest.mark.parametrize("twin", [False, True])
def test_a_gradient_that_is_nan_stays_visible(twin, rng):
    layer = built(2, 3, return_sequences=True)
    runner = choose([layer])[0][0] if twin else layer
    y, cache = runner.forward(rng.standard_normal((2, 4, 3)))
    dy = np.ones_like(y)
    dy[1, 2] = np.nan
    dx, grads = runner.backward(dy, cache)
    assert np.isnan(dx[1, :3]).all()
    assert np.isfinite(dx[0]).all()
    assert np.isfinite(dx[1, 3]).all()
    assert all(np.isnan(g).any() for g in grads.values())


def test_stacking_without_return_sequences_names_the_remedy(rng):
    with pytest.raises(ValueError, match=r"return_sequences=True"):
        LSTM(3).build((5,), rng, "float32")


def test_unknown_number_of_features_is_refused(rng):
    with pytest.raises(ValueError, match=r"expected \(T, D\) with D known"):
        LSTM(3).build((5, None), rng, "float32")


@pytest.mark.parametrize(("units", "error"), [(0, ValueError), (-1, ValueError), (2.5, TypeError), ("3", TypeError)])
def test_units_must_be_a_integer_from_of_at_least_one(units, error):
    with pytest.raises(error, match="units"):
        LSTM(units)


@pytest.mark.parametrize("which", ["activation", "recurrent_activation"])
def test_an_unknown_activation_is_refused_with_those_there_are(which):
    with pytest.raises(ValueError, match=f"{which}='tan' is unknown; choose one of 'tanh', 'sigmoid'"):
        LSTM(3, **{which: "tan"})


def test_an_initial_state_of_the_wrong_shape_or_dtype_is_refused(rng):
    layer, x = built(2, 3), rng.standard_normal((4, 5, 3))
    good, wrong = np.zeros((4, 2)), np.zeros((4, 3))
    with pytest.raises(ValueError, match=r"c0 has shape \(4, 3\), expected \(4, 2\)"):
        layer.forward(x, initial_state=(good, wrong))
    with pytest.raises(TypeError, match="h0 is float32, expected float64"):
        layer.forward(x, initial_state=(good.astype(np.float32), good))
    with pytest.raises(TypeError, match=r"initial_state must be \(h0, c0\), got"):
        layer.forward(x, initial_state=good)


@pytest.mark.parametrize(
    ("settings", "dy", "error", "message"),
    [
        ({"return_sequences": True}, np.ones((1, 1, 2)), ValueError, r"dy has shape \(1, 1, 2\), expected \(4, 5, 2\)"),
        ({"return_sequences": True}, np.ones((4, 6, 2)), ValueError, r"expected \(4, 5, 2\)"),
        ({"return_sequences": True}, np.ones((4, 5, 2), "float32"), TypeError, "dy is float32, expected float64"),
        ({}, np.ones(2), ValueError, r"dy has shape \(2,\), expected \(4, 2\)"),
        ({}, 1.0, TypeError, "dy is a float, expected an array"),
        ({"return_state": True}, np.ones((4, 2)), TypeError, r"dy must be \(dy, dh, dc\), got ndarray"),
        ({"return_state": True}, (np.ones((4, 2)), np.ones((4, 2)), np.ones(2)), ValueError, "dc has shape"),
    ],
)
def test_an_upstream_gradient_that_does_not_fit_is_refused(settings, dy, error, message, rng):
    layer = built(2, 3, **settings)
    _, cache = layer.forward(rng.standard_normal((4, 5, 3)))
    with pytest.raises(error, match=message):
        layer.backward(dy, cache)


def test_parameters_and_lengths_that_do_not_fit_are_refused(rng):
    layer, x = built(2, 3), rng.standard_normal((4, 5, 3))
    layer.params["U"] = np.ones((2, 400))
    with pytest.raises(ValueError, match=r"U has shape \(2, 400\), expected \(2, 8\)"):
        layer.forward(x)
    with pytest.raises(ValueError, match=r"U has shape \(2, 400\), expected \(2, 8\)"):
        choose([layer])[0][0].forward(x)  # the kernels rely on it
    with pytest.raises(ValueError, match=r"lengths has shape \(1,\), expected \(4,\)"):
        built(2, 3).forward(x, np.array([5]))


def test_a_layer_that_was_not_built_says_so():
    with pytest.raises(ValueError, match=r"LSTM: no parameters yet; call build"):
        LSTM(2).forward(np.zeros((1, 1, 1)))


def test_the_gradients_of_all_three_outputs_and_of_the_initial_state_are_right(rng):
    report = check_initial_state(rng.standard_normal((3, 4, 2)), np.array([4, 0, 2]), 2)
    if not report.ok:
        pytest.fail(f"\n{report}")


def test_weights_reach_up_to_the_bound_that_keeps_the_spread_and_no_further(rng):
    layer = LSTM(30)
    layer.build((None, 40), rng, "float64")
    assert np.abs(layer.params["W"]).max() == pytest.approx(np.sqrt(6 / (40 + 4 * 30)), rel=0.01)


def test_dropout_leaves_float32_as_it_is(rng):
    layer, x = built(2, 3, dtype="float32", dropout=0.5, recurrent_dropout=0.5), np.ones((4, 5, 3), "float32")
    y, cache = layer.forward(x, None, True, rng)
    dx, grads = layer.backward(y, cache)
    assert {a.dtype for a in (y, dx, *grads.values())} == {np.dtype("float32")}
