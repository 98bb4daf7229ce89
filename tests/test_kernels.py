"""Every kernel does what its plain twin says, on random shapes, lengths and dtypes."""

import io
import os
import subprocess
import sys
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minilstm import kernels, use_numba
from minilstm.activations import ACTIVATIONS

TOLERANCE = {"float32": 2e-5, "float64": 1e-10}


def python_body(kernel):
    """The function that numba compiled; with NUMBA_DISABLE_JIT=1 it did not, and the kernel is that function."""
    return getattr(kernel, "py_func", kernel)


@st.composite
def lstm_case(draw):
    """Arguments of both LSTM kernels, of any size up to 9."""
    T, B, H = draw(st.integers(0, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))

    def array(*shape):
        return (0.5 * rng.standard_normal(shape)).astype(dtype)

    # without a bound on the cell, rounding would grow with the numbers: no pair of relu and linear
    phi, sigma = draw(st.integers(0, 3)), draw(st.integers(0, 1))
    lengths = rng.integers(0, T + 1, B)
    return dtype, array, (T, B, H), lengths, phi, sigma


def assert_alike(kernel, plain, dtype):
    assert len(kernel) == len(plain)
    for got, expected in zip(kernel, plain, strict=True):
        assert got.dtype == expected.dtype == dtype
        np.testing.assert_allclose(got, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("body", ["compiled", "python"])
@given(case=lstm_case())
def test_the_lstm_kernels_give_what_their_twins_give(body, case):
    dtype, array, (T, B, H), lengths, phi, sigma = case
    plain, kernel = kernels.PAIRS["lstm_steps_forward"]
    back_plain, back_kernel = kernels.PAIRS["lstm_steps_backward"]
    if body == "python":
        kernel, back_kernel = python_body(kernel), python_body(back_kernel)
    U, m_h = array(H, 4 * H), array(B, H)
    N = 5
    at = np.random.default_rng(T).integers(0, N, (T, B))
    forward = (array(N, 4 * H), at, U, array(B, H), array(B, H), m_h, lengths, phi, sigma)
    gates, h, c = plain(*forward)
    assert_alike(kernel(*forward), (gates, h, c), dtype)
    for dy in (array(T, B, H), array(0, B, H)):
        backward = (dy, array(B, H), array(B, H), gates, c, array(4 * H, H), m_h, lengths, phi, sigma, 1e-30)
        assert_alike(back_kernel(*backward), back_plain(*backward), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_scatter_kernel_adds_repeated_rows_and_leaves_out_nothing_but_minus_one(dtype, rng):
    plain, kernel = kernels.PAIRS["scatter_rows"]
    index, dy = rng.integers(-1, 4, (5, 6)), rng.standard_normal((5, 6, 3)).astype(dtype)
    sums = [np.ones((4, 3), dtype) for _ in range(3)]
    for scatter, drows in zip((plain, kernel, python_body(kernel)), sums, strict=True):
        scatter(drows, dy, index)
    assert_alike(sums[1:], 2 * sums[:1], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 6, 1), (5, 6, 3), (0, 4, 2), (3, 1, 2)])
@pytest.mark.parametrize("phi", range(4))
def test_the_conv1d_kernels_give_what_their_twins_give(dtype, shape, phi, rng):
    N, F, (B, T, K) = 4, 3, shape
    at, live = rng.integers(-1, N, shape), rng.integers(1, T + 1, B)
    P, b = rng.standard_normal((N, K, F)).astype(dtype), rng.standard_normal(F).astype(dtype)
    plain, kernel = kernels.PAIRS["conv1d_windows_forward"]
    y = plain(P, at, b, live, phi)
    assert_alike([kernel(P, at, b, live, phi), python_body(kernel)(P, at, b, live, phi)], [y, y], dtype)
    dy = rng.standard_normal(y.shape).astype(dtype)
    dy[:, ::2] = 0  # as behind a global maximum
    plain, kernel = kernels.PAIRS["conv1d_windows_backward"]
    sums = [(np.ones_like(P), np.ones_like(b)) for _ in range(3)]
    for backward, (dP, db) in zip((plain, kernel, python_body(kernel)), sums, strict=True):
        backward(dP, db, dy, y, at, live, phi)
    for got in sums[1:]:
        assert_alike(got, sums[0], dtype)


@pytest.mark.parametrize("body", ["compiled", "python"])
def test_the_distinct_kernel_numbers_words_as_its_twin_does(body, rng):
    plain, kernel = kernels.PAIRS["distinct"]
    kernel = python_body(kernel) if body == "python" else kernel
    for B, T in ((4, 7), (1, 1), (3, 0), (0, 3)):
        x, lengths = rng.integers(0, 9, (B, T)), rng.integers(0, T + 1, B)
        for got, expected in zip(kernel(x, lengths, 9), plain(x, lengths, 9), strict=True):
            assert np.array_equal(got, expected)


@pytest.mark.parametrize("body", ["compiled", "python"])
@given(st.lists(st.lists(st.binary(max_size=3).map(lambda word: word.translate(None, b"\xfe\xff")))))
@example([])  # no text
@example([[b"long" * 1000, b"long" * 1000 + b"er"], [b"long" * 1000]])
@example([[b"%d" % (n % 4000) for n in range(5000)]])  # more words than the kernel's table begins with
def test_the_number_words_kernel_numbers_words_as_its_twin_does(body, texts):
    plain, kernel = kernels.PAIRS["number_words"]
    kernel = python_body(kernel) if body == "python" else kernel
    text = np.frombuffer(b"".join(b"\xff".join(words) + b"\xfe" for words in texts), np.uint8)
    for got, expected in zip(kernel(text), plain(text), strict=True):
        assert got.dtype == expected.dtype
        assert np.array_equal(got, expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 4e-7), ("float64", 2e-15)])
def test_tanh_of_the_kernels_is_right_to_the_last_digits_everywhere(dtype, tolerance):
    x = np.concatenate([np.linspace(-30, 30, 100_001), [0, 1e-30, -1e-30, 1e30, -1e30, np.inf, -np.inf]]).astype(dtype)
    y = x.copy()
    kernels._tanh(y, 1.0)
    exact = np.tanh(x.astype("float64"))
    np.testing.assert_allclose(y, exact, rtol=tolerance, atol=0)


def test_nan_stays_visible():
    for number in range(len(ACTIVATIONS) - 1):
        x = np.array([np.nan, 1.0])
        kernels._activate(x, number)
        assert np.isnan(x[0]), ACTIVATIONS[number].name


@pytest.mark.parametrize("number", range(len(ACTIVATIONS) - 1))  # no layer with kernels has softmax
def test_the_kernels_number_activations_as_the_table_does(number, rng):
    x, dy = rng.standard_normal(20), rng.standard_normal(20)
    y = x.copy()
    kernels._activate(y, number)
    np.testing.assert_allclose(y, ACTIVATIONS[number].forward(x), atol=1e-15)
    slope = kernels._slope_of(number, np.float64)
    dx = [d * kernels._slope(y_j, slope) for d, y_j in zip(dy, y, strict=True)]
    np.testing.assert_allclose(dx, ACTIVATIONS[number].backward(dy, y), atol=1e-15)


@pytest.mark.parametrize("B", [0, 1, 7, 8, 9, 16])
def test_the_product_in_blocks_of_rows_leaves_no_row_out(B, rng):
    A, M, out = rng.standard_normal((B, 3)), rng.standard_normal((3, 5)), np.full((B, 5), np.nan)
    kernels._product(out, A, M)
    np.testing.assert_allclose(out, A @ M, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_rmsprop_kernel_moves_some_rows_and_lets_all_means_fade(dtype, rng):
    plain, kernel = kernels.PAIRS["rmsprop_rows"]
    p, v = rng.standard_normal((6, 3)).astype(dtype), rng.random((6, 3)).astype(dtype)
    at, g = np.array([1, 4, 5]), rng.standard_normal((3, 3)).astype(dtype)
    results = []
    for step in (plain, kernel, python_body(kernel)):
        results.append((p.copy(), v.copy()))
        step(*results[-1], at, g, 0.01, 0.9, 1e-7)
    for got in results[1:]:
        assert_alike(got, results[0], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 6, 1), (5, 6, 4), (0, 4, 2), (3, 1, 9)])
def test_the_max_pool_kernels_give_what_their_twins_give(dtype, shape, rng):
    at = rng.integers(-1, 7, shape).astype(np.int32)  # -1 is nothing
    rows = rng.choice([-np.inf, -1, 0, 1, 1, np.nan], (7, 9), p=[0.2, 0.2, 0.2, 0.1, 0.2, 0.1]).astype(dtype)
    rows[:, 0] = -np.inf
    plain, kernel = kernels.PAIRS["max_pool_windows_forward"]
    y, at_max = plain(rows, at)
    for got in (kernel(rows, at), python_body(kernel)(rows, at)):
        assert_alike(got[:1], [y], dtype)
        assert got[1].dtype == at_max.dtype
        assert np.array_equal(got[1], at_max)
    dy = rng.standard_normal(y.shape).astype(dtype)
    plain, kernel = kernels.PAIRS["max_pool_windows_backward"]
    drows = plain(dy, at_max, 7)
    assert_alike([kernel(dy, at_max, 7), python_body(kernel)(dy, at_max, 7)], [drows, drows], dtype)


def test_every_pair_is_tested_here():
    lstm, conv1d = {"lstm_steps_forward", "lstm_steps_backward"}, {"conv1d_windows_forward", "conv1d_windows_backward"}
    pooling = {"max_pool_windows_forward", "max_pool_windows_backward"}
    assert set(kernels.PAIRS) == {*lstm, *conv1d, *pooling, "distinct", "scatter_rows", "rmsprop_rows", "number_words"}


def test_use_numba_chooses_the_path_and_puts_it_back():
    calls = []

    @kernels.twin(lambda x: calls.append("kernel"))
    def some_function(x):
        calls.append("plain")

    try:
        x = np.zeros(1)
        with use_numba(True):
            some_function(x)
            with use_numba(False):
                some_function(x)
            some_function(x.astype(complex))
            some_function(x)
        assert calls == ["kernel", "plain", "plain", "kernel"]
    finally:
        del kernels.PAIRS["some_function"]


def test_the_environment_turns_the_kernels_off():
    code = "from minilstm import kernels; print(kernels._enabled)"
    environment = {**os.environ, "MINILSTM_NUMBA": "0"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_use_numba_without_a_block_stays_and_takes_nothing_but_true_and_false():
    before = use_numba(False)
    assert not kernels._enabled
    before.__exit__()
    with pytest.raises(TypeError, match="use_numba takes True or False, got '0'"):
        use_numba("0")


def test_a_folder_that_cannot_be_written_only_means_no_cache(monkeypatch):
    njit = numba.njit

    def no_folder(*args, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*args, **options)

    monkeypatch.setattr(numba, "njit", no_folder)
    twice = kernels.compiled(lambda x: 2 * x)
    assert twice(3) == 6


def test_the_first_run_ever_says_once_what_it_waits_for_where_somebody_looks(monkeypatch):
    class Screen(io.StringIO):
        def isatty(self):
            return looked_at

    def compiling(function):
        notice.on_start(SimpleNamespace(data={"dispatcher": SimpleNamespace(py_func=function)}))

    monkeypatch.setattr(sys, "stderr", screen := Screen())
    notice, looked_at = kernels.Notice(), False
    compiling(kernels.twin)
    looked_at = True
    compiling(len)
    assert screen.getvalue() == ""
    compiling(kernels.twin)
    compiling(kernels.twin)
    assert screen.getvalue().count("compiling the kernels, once on this machine") == 1
