"""A model hands arrays through its layers, and says what is wrong while it is being put together."""

import numpy as np
import pytest

from minilstm import LSTM, Dense, Dropout, Embedding, Layer, Sequential


def small(**settings):
    return Sequential([Embedding(9, 3), LSTM(4), Dense(1, activation="sigmoid")], seed=0, **settings)


def test_forward_is_each_layer_after_the_other():
    model = small()
    tokens, lengths = np.array([[1, 2, 3], [4, 0, 0]]), np.array([3, 1])
    y, caches = model.forward(tokens, lengths)
    embedding, lstm, dense = model.layers
    by_hand = dense.forward(lstm.forward(embedding.forward(tokens, lengths)[0], lengths)[0])[0]
    assert np.array_equal(y, by_hand)
    assert len(caches) == 3


def test_layers_get_names_of_their_own_and_params_are_the_arrays_themselves():
    model = Sequential([Embedding(9, 3), LSTM(4, return_sequences=True), LSTM(4), Dense(1)])
    assert list(model.params) == [
        "embedding.E", "lstm.W", "lstm.U", "lstm.b", "lstm_1.W", "lstm_1.U", "lstm_1.b", "dense.W", "dense.b",
    ]  # fmt: skip
    assert model.params["lstm.W"] is model.layers[1].params["W"]


def test_the_same_seed_gives_the_same_start_in_either_dtype():
    one, two, double = small(), small(), small(dtype="float64")
    for a, b, c in zip(one.get_weights(), two.get_weights(), double.get_weights(), strict=True):
        assert np.array_equal(a, b)
        assert a.dtype == np.float32
        assert c.dtype == np.float64
        np.testing.assert_allclose(a, c, atol=1e-6)


def test_a_layer_of_the_same_name_as_one_of_ours_gets_a_name_of_its_own():
    class Dense(Layer):
        pass

    model = Sequential([Dense(), small().layers[2].__class__(2), Dense()])
    assert [layer.name for layer in model.layers] == ["dense", "dense_1", "dense_2"]


def test_a_layer_that_another_model_built_is_not_built_again():
    shared = Dense(1)
    Sequential([shared]).predict(np.ones((1, 2)), verbose=0)
    with pytest.raises(ValueError, match="has weights already"):
        Sequential([Dense(2), shared]).predict(np.ones((1, 2)), verbose=0)


def test_weights_go_out_as_copies_and_back_in():
    model = small()
    weights = model.get_weights()
    weights[0][:] = 7
    assert not (model.params["embedding.E"] == 7).any()
    model.set_weights(weights)
    assert (model.params["embedding.E"] == 7).all()


def test_weights_of_the_wrong_shape_are_refused_and_change_nothing():
    model = small()
    before = model.get_weights()
    with pytest.raises(ValueError, match="set_weights: got shapes"):
        model.set_weights([np.zeros((9, 3))])
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("wrong", [["x"], [None], [1j]])
def test_weights_that_are_no_numbers_are_refused_and_change_nothing(wrong):
    model = small()
    before = model.get_weights()
    weights = [w + 1 for w in before[:-1]] + [np.array(wrong)]
    with pytest.raises(TypeError, match="expected numbers"):
        model.set_weights(weights)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_the_summary_shows_shapes_and_counts():
    lines = []
    small().summary(print_fn=lines.append)
    assert lines[1].split() == ["embedding", "(Embedding)", "(None,", "None,", "3)", "27"]
    assert lines[2].split()[-1] == "128"
    assert lines[-1].split() == ["total", "160"]


def test_an_input_length_fixes_the_time_axis():
    model = Sequential([Embedding(9, 3, input_length=7), LSTM(2, return_sequences=True)])
    assert model.shapes[-1] == (7, 2)


def test_a_model_without_embedding_is_built_when_it_sees_its_first_data():
    model = Sequential([Dropout(0.1), Dense(2)], seed=0)
    with pytest.raises(ValueError, match="shapes are not known yet"):
        model.summary()
    assert model.predict(np.ones((5, 3)), verbose=0).shape == (5, 2)
    assert model.shapes[-1] == (2,)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Sequential(dtype="float16"), ValueError, "dtype is float16, expected 'float32' or 'float64'"),
        (lambda: Sequential(dtype=None), ValueError, "dtype is None"),
        (lambda: Sequential(seed=-1), ValueError, "seed is -1, expected an integer of at least 0"),
        (
            lambda: Sequential(Dense(1)),
            TypeError,
            r"layers is one Dense, expected a list; write Sequential\(\[\.\.\.\]\)",
        ),
        (lambda: Sequential(np.array(4)), TypeError, "layers is one ndarray, expected a list"),
        (lambda: Sequential(small().layers), ValueError, "has weights already"),
        (lambda: Sequential(["LSTM"]), TypeError, "'LSTM' is not a Layer"),
        (lambda: Sequential([Embedding(5, 2), LSTM]), TypeError, r"is not a Layer; write LSTM\(\.\.\.\)"),
        (lambda: Sequential([Embedding(5, 2), LSTM(3), LSTM(3)]), ValueError, "return_sequences=True"),
        (lambda: Sequential([Embedding(5, 2), Embedding(5, 2)]), ValueError, r"expected \(T,\): token ids"),
        (lambda: Sequential([Embedding(5, 2), LSTM(3, return_state=True)]), ValueError, "by hand"),
        (lambda: Sequential([layer := Dense(3), layer]), ValueError, "in the model already"),
        (lambda: Sequential().predict([[1]]), ValueError, "the model has no layers"),
        (lambda: Sequential().build((None,)), ValueError, "the model has no layers"),
        (lambda: Embedding(0, 3), ValueError, "input_dim must be at least 1, got 0"),
        (lambda: Embedding(5, True), TypeError, "output_dim must be an integer, got True"),
        (lambda: Embedding(5, 3, input_length=0), ValueError, "input_length must be at least 1"),
        (lambda: Dense(3, "softplus"), ValueError, "activation='softplus' is unknown"),
        (lambda: Dropout(1), ValueError, "rate is 1, expected 0 <= rate < 1"),
        (lambda: small().compile(loss="hinge"), ValueError, "loss='hinge' is unknown"),
        (lambda: small().compile(optimizer="lion"), ValueError, "optimizer='lion' is unknown"),
        (lambda: small().compile(metrics=["auc"]), ValueError, "'auc' is unknown; choose 'accuracy'"),
        (lambda: small().compile(metrics="accuracy"), TypeError, r"write metrics=\['accuracy'\]"),
    ],
)
def test_what_does_not_fit_is_refused_at_once_with_the_remedy(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_dense_after_an_unknown_length_says_what_to_give(rng):
    with pytest.raises(ValueError, match="input_length"):
        Dense(2).build((None,), rng, "float32")


def test_dropout_needs_random_numbers_while_training_only():
    x = np.ones((2, 3))
    assert np.array_equal(Dropout(0.5).forward(x)[0], x)
    with pytest.raises(ValueError, match="rng is None"):
        Dropout(0.5).forward(x, train=True)


def test_dropout_hides_the_share_asked_for_and_keeps_the_mean(rng):
    y, _ = Dropout(0.25).forward(np.ones((100, 1000)), None, True, rng)
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.005)
    assert y.mean() == pytest.approx(1, abs=0.01)


def test_a_layer_shows_the_call_that_makes_it():
    assert repr(LSTM(3, return_sequences=True)) == "LSTM(3, return_sequences=True)"
    assert repr(Embedding(9, 3)) == "Embedding(9, 3)"


def test_the_base_layer_says_which_method_is_missing(rng):
    assert Layer().build((3,), rng, "float32") == (3,)
    with pytest.raises(NotImplementedError, match="forward is missing"):
        Layer().forward(np.ones(1))
    with pytest.raises(NotImplementedError, match="backward is missing"):
        Layer().backward(np.ones(1), None)
