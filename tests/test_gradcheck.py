"""Every gradient is right, and the checker that says so would notice if one were not."""

import copy

import numpy as np
import pytest

from minilstm import LSTM, Bidirectional, Dense, Layer, layers
from minilstm.activations import ACTIVATIONS
from minilstm.gradcheck import check_layer, compare
from minilstm.layers import lstm
from minilstm.tools.gradcases import check_all
from minilstm.tools.report import Check, Report

REPORTS = list(check_all())
X = np.random.default_rng(1).standard_normal((4, 5, 3))  # (B, T, D)
LENGTHS = np.array([5, 0, 3, 1])


@pytest.mark.parametrize("report", [pytest.param(r, id=r.what) for r in REPORTS])
def test_gradients_match_complex_step_to_1e12_and_central_differences_to_1e7(report):
    if not report.ok:
        pytest.fail(f"\n{report}")
    assert all(check.complex_step is not None for check in report.checks), f"not checked by complex step\n{report}"
    assert all(check.largest > 0 for check in report.checks), f"checks nothing: the gradient is zero\n{report}"


def test_every_layer_of_the_library_is_checked():
    checked = {report.what.split("(")[0] for report in REPORTS}
    assert set(layers.__all__) <= checked


class Scale(Layer):
    """A reader's own layer: y = s x."""

    slope = 1.0

    def build(self, d_in, rng, dtype):
        self.params = {"s": np.ones(d_in[-1], dtype)}
        return d_in

    def forward(self, x, lengths=None, train=False, rng=None):
        return x * self.params["s"], x

    def backward(self, dy, cache):
        return self.slope * dy * self.params["s"], {"s": (dy * cache).sum(axis=(0, 1))}


class WrongScale(Scale):
    slope = 1.001


class AbsoluteScale(Scale):
    """Right, but |x| is not complex-safe."""

    def forward(self, x, lengths=None, train=False, rng=None):
        return np.abs(x) * self.params["s"], x

    def backward(self, dy, cache):
        return dy * self.params["s"] * np.sign(cache), {"s": (dy * np.abs(cache)).sum(axis=(0, 1))}


def test_a_readers_own_layer_is_checked():
    assert check_layer(Scale(), X).ok


def test_a_gradient_that_is_off_by_one_in_a_thousand_is_wrong():
    report = check_layer(WrongScale(), X)
    assert not report.ok
    assert [check.name for check in report.checks if not check.ok] == ["x"]
    assert "WRONG" in str(report)


def test_a_layer_that_is_not_complex_safe_is_told_so_and_passes_by_central_differences_alone():
    assert "not complex-safe" in str(check_layer(AbsoluteScale(), X))
    assert check_layer(AbsoluteScale(), X, complex_step=False).ok


def test_a_layer_that_refuses_complex_numbers_is_told_so():
    class Picky(Scale):
        def forward(self, x, lengths=None, train=False, rng=None):
            if np.iscomplexobj(x):
                raise TypeError("no complex numbers here")
            return super().forward(x)

    with pytest.raises(TypeError, match="complex_step=False"):
        check_layer(Picky(), X)


class Noisy(Scale):
    """Draws from a source of its own, so that every entry looks like a kink."""

    def forward(self, x, lengths=None, train=False, rng=None):
        return x * self.params["s"] + np.random.default_rng().standard_normal(x.shape), x


def test_a_layer_that_draws_from_elsewhere_than_its_rng_is_refused():
    with pytest.raises(ValueError, match="another result the second time"):
        check_layer(Noisy(), X, complex_step=False)


def test_where_nothing_was_compared_nothing_is_right():
    assert not Check("x", 0, 0.0, 0.0, 0.0, 0).ok
    assert not Check("x", 3, 1.0, None, 0.0, 3).ok
    assert not Report("nothing", []).ok


def test_what_is_no_layer_is_refused():
    with pytest.raises(TypeError, match=r"must be a (Layer|ndarray), got"):
        check_layer(Scale, X)


def test_a_zero_gradient_is_wrong_where_the_function_is_not_constant():
    report = compare("zero", lambda a: np.sum(a["x"] ** 2), {"x": X}, {"x": np.zeros_like(X)})
    assert not report.ok


def test_nan_is_wrong():
    report = compare("nan", lambda a: np.sum(a["x"] ** 2), {"x": X}, {"x": np.full_like(X, np.nan)})
    assert not report.ok


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"W": np.r_[0:2, 2:4, 4:6, 6:8]}, ""),
        ({"W": np.r_[2:4, 0:2, 4:6, 6:8]}, "in the columns of the gates i, f (of i, f, g, o); worst at ["),
        ({"U": np.r_[0:2, 2:4, 6:8, 4:6]}, "in the columns of the gates g, o (of i, f, g, o); worst at ["),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True], ids=["LSTM", "Bidirectional"])
def test_of_an_lstm_the_report_names_the_gates_that_are_wrong(wrong, where, wrapped, monkeypatch):
    right = lstm.lstm_backward

    def backward(*arguments):
        dx, grads, dh0, dc0 = right(*arguments)
        return dx, {name: g[..., wrong.get(name, np.r_[0:8])] for name, g in grads.items()}, dh0, dc0

    monkeypatch.setattr(lstm, "lstm_backward", backward)
    report = check_layer(Bidirectional(LSTM(2)) if wrapped else LSTM(2), X, LENGTHS)
    assert report.ok == (where == "")
    assert where in str(report)
    assert "expected" in str(report) or report.ok


def test_where_an_error_spread_to_all_gates_one_step_alone_tells_which_began_it(monkeypatch):
    sigma = ACTIVATIONS["sigmoid"]
    wrong = sigma._replace(backward=lambda dy, y: 1.1 * sigma.backward(dy, y))
    monkeypatch.setitem(ACTIVATIONS, "sigmoid", wrong)
    report = str(check_layer(LSTM(2, return_sequences=True), X, LENGTHS))
    assert "W" in report
    assert "at one step alone, b is wrong in the columns of the gates i, o (of i, f, g, o); worst at [" in report


def test_elsewhere_the_report_says_how_many_entries_are_wrong_and_names_the_worst():
    dx = np.ones_like(X)
    dx[1, 2, 0] = 3
    report = compare("sum", lambda a: np.sum(a["x"]), {"x": X}, {"x": dx})
    assert "1 of 60 entries; worst at [1, 2, 0], got 3, expected 1" in str(report)


def test_kinks_are_counted_and_left_out_of_central_differences_only():
    x = np.array([-1.0, 0.0, 2.0])
    report = compare(
        "relu", lambda a: np.sum(np.where(a["x"].real > 0, a["x"], 0)), {"x": x}, {"x": np.array([0.0, 0.0, 1.0])}
    )
    assert report.checks[0].kinks == 1
    assert report.ok


def test_a_gradient_of_the_wrong_shape_is_refused_with_both_shapes():
    with pytest.raises(ValueError, match=r"gradient of x has shape \(3,\), expected \(4, 5, 3\)"):
        compare("shape", lambda a: np.sum(a["x"]), {"x": X}, {"x": np.ones(3)})


def test_grads_without_the_keys_of_params_are_refused():
    class Forgetful(Scale):
        def backward(self, dy, cache):
            return dy * self.params["s"], {}

    with pytest.raises(ValueError, match=r"grads has \[\], expected the keys of params, \['s'\]"):
        check_layer(Forgetful(), X)


def test_the_layer_that_is_checked_stays_as_it_was(rng):
    layer = LSTM(2)
    layer.build((None, 3), rng, "float32")
    before, x = copy.deepcopy(layer.params), X.astype(np.float32)
    assert check_layer(layer, x, LENGTHS).ok
    assert all(np.array_equal(before[name], layer.params[name]) for name in before)
    assert np.array_equal(x, X.astype(np.float32))


def test_vectors_without_a_time_axis_can_be_checked():
    assert check_layer(Dense(2), X[:, 0]).ok
