"""What comes in at the door and into layers is taken as it is, or refused with words of the library's own."""

from collections import UserDict, deque

import numpy as np
import pytest

from minilstm import LSTM, SGD, Conv1D, Dense, Embedding, MaxPooling1D, Sequential
from minilstm.data.inputs import check_labels, one_hot
from minilstm.losses import BinaryCrossentropy, CategoricalCrossentropy, MeanSquaredError
from minilstm.tools.validate import make_rng

RNG = make_rng(0)


@pytest.fixture
def model():
    model = Sequential([Embedding(10, 2), LSTM(2), Dense(1, "sigmoid")], seed=0)
    model.compile("sgd", "binary_crossentropy")
    return model


def built(layer):
    layer.build((None, 2), RNG, np.float32)
    return layer


@pytest.mark.parametrize("x", [np.float32(1), UserDict({0: [1]}), list, (n for n in [[1]])])
def test_samples_without_a_length_and_an_order_are_refused(model, x):
    with pytest.raises(TypeError, match="expected a list of lists of token ids or an array"):
        model.predict(x)


def test_a_matrix_is_as_good_as_an_array_and_a_deque_as_a_list(model):
    ids = np.arange(8).reshape(4, 2)
    expected = model.predict(ids)
    np.testing.assert_array_equal(model.predict(ids.view(np.matrix)), expected)
    np.testing.assert_array_equal(model.predict(deque(ids)), expected)
    model.fit(deque(ids), deque([0, 1, 0, 1]), validation_split=0.5, verbose=0)


def test_class_numbers_of_many_classes_take_no_more_memory_than_the_labels():
    K = 200_000  # a K x K array would be 320 GB
    rows = one_hot(np.array([0, K - 1]), K)
    assert rows.shape == (2, K)
    assert rows.nonzero()[1].tolist() == [0, K - 1]


def test_class_numbers_become_rows(model):
    model = Sequential([Dense(3, "softmax")], seed=0)
    model.build((2,))
    rows = check_labels((3,), model.dtype, CategoricalCrossentropy(), np.array([2, 0]), 2)
    assert rows.tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize("dtype", ["float16", "longdouble", ">f4"])
def test_layers_refuse_floating_point_numbers_that_they_are_not_made_for(dtype):
    x = np.ones((2, 3, 2), dtype)
    with pytest.raises(TypeError, match=r"MaxPooling1D: x is .*, expected float32 or float64"):
        MaxPooling1D().forward(x)
    layer = LSTM(2)
    layer.build((None, 2), RNG, dtype)  # in float16 all gradients would round to 0
    with pytest.raises(TypeError, match=r"LSTM: x is .*, expected float32 or float64"):
        layer.forward(x)


@pytest.mark.parametrize("loss", [BinaryCrossentropy(), CategoricalCrossentropy(True), MeanSquaredError()])
@pytest.mark.parametrize("p", [[0.5], np.array([[1, 0]]), np.ones((0, 2))])
def test_losses_take_only_predictions_in_floating_point_and_at_least_one(loss, p):
    with pytest.raises(TypeError, match="loss: predictions are"):
        loss.forward(p, p)


def test_numbers_and_sizes_beyond_reason_are_refused():
    with pytest.raises(ValueError, match="learning_rate is an integer too large for floating point"):
        SGD(10**400)
    with pytest.raises(ValueError, match=r"units must be below 2\*\*63"):
        LSTM(10**30)


def test_a_choice_must_be_a_str():
    with pytest.raises(ValueError, match=r"padding=array.* is unknown"):
        Conv1D(2, 2, padding=np.array(["same", "valid"]))


def test_gradients_that_are_no_dict_are_refused():
    with pytest.raises(TypeError, match="grads is a list, expected a dict of arrays by name"):
        SGD().step({"p": np.ones(1)}, ["p"])


@pytest.mark.parametrize("kind", [np.ma.MaskedArray, np.matrix])
def test_arrays_that_compute_in_ways_of_their_own_are_refused(kind):
    odd = np.full((2, 2), 0.5, np.float32).view(kind)
    with pytest.raises(TypeError, match=r"Dense: x is a .*, expected an array"):
        built(Dense(2)).forward(odd)
    with pytest.raises(TypeError, match="loss: predictions are"):
        MeanSquaredError().forward(odd, odd)


@pytest.mark.parametrize("d_in", [None, 5, (3,), (3, None), (3, "a"), (3, -2), (3, 2.5)])
def test_a_sample_without_a_number_of_features_is_refused(d_in):
    with pytest.raises(ValueError, match=r"LSTM: a sample has shape .*, expected \(T, D\) with D known"):
        LSTM(2).build(d_in, RNG, np.float32)


@pytest.mark.parametrize("seed", [np.zeros((1, 1)).view(np.matrix), [[1]], -1, 0.5, "1"])
def test_a_seed_must_be_a_integer_from(seed):  # NumPy follows a matrix down until the process crashes
    with pytest.raises(ValueError, match="expected an integer of at least 0, or None for chance"):
        make_rng(seed)
