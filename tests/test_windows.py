"""Convolution and pooling: windows lie where Keras lays them, on each row by its own length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilstm import AveragePooling1D, Conv1D, Flatten, GlobalAveragePooling1D, GlobalMaxPooling1D, MaxPooling1D
from minilstm.layers.windows import Windows

ROW = [[1, 2, 3, 4]]


def conv(x, W, lengths=None, **settings):
    """One filter over one feature, so that rows can be written as plain lists."""
    layer = Conv1D(1, len(W), **settings)
    layer.params = {"W": np.array(W, float).reshape(-1, 1, 1), "b": np.zeros(1)}
    return layer.forward(np.array(x, float)[..., None], lengths)[0][..., 0].tolist()


def pool(layer, x, lengths=None):
    return layer.forward(np.array(x, float)[..., None], lengths)[0][..., 0].tolist()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [12, 23, 34]),
        ({"padding": "same"}, [12, 23, 34, 40]),
        ({"padding": "causal"}, [1, 12, 23, 34]),
        ({"strides": 2}, [12, 34]),
        ({"padding": "same", "strides": 3}, [12, 40]),
        ({"padding": "causal", "strides": 2}, [1, 23]),
        ({"dilation_rate": 2}, [13, 24]),
        ({"padding": "same", "dilation_rate": 2}, [2, 13, 24, 30]),
        ({"padding": "causal", "dilation_rate": 2}, [1, 2, 13, 24]),
    ],
)
def test_two_taps_write_two_digits(settings, expected):
    """With W = [10, 1] each window over (a, b) gives the number "ab", and 0 where a digit lies outside the row."""
    assert conv(ROW, [10, 1], **settings) == [expected]


def test_a_kernel_as_long_as_the_row_gives_one_window():
    assert conv(ROW, [1, 1, 1, 1]) == [[10]]


def test_a_row_too_short_for_the_kernel_is_padded_up_to_one_window():
    assert conv([[3]], [10, 1]) == [[30]]
    assert conv([[3, 9, 9]], [10, 1], np.array([1])) == [[30, 0]]
    assert conv([[9, 9]], [10, 1], np.array([0])) == [[0]]


def test_rows_of_a_batch_get_the_windows_that_they_get_alone():
    x, lengths = [[1, 2, 3, 4, 5], [6, 7, 8, 9, 9]], np.array([5, 3])
    together = conv(x, [10, 1], lengths, padding="same", strides=2)
    assert together == [conv([x[0]], [10, 1], padding="same", strides=2)[0], [67, 80, 0]]


@given(
    st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.sampled_from(["valid", "same", "causal"]),
    st.lists(st.integers(0, 12), min_size=1, max_size=4),
)  # fmt: skip
def test_tap_k_of_window_t_sees_step_t_stride_plus_k_dilation_minus_left_of_its_row(
    size, stride, dilation, padding, lengths
):
    windows, n = Windows(size, stride, dilation, padding), np.array(lengths)
    index = np.arange(len(n) * n.max()).reshape(len(n), n.max())
    frame, T_out = windows.frame(index, n, fill=-1), windows.count(int(n.max()))
    at = np.stack([windows.tap(frame, k, T_out) for k in range(size)], axis=2)
    inside = np.arange(n.max()) < n[:, None]
    assert np.array_equal(windows.unframe(frame, n, n.max()), np.where(inside, index, 0))
    assert at.shape == (len(n), windows.count(int(n.max())), size)
    for b, left in enumerate(windows.left(n)):
        for t in range(windows.count(lengths[b])):
            steps = [t * stride + k * dilation - left for k in range(size)]
            assert at[b, t].tolist() == [index[b, j] if 0 <= j < n[b] else -1 for j in steps]


@given(
    st.integers(1, 4), st.integers(1, 4), st.sampled_from(["valid", "same"]), st.lists(st.integers(0, 9), min_size=1)
)
def test_pooling_is_the_largest_and_the_mean_of_the_steps_that_a_window_sees(size, stride, padding, lengths):
    windows, n = Windows(size, stride, 1, padding), np.array(lengths)
    x = np.random.default_rng(0).integers(-3, 3, (len(n), n.max(), 2)).astype(float)
    largest, mean = (kind(size, stride, padding).forward(x, n)[0] for kind in (MaxPooling1D, AveragePooling1D))
    for b, left in enumerate(windows.left(n)):
        for t in range(largest.shape[1]):
            first = t * stride - left
            steps = range(max(0, first), min(n[b], first + size) if t < windows.count(lengths[b]) else 0)
            assert largest[b, t].tolist() == (x[b, steps].max(axis=0).tolist() if steps else [0, 0])
            np.testing.assert_allclose(mean[b, t], x[b, steps].mean(axis=0) if steps else 0)


@pytest.mark.parametrize(
    ("whole", "windowed"), [(GlobalMaxPooling1D, MaxPooling1D), (GlobalAveragePooling1D, AveragePooling1D)]
)
def test_global_pooling_has_one_window_the_whole_row(whole, windowed, rng):
    x, lengths, dy = rng.standard_normal((4, 5, 2)), np.array([5, 0, 3, 1]), rng.standard_normal((4, 2))
    y, cache = whole().forward(x, lengths)
    one, one_cache = windowed(5).forward(x, lengths)
    np.testing.assert_allclose(y, one[:, 0])
    dx, one_dx = whole().backward(dy, cache)[0], windowed(5).backward(dy[:, None], one_cache)[0]
    np.testing.assert_allclose(dx, one_dx)


def test_the_largest_of_each_window():
    x = [[3, 1, 2, 5, 4]]
    assert pool(MaxPooling1D(), x) == [[3, 5]]
    assert pool(MaxPooling1D(padding="same"), x) == [[3, 5, 4]]
    assert pool(MaxPooling1D(3, 1), x) == [[3, 5, 5]]
    assert pool(MaxPooling1D(), [[-3, -1, -2, 9, 9]], np.array([3])) == [[-1, 0]]


def test_the_largest_may_be_negative_and_an_empty_row_has_none():
    assert pool(MaxPooling1D(2, padding="same"), [[-3, -1, -2]]) == [[-1, -2]]
    assert pool(MaxPooling1D(), [[9, 9]], np.array([0])) == [[0]]
    assert pool(GlobalMaxPooling1D(), [[-3, -1, 9], [9, 9, 9]], np.array([2, 0])) == [-1, 0]


def test_minus_infinity_stays_visible():
    assert pool(MaxPooling1D(), [[-np.inf, -np.inf]]) == [[-np.inf]]
    assert pool(GlobalMaxPooling1D(), [[-np.inf, -np.inf]]) == [-np.inf]


def test_the_mean_counts_only_what_lies_within_the_row():
    x = [[3, 1, 2, 6, 4]]
    assert pool(AveragePooling1D(), x) == [[2, 4]]
    assert pool(AveragePooling1D(padding="same"), x) == [[2, 4, 4]]
    assert pool(AveragePooling1D(padding="same"), [[3, 1, 8, 9]], np.array([3])) == [[2, 8]]
    assert pool(GlobalAveragePooling1D(), [[3, 1, 9], [9, 9, 9]], np.array([2, 0])) == [2, 0]


@pytest.mark.parametrize("layer", [MaxPooling1D(2), GlobalMaxPooling1D()])
def test_of_equals_the_first_gets_the_gradient(layer):
    y, cache = layer.forward(np.ones((1, 2, 1)))
    dx, _ = layer.backward(np.ones_like(y), cache)
    assert dx[0, :, 0].tolist() == [1, 0]


@pytest.mark.parametrize("layer", [MaxPooling1D(3), GlobalMaxPooling1D(), AveragePooling1D(3)])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_nan_stays_visible(layer, place):
    x = np.zeros((1, 3, 1))
    x[0, place] = np.nan
    assert np.isnan(layer.forward(x)[0]).all()


def test_flatten_lays_step_after_step():
    assert Flatten().forward(np.arange(6.0).reshape(1, 3, 2))[0].tolist() == [[0, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv1D(0, 3), "filters must be at least 1, got 0"),
        (lambda: Conv1D(2, 3, padding="full"), "padding='full' is unknown; choose one of 'valid', 'same', 'causal'"),
        (lambda: Conv1D(2, 3, strides=2, dilation_rate=2), "strides=2 and dilation_rate=2, expected one"),
        (lambda: MaxPooling1D(0), "pool_size must be at least 1"),
        (lambda: AveragePooling1D(2, 0), "strides must be at least 1"),
        (lambda: MaxPooling1D(padding="causal"), "padding='causal' is unknown"),
        (lambda: Conv1D(2, 3).build((5,), np.random.default_rng(0), "f4"), r"Conv1D: a sample has shape \(5,\)"),
        (lambda: Flatten().build((None, 3), np.random.default_rng(0), "f4"), "input_length.*GlobalMaxPooling1D"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_mean_of_a_row_divides_by_its_steps_be_they_all_or_one():
    assert pool(GlobalAveragePooling1D(), [[3, 1, 8]]) == [4]
    assert pool(GlobalAveragePooling1D(), [[3, 1, 8]], np.array([1])) == [3]


@pytest.mark.parametrize("layer", [GlobalMaxPooling1D(), GlobalAveragePooling1D()])
def test_a_batch_without_steps_gives_zeros_and_takes_no_gradient(layer):
    y, cache = layer.forward(np.zeros((2, 0, 3)))
    assert y.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert layer.backward(np.ones_like(y), cache)[0].shape == (2, 0, 3)


@pytest.mark.parametrize("size", ["filters", "kernel_size", "strides", "dilation_rate"])
def test_every_size_of_a_convolution_must_be_at_least_one(size):
    with pytest.raises(ValueError, match=f"Conv1D: {size} must be at least 1, got 0"):
        Conv1D(**{"filters": 2, "kernel_size": 3, size: 0})
