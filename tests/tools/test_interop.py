"""Weights go to PyTorch and Keras and come back; what does not fit changes nothing.

That the frameworks compute the same with them is shown in ``tests/test_oracles.py``.
"""

import numpy as np
import pytest

from minilstm import LSTM, Bidirectional, Conv1D, Dense, Dropout, Embedding, Flatten, Sequential
from minilstm.keras.interop import from_keras, from_torch, to_keras, to_torch

D, V = 3, 7
LAYERS = {
    "Embedding": lambda: Embedding(V, D),
    "Dense": lambda: Dense(4),
    "Conv1D": lambda: Conv1D(4, 2),
    "LSTM": lambda: LSTM(4),
    "Bidirectional": lambda: Bidirectional(LSTM(4)),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def make(name, seed=0, dtype="float32"):
    """A built layer with weights all unlike."""
    rng, layer = np.random.default_rng(seed), LAYERS[name]()
    layer.build((None,) if name == "Embedding" else (None, D), rng, dtype)
    for p in layer.params.values():
        p += rng.standard_normal(p.shape)
    return layer


def assert_same(layer, other):
    assert layer.params.keys() == other.params.keys()
    for name, p in layer.params.items():
        np.testing.assert_array_equal(p, other.params[name])


@every_layer
def test_what_goes_to_keras_comes_back(name):
    layer, other = make(name), make(name, seed=1)
    from_keras(other, to_keras(layer))
    assert_same(layer, other)


@every_layer
def test_what_goes_to_pytorch_comes_back(name):
    layer, other = make(name), make(name, seed=1)
    from_torch(other, to_torch(layer))
    assert_same(layer, other)


def test_pytorch_has_its_own_names_and_its_axes_the_other_way_round():
    shapes = {name: {key: a.shape for key, a in to_torch(make(name)).items()} for name in LAYERS}
    lstm = {"weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4), "bias_ih_l0": (16,), "bias_hh_l0": (16,)}
    assert shapes == {
        "Embedding": {"weight": (7, 3)},
        "Dense": {"weight": (4, 3), "bias": (4,)},
        "Conv1D": {"weight": (4, 3, 2), "bias": (4,)},
        "LSTM": lstm,
        "Bidirectional": lstm | {f"{key}_reverse": shape for key, shape in lstm.items()},
    }


def test_both_biases_of_a_pytorch_lstm_are_added_up():
    layer, state = make("LSTM"), to_torch(make("LSTM"))
    state["bias_ih_l0"], state["bias_hh_l0"] = np.arange(16.0), np.full(16, 100.0)
    from_torch(layer, state)
    np.testing.assert_array_equal(layer.params["b"], np.arange(100.0, 116.0))


def test_a_prefix_and_a_level_pick_one_lstm_out_of_a_whole_state():
    first, second, other = make("LSTM"), make("LSTM", seed=1), make("LSTM", seed=2)
    state = to_torch(first, "net.lstm.") | to_torch(second, "net.lstm.", level=1) | to_torch(make("Dense"), "net.out.")
    from_torch(other, state, "net.lstm.", level=1)
    assert_same(other, second)


def test_a_whole_model_goes_to_keras_and_back_in_the_order_of_its_layers():
    def model(seed):
        return Sequential([Embedding(V, D, input_length=4), Dropout(0.5), Conv1D(2, 3), Flatten(), Dense(1)], seed)

    one, two = model(0), model(1)
    assert [w.shape for w in to_keras(one)] == [(V, D), (3, D, 2), (2,), (4, 1), (1,)]
    from_keras(two, to_keras(one))
    assert_same(one, two)


@every_layer
def test_loading_fills_the_arrays_there_are_and_keeps_their_dtype(name):
    layer = make(name)
    before = list(layer.params.values())
    from_keras(layer, to_keras(make(name, dtype="float64")))
    from_torch(layer, to_torch(make(name, dtype="float64")))
    assert all(p is q and p.dtype == "float32" for p, q in zip(layer.params.values(), before, strict=True))


@every_layer
def test_what_is_handed_out_is_a_copy_in_plain_order(name):
    layer, other = make(name), make(name)
    for array in (*to_keras(layer), *to_torch(layer).values()):
        assert array.flags.c_contiguous
        array[...] = 9
    assert_same(layer, other)


@every_layer
def test_a_last_array_that_does_not_fit_leaves_all_as_it_was(name):
    layer, other = make(name), make(name, seed=1)
    weights, state = to_keras(other), to_torch(other)
    weights[-1] = np.zeros((9, 9))
    state[list(state)[-1]] = np.zeros((9, 9))
    with pytest.raises(ValueError, match=r"has shape \(9, 9\), expected \("):
        from_keras(layer, weights)
    with pytest.raises(ValueError, match=r"has shape \(9, 9\), expected \("):
        from_torch(layer, state)
    assert_same(layer, make(name))


def test_a_wrong_shape_is_told_as_pytorch_has_it():
    state = to_torch(make("LSTM")) | {"weight_ih_l0": np.zeros((16, 5))}
    with pytest.raises(ValueError, match=r"weight_ih_l0 has shape \(16, 5\), expected \(16, 3\)"):
        from_torch(make("LSTM"), state)


def test_text_is_refused():
    with pytest.raises(TypeError, match="b is <U1, expected real numbers"):
        from_keras(make("Dense"), [np.zeros((3, 4)), np.array(list("abcd"))])


def test_another_number_of_keras_arrays_is_refused_with_the_shapes_expected():
    with pytest.raises(ValueError, match=r"got 1 arrays, expected 2, .*'W': \(3, 4\).* and have a bias"):
        from_keras(make("Dense"), [np.zeros((3, 4))])


def test_a_missing_name_is_told_with_those_there_are():
    with pytest.raises(ValueError, match=r"no lstmweight_ih_l0, .* among lstm\.weight_ih_l0, .* with its dot"):
        from_torch(make("LSTM"), to_torch(make("LSTM"), "lstm."), "lstm")


def test_half_of_a_bidirectional_lstm_is_not_taken_for_an_lstm():
    with pytest.raises(ValueError, match=r"holds weight_ih_l0_reverse, .* LSTM has no place"):
        from_torch(make("LSTM"), to_torch(make("Bidirectional")))


def test_a_layer_without_weights_has_none_in_keras_and_no_place_in_pytorch():
    assert to_keras(Dropout(0.5)) == []
    from_keras(Flatten(), [])
    with pytest.raises(TypeError, match=r"Dropout\(0.5\) has no weights in PyTorch"):
        to_torch(Dropout(0.5))


@pytest.mark.parametrize("target", [LSTM(4), Bidirectional(LSTM(4)), Sequential([Dense(1)])])
def test_what_was_not_built_yet_is_refused_with_the_remedy(target):
    with pytest.raises(ValueError, match="no parameters yet; build it"):
        to_keras(target)


def test_what_is_no_list_and_no_dict_of_weights_is_refused():
    with pytest.raises(TypeError, match="weights is a int, expected a list"):
        from_keras(make("LSTM"), 5)
    with pytest.raises(TypeError, match="state and prefix are a list"):
        from_torch(make("LSTM"), ["weight_ih_l0"])
    with pytest.raises(TypeError, match="state and prefix are a dict and 5"):
        from_torch(make("LSTM"), to_torch(make("LSTM")), prefix=5)


@pytest.mark.parametrize("wrong", [np.nan, 1e300])
def test_weights_that_are_not_finite_in_the_layer_change_nothing(wrong):
    layer, weights = make("Dense"), [w.astype(float) for w in to_keras(make("Dense"))]
    weights[1][0] = wrong
    with pytest.raises(ValueError, match="holds NaN, infinity or what is too large for float32"):
        from_keras(layer, weights)
    assert_same(layer, make("Dense"))
