"""Losses give the numbers of their equations; their gradients are checked in test_gradcheck.py."""

import numpy as np
import pytest

from minilstm.gradcheck import check_loss
from minilstm.losses import BinaryCrossentropy, CategoricalCrossentropy, MeanSquaredError, get_loss

P = np.array([[0.9], [0.2], [0.6]])
Y = np.array([[1.0], [0.0], [0.0]])


def test_binary_cross_entropy_is_the_mean_surprise_in_nats():
    assert BinaryCrossentropy().forward(P, Y) == pytest.approx(-np.log([0.9, 0.8, 0.4]).mean(), rel=1e-15)


def test_from_logits_and_from_probabilities_agree():
    logits = np.log(P / (1 - P))
    assert BinaryCrossentropy(from_logits=True).forward(logits, Y) == pytest.approx(BinaryCrossentropy().forward(P, Y))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_certain_and_wrong_costs_much_but_not_infinitely(dtype):
    p, y = np.array([[0.0], [1.0]], dtype), np.array([[1.0], [0.0]], dtype)
    assert BinaryCrossentropy().forward(p, y) == pytest.approx(-np.log(1e-7), rel=0.01)
    assert np.isfinite(BinaryCrossentropy().backward(p, y)).all()


def test_logits_of_any_size_neither_overflow_nor_lose_the_gradient():
    z, y = np.array([[1000.0], [-1000.0]]), np.array([[0.0], [1.0]])
    loss = BinaryCrossentropy(from_logits=True)
    assert loss.forward(z, y) == 1000
    assert loss.backward(z, y).ravel().tolist() == [0.5, -0.5]


def test_mean_squared_error_is_that():
    assert MeanSquaredError().forward(P, Y) == pytest.approx((0.01 + 0.04 + 0.36) / 3)


@pytest.mark.parametrize("loss", [BinaryCrossentropy(), BinaryCrossentropy(from_logits=True), MeanSquaredError()])
def test_a_gradient_has_the_shape_and_dtype_of_the_predictions(loss):
    dp = loss.backward(P.astype("float32"), Y.astype("float32"))
    assert dp.shape == P.shape
    assert dp.dtype == np.float32


SHARES = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
CLASSES = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def test_categorical_cross_entropy_is_the_mean_surprise_by_the_true_class():
    assert CategoricalCrossentropy().forward(SHARES, CLASSES) == pytest.approx(-np.log([0.7, 0.3]).mean(), rel=1e-15)
    logits = np.log(SHARES) + 5
    from_logits = CategoricalCrossentropy(from_logits=True)
    assert from_logits.forward(logits, CLASSES) == pytest.approx(-np.log([0.7, 0.3]).mean())
    np.testing.assert_allclose(from_logits.backward(logits, CLASSES), (SHARES - CLASSES) / 2)
    assert CategoricalCrossentropy().accuracy(SHARES, CLASSES) == 0.5


def test_logits_of_many_classes_neither_overflow_nor_lose_the_gradient():
    z = np.array([[1000.0, 0.0, -1000.0]])
    loss = CategoricalCrossentropy(from_logits=True)
    assert loss.forward(z, np.array([[0.0, 0.0, 1.0]])) == 2000
    assert loss.backward(z, np.array([[0.0, 0.0, 1.0]])).tolist() == [[1, 0, -1]]


def test_rows_that_are_no_class_are_refused():
    with pytest.raises(ValueError, match="a row that is not a class"):
        CategoricalCrossentropy().check(np.array([[1.0, 1.0]]))


def test_accuracy_counts_the_right_side_of_one_half_or_of_logit_zero():
    assert BinaryCrossentropy().accuracy(P, Y) == pytest.approx(2 / 3)
    assert BinaryCrossentropy(from_logits=True).accuracy(P - 0.5, Y) == pytest.approx(2 / 3)


def test_numbers_that_are_no_probabilities_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"predictions go from -0\.5 to 2, .*activation='sigmoid'.*from_logits=True"):
        BinaryCrossentropy().forward(np.array([[-0.5], [2.0]]), np.ones((2, 1)))


@pytest.mark.parametrize("loss", [BinaryCrossentropy(), BinaryCrossentropy(from_logits=True), MeanSquaredError()])
def test_a_truth_of_another_shape_is_refused_rather_than_broadcast(loss):
    for call in (loss.forward, loss.backward):
        with pytest.raises(ValueError, match=r"y has shape \(3,\), expected \(3, 1\)"):
            call(P, Y[:, 0])


def test_probabilities_that_do_not_sum_to_one_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"sum to 1\.5, expected 1; .*activation='softmax'"):
        CategoricalCrossentropy().forward(np.array([[0.5, 1.0]]), np.array([[0.0, 1.0]]))
    with pytest.raises(ValueError, match=r"predictions have shape \(1, 2, 2\), expected \(B, K\)"):
        CategoricalCrossentropy().forward(np.full((1, 2, 2), 0.5), np.full((1, 2, 2), 0.5))


def test_a_nan_is_never_an_accurate_prediction():
    assert BinaryCrossentropy().accuracy(np.array([[np.nan]]), np.array([[0.0]])) == 0


def test_nan_stays_visible_in_loss_and_gradient():
    p = np.array([[np.nan], [0.5]])
    assert np.isnan(BinaryCrossentropy().forward(p, Y[:2]))
    assert np.isnan(BinaryCrossentropy().backward(p, Y[:2])[0, 0])


def test_names_are_those_of_keras_and_others_are_refused_with_a_list():
    assert isinstance(get_loss("binary_crossentropy"), BinaryCrossentropy)
    assert isinstance(get_loss("mse"), MeanSquaredError)
    loss = MeanSquaredError()
    assert get_loss(loss) is loss
    with pytest.raises(ValueError, match="'hinge' is unknown; choose one of 'binary_crossentropy'"):
        get_loss("hinge")
    with pytest.raises(TypeError, match="neither a name nor of kind Loss"):
        get_loss(3)


@pytest.mark.parametrize(
    "loss",
    [
        BinaryCrossentropy(),
        BinaryCrossentropy(from_logits=True),
        CategoricalCrossentropy(),
        CategoricalCrossentropy(from_logits=True),
        MeanSquaredError(),
    ],
)
def test_every_gradient_is_the_slope_of_its_loss(loss):
    p = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]])
    report = check_loss(loss, p, np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]))
    if not report.ok:
        pytest.fail(f"\n{report}")


def test_exactly_one_half_counts_as_negative_and_so_does_logit_zero():
    negative = np.zeros((2, 1))
    assert BinaryCrossentropy().accuracy(negative + 0.5, negative) == 1
    assert BinaryCrossentropy().accuracy(negative, negative + 0.5) == 1
    assert BinaryCrossentropy(from_logits=True).accuracy(negative, negative) == 1
    assert BinaryCrossentropy(from_logits=True).accuracy(negative + 0.1, negative) == 0


@pytest.mark.parametrize(("loss", "last"), [(BinaryCrossentropy(), "sigmoid"), (CategoricalCrossentropy(), "softmax")])
def test_the_remedy_for_numbers_that_are_no_probabilities_fits_the_loss(loss, last):
    with pytest.raises(ValueError, match=rf"activation='{last}', or use the loss {type(loss).__name__}\(from_logits"):
        loss.forward(np.array([[2.0, -1.0]]), np.array([[1.0, 0.0]]))


def test_one_row_of_huge_logits_does_not_drown_the_others():
    z, y = np.array([[1000.0, 0.0], [0.0, 0.0]]), np.array([[1.0, 0.0], [1.0, 0.0]])
    loss = CategoricalCrossentropy(from_logits=True)
    assert loss.forward(z, y) == pytest.approx(np.log(2) / 2)
    assert loss.backward(z, y).tolist() == [[0, 0], [-0.25, 0.25]]
