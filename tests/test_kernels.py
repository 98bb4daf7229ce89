"""What the kernels are made of, and what one sees while they compile. Whole kernels are tested by test_twins.py."""

import io
import sys
from types import SimpleNamespace

import numba
import numpy as np
import pytest

from minilstm.activations import ACTIVATIONS
from minilstm.fast import kernels


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 4e-7), ("float64", 2e-15)])
def test_tanh_of_the_kernels_is_right_to_the_last_digits_everywhere(dtype, tolerance):
    x = np.concatenate([np.linspace(-30, 30, 100_001), [0, 1e-30, -1e-30, 1e30, -1e30, np.inf, -np.inf]]).astype(dtype)
    y = x.copy()
    kernels._tanh(y, 1.0)
    exact = np.tanh(x.astype("float64"))
    np.testing.assert_allclose(y, exact, rtol=tolerance, atol=0)


@pytest.mark.parametrize("name", kernels.ACTIVATIONS)
def test_nan_stays_visible(name):
    x = np.array([np.nan, 1.0])
    kernels._activate(x, kernels.number_of(name))
    assert np.isnan(x[0])


@pytest.mark.parametrize("name", kernels.ACTIVATIONS)
def test_the_kernels_know_each_activation_and_its_slope_by_number(name, rng):
    x, dy, number = rng.standard_normal(20), rng.standard_normal(20), kernels.number_of(name)
    y = x.copy()
    kernels._activate(y, number)
    np.testing.assert_allclose(y, ACTIVATIONS[name].forward(x), atol=1e-15)
    slope = kernels._slope_of(number, np.float64)
    dx = [d * kernels._slope(y_j, slope) for d, y_j in zip(dy, y, strict=True)]
    np.testing.assert_allclose(dx, ACTIVATIONS[name].backward(dy, y), atol=1e-15)


@pytest.mark.parametrize("B", [0, 1, 7, 8, 9, 16])
def test_the_product_in_blocks_of_rows_leaves_no_row_out(B, rng):
    A, M, out = rng.standard_normal((B, 3)), rng.standard_normal((3, 5)), np.full((B, 5), np.nan)
    kernels._product(out, A, M)
    np.testing.assert_allclose(out, A @ M, atol=1e-14)


def test_the_largest_of_a_window_may_be_nan_or_minus_infinity_and_the_first_of_ties_wins():
    rows = np.array([[1.0, -np.inf, np.nan], [1.0, -np.inf, 5.0], [0.0, 7.0, 5.0]])
    y, at_max = kernels.max_pool_windows_forward(rows, np.array([[[0, 1], [-1, 2], [-1, -1]]], np.int32))
    np.testing.assert_array_equal(y[0], [[1, -np.inf, np.nan], [0, 7, 5], [0, 0, 0]])
    assert at_max[0, 0, 0] == 0
    assert at_max[0, 2].tolist() == [-1, -1, -1]


def test_a_folder_that_cannot_be_written_only_means_no_cache(monkeypatch):
    njit = numba.njit

    def no_folder(*args, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*args, **options)

    monkeypatch.setattr(numba, "njit", no_folder)
    twice = kernels.compiled(lambda x: 2 * x)
    assert twice(3) == 6


def test_the_first_run_ever_says_once_that_kernels_are_compiling_where_somebody_looks(monkeypatch):
    class Screen(io.StringIO):
        def isatty(self):
            return looked_at

    def compiling(function):
        notice.on_start(SimpleNamespace(data={"dispatcher": SimpleNamespace(py_func=function)}))

    monkeypatch.setattr(sys, "stderr", screen := Screen())
    notice, looked_at = kernels.Notice(), False
    compiling(kernels.number_of)
    looked_at = True
    compiling(len)
    assert screen.getvalue() == ""
    compiling(kernels.number_of)
    compiling(kernels.number_of)
    assert screen.getvalue().count("compiling the kernels, once on this machine") == 1
