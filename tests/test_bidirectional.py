"""Bidirectional: one run each way, each row turned round within its own length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilstm import LSTM, Bidirectional, Dense
from minilstm.fast.plan import choose
from minilstm.layers.base import flip

LENGTHS = np.array([5, 0, 3])


def built(merge_mode="concat", **settings):
    layer = Bidirectional(LSTM(2, **settings), merge_mode)
    layer.build((None, 3), np.random.default_rng(0), "float64")
    return layer


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.booleans())
def test_flipping_twice_changes_nothing_and_padding_never_moves(lengths, full):
    n = None if full else np.array(lengths)
    x = np.random.default_rng(0).standard_normal((len(lengths), max(lengths), 2))
    assert np.array_equal(flip(flip(x, n), n), x)
    for b, length in enumerate(lengths if not full else []):
        assert np.array_equal(flip(x, n)[b, :length], x[b, :length][::-1])
        assert np.array_equal(flip(x, n)[b, length:], x[b, length:])


def test_the_backward_run_ends_on_the_first_word_of_each_row(rng):
    x, layer = rng.standard_normal((3, 5, 3)), built()
    y, _ = layer.forward(x, LENGTHS)
    for b, n in enumerate(LENGTHS):
        forward, _ = layer.layer.forward(x[b : b + 1, :n])
        backward, _ = layer.reverse.forward(x[b : b + 1, :n][:, ::-1])
        np.testing.assert_allclose(y[b], np.concatenate([forward[0], backward[0]]), atol=1e-15)


def test_with_all_states_both_runs_meet_at_each_word(rng):
    x, layer = rng.standard_normal((1, 4, 3)), built(return_sequences=True)
    y, _ = layer.forward(x)
    for t in range(4):
        forward, _ = layer.layer.forward(x[:, : t + 1])
        backward, _ = layer.reverse.forward(x[:, t:][:, ::-1])
        np.testing.assert_allclose(y[0, t], np.concatenate([forward[0, -1], backward[0, -1]]), atol=1e-15)


def test_merge_modes_are_what_they_say(rng):
    x = rng.standard_normal((3, 5, 3))
    f, r = np.split(built().forward(x)[0], 2, axis=1)
    for mode, expected in (("sum", f + r), ("ave", (f + r) / 2), ("mul", f * r)):
        np.testing.assert_allclose(built(mode).forward(x)[0], expected, atol=1e-15)


def test_go_backwards_gives_the_states_in_the_order_of_reading(rng):
    x = rng.standard_normal((3, 5, 3))
    one = LSTM(2, return_sequences=True, go_backwards=True)
    other = LSTM(2, return_sequences=True)
    for layer in (one, other):
        layer.build((None, 3), np.random.default_rng(0), "float64")
    np.testing.assert_array_equal(one.forward(x, LENGTHS)[0], other.forward(flip(x, LENGTHS), LENGTHS)[0])


def test_the_lstm_handed_in_is_only_a_pattern(rng):
    pattern = LSTM(2)
    one, two = Bidirectional(pattern), Bidirectional(pattern)
    for layer in (one, two):
        layer.build((None, 3), rng, "float64")
    assert pattern.params == {}
    assert not np.array_equal(one.params["forward.W"], two.params["forward.W"])


def test_the_two_runs_have_weights_of_their_own():
    params = built().params
    assert sorted(params) == ["backward.U", "backward.W", "backward.b", "forward.U", "forward.W", "forward.b"]
    assert not np.array_equal(params["forward.W"], params["backward.W"])


@pytest.mark.parametrize("which", ["dropout", "recurrent_dropout"])
def test_lstm_dropout_hides_the_same_numbers_at_every_step_and_only_while_training(which, rng):
    layer = LSTM(50, return_sequences=True, **{which: 0.5})
    layer.build((None, 40), rng, "float64")
    x = rng.standard_normal((2, 6, 40))
    _, cache = layer.forward(x, None, True, rng)
    m, other = (cache.m_x[:, 0], cache.m_h) if which == "dropout" else (cache.m_h, cache.m_x)
    assert set(np.unique(m)) == {0, 2}
    assert 0.3 < (m == 0).mean() < 0.7
    assert (other == 1).all()
    assert layer.forward(x)[1].m_x == layer.forward(x)[1].m_h == 1
    if which == "dropout":
        assert np.array_equal(cache.x, x * m[:, None])
    with pytest.raises(ValueError, match="rng is None"):
        layer.forward(x, None, True)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Bidirectional(Dense(3)), TypeError, r"layer is Dense\(3\), expected an LSTM"),
        (lambda: Bidirectional(LSTM), TypeError, "expected an LSTM"),
        (lambda: Bidirectional(LSTM(3, return_state=True)), ValueError, "without return_state"),
        (lambda: Bidirectional(LSTM(3, go_backwards=True)), ValueError, "go_backwards"),
        (lambda: Bidirectional(LSTM(3), "max"), ValueError, "merge_mode='max' is unknown; choose one of 'concat'"),
        (lambda: LSTM(3, dropout=1), ValueError, "dropout is 1, expected 0 <= dropout < 1"),
        (lambda: LSTM(3, "softmax"), ValueError, "activation='softmax' is unknown"),
    ],
)
def test_what_does_not_fit_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("twin", [False, True])
@pytest.mark.parametrize("dy", [np.ones((2, 7)), np.ones(4), np.float64(1)])
def test_a_gradient_of_another_shape_is_refused_by_the_layer_and_by_its_twin(rng, dy, twin):
    layer = Bidirectional(LSTM(4))
    layer.build((3, 5), rng, np.float64)
    runner = choose([layer])[0][0] if twin else layer
    _, cache = runner.forward(rng.standard_normal((2, 3, 5)))
    with pytest.raises((ValueError, TypeError), match=r"Bidirectional: dy .* expected"):
        runner.backward(dy, cache)
