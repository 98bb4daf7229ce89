"""Optimisers make the steps of their equations, worked out here a second time, one number after the other."""

import math

import numpy as np
import pytest

from minilstm.optimizers import SGD, Adam, RMSprop, get_optimizer

GRADIENTS = [0.5, -2.0, 1.0, 0.1, -0.3]


def steps(optimizer, gradients=GRADIENTS, start=1.0):
    p = {"p": np.array([start])}
    for g in gradients:
        optimizer.step(p, {"p": np.array([g])})
    return p["p"][0]


def test_sgd_goes_downhill():
    assert steps(SGD(0.1)) == pytest.approx(1 - 0.1 * sum(GRADIENTS), rel=1e-14)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_rolls_on_and_nesterov_looks_ahead(nesterov):
    p, m = 1.0, 0.0
    for g in GRADIENTS:
        m = 0.9 * m - 0.1 * g
        p += 0.9 * m - 0.1 * g if nesterov else m
    assert steps(SGD(0.1, momentum=0.9, nesterov=nesterov)) == pytest.approx(p, rel=1e-14)


def test_rmsprop_divides_by_the_running_root_mean_square_with_epsilon_under_the_root():
    p, v = 1.0, 0.0
    for g in GRADIENTS:
        v = 0.9 * v + 0.1 * g * g
        p -= 0.001 * g / math.sqrt(v + 1e-7)
    assert steps(RMSprop()) == pytest.approx(p, rel=1e-14)


def test_adam_corrects_for_having_started_at_zero_with_epsilon_beside_the_root():
    p, m, v = 1.0, 0.0, 0.0
    for t, g in enumerate(GRADIENTS, start=1):
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        p -= 0.001 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (math.sqrt(v) + 1e-7)
    assert steps(Adam()) == pytest.approx(p, rel=1e-14)


@pytest.mark.parametrize("optimizer", [SGD(0.1, 0.9), RMSprop(), Adam()])
def test_every_array_has_a_state_of_its_own_and_keeps_its_dtype(optimizer):
    p = {"a": np.zeros((2, 3), "float32"), "b": np.zeros(4, "float32")}
    for _ in range(2):
        optimizer.step(p, {"a": np.ones((2, 3), "float32"), "b": -np.ones(4, "float32")})
    assert p["a"].dtype == p["b"].dtype == np.float32
    assert (p["a"] < 0).all()
    assert (p["b"] > 0).all()
    assert optimizer.iterations == 2
    for slot in optimizer.state.values():
        assert {name: s.shape for name, s in slot.items()} == {"a": (2, 3), "b": (4,)}


def test_gradients_are_not_changed():
    g = {"p": np.array([3.0, 4.0])}
    SGD(0.1, momentum=0.9, global_clipnorm=1.0).step({"p": np.zeros(2)}, g)
    assert g["p"].tolist() == [3.0, 4.0]


def test_clipping_scales_all_gradients_together_and_keeps_their_direction():
    p = {"a": np.zeros(1), "b": np.zeros(1)}
    SGD(1.0, global_clipnorm=1.0).step(p, {"a": np.array([3.0]), "b": np.array([4.0])})
    np.testing.assert_allclose([p["a"][0], p["b"][0]], [-0.6, -0.8])


def test_a_gradient_within_the_norm_is_left_alone_and_zero_does_no_harm():
    assert steps(SGD(1.0, global_clipnorm=10.0), [0.5]) == 0.5
    assert steps(SGD(1.0, global_clipnorm=10.0), [0.0]) == 1.0


def test_the_norm_does_not_overflow_in_float32():
    assert SGD().norm({"g": np.full(2, 1e30, "float32")}) == pytest.approx(math.sqrt(2) * 1e30)


def test_names_are_those_of_keras_in_any_case_with_its_defaults():
    assert get_optimizer("sgd").learning_rate == 0.01
    assert get_optimizer("rmsprop").learning_rate == get_optimizer("Adam").learning_rate == 0.001
    optimizer = SGD()
    assert get_optimizer(optimizer) is optimizer


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(0), "learning_rate is 0, expected 0 < learning_rate < inf"),
        (lambda: Adam(float("nan")), "learning_rate is nan"),
        (lambda: SGD(momentum=1.0), "momentum is 1.0, expected 0 <= momentum < 1"),
        (lambda: RMSprop(rho=-1), "rho is -1"),
        (lambda: Adam(beta_2=1), "beta_2 is 1"),
        (lambda: SGD(global_clipnorm=0), "global_clipnorm is 0"),
        (lambda: SGD(float("inf")), "learning_rate is inf"),
        (lambda: RMSprop(epsilon=0), "epsilon is 0, expected 0 < epsilon < inf"),
        (lambda: get_optimizer("lion"), "'lion' is unknown; choose one of 'sgd', 'rmsprop', 'adam'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_number_that_is_none_is_refused():
    with pytest.raises(TypeError, match=r"learning_rate must be a number, got '0\.1'"):
        SGD("0.1")


@pytest.mark.parametrize(
    ("grads", "error", "message"),
    [
        ({"a": np.ones(2)}, ValueError, r"grads has \['a'\], expected the keys of params, \['a', 'b'\]"),
        ({"a": np.ones(1), "b": np.ones(2)}, ValueError, r"a has shape \(1,\), expected \(2,\)"),
        ({"a": np.ones(2, "float32"), "b": np.ones(2)}, TypeError, "a is float32, expected float64"),
    ],
)
def test_gradients_that_do_not_fit_the_parameters_are_refused_before_anything_moves(grads, error, message):
    params, optimizer = {"a": np.zeros(2), "b": np.zeros(2)}, SGD()
    with pytest.raises(error, match=message):
        optimizer.step(params, grads)
    assert optimizer.iterations == 0
    assert not params["a"].any()


def test_a_fresh_copy_has_the_settings_but_not_the_state():
    optimizer = Adam(0.5)
    steps(optimizer)
    fresh = optimizer.fresh()
    assert fresh.learning_rate == 0.5
    assert steps(fresh) == steps(Adam(0.5))


def test_an_optimizer_that_is_none_is_refused():
    with pytest.raises(TypeError, match="neither a name nor of kind Optimizer"):
        get_optimizer(None)


@pytest.mark.parametrize("kind", [SGD, RMSprop, Adam])
def test_every_optimizer_clips_also_to_a_norm_below_one(kind):
    assert steps(kind(global_clipnorm=0.25), [0.5, -0.125]) == pytest.approx(steps(kind(), [0.25, -0.125]), rel=1e-14)


def test_momentum_does_not_look_ahead_unless_told_to():
    assert steps(SGD(0.1, 0.9)) == steps(SGD(0.1, 0.9, nesterov=False)) != steps(SGD(0.1, 0.9, nesterov=True))


@pytest.mark.parametrize(("kind", "share"), [(SGD, "momentum"), (RMSprop, "rho"), (Adam, "beta_1"), (Adam, "beta_2")])
def test_what_is_kept_of_the_past_may_be_nothing_but_not_all(kind, share):
    assert math.isfinite(steps(kind(**{share: 0})))
    with pytest.raises(ValueError, match=f"{share} is 1, expected 0 <= {share} < 1"):
        kind(**{share: 1})
