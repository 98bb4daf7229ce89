"""Training learns, repeats bit for bit, takes reviews of any length, and says what is wrong with its input."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilstm import (
    LSTM,
    Callback,
    Conv1D,
    Dense,
    Dropout,
    EarlyStopping,
    Embedding,
    Layer,
    MaxPooling1D,
    NotFiniteError,
    Sequential,
    pad_sequences,
)
from minilstm.data.batching import batches
from minilstm.fast import use_numba
from minilstm.losses import BinaryCrossentropy
from minilstm.optimizers import SGD, Adam, RMSprop


def small(seed=0, mask_zero=False, **settings):
    model = Sequential(
        [Embedding(20, 4, mask_zero=mask_zero), Dropout(0.1), LSTM(6), Dense(1, "sigmoid")], seed=seed, **settings
    )
    model.compile(loss="binary_crossentropy", optimizer=Adam(0.01), metrics=["accuracy"])
    return model


def reviews(N=60, seed=0, longest=12):
    """Made-up reviews: positive where the word 7 occurs."""
    rng = np.random.default_rng(seed)
    x = [rng.integers(1, 20, rng.integers(1, longest)) for _ in range(N)]
    return x, np.array([int(7 in row) for row in x])


X, Y = reviews()


def same(a, b):
    return all(np.array_equal(p, q) for p, q in zip(a.get_weights(), b.get_weights(), strict=True))


def test_it_learns_to_spot_a_word():
    x, y = reviews(600)
    model = small()
    history = model.fit(x, y, epochs=12, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] / 2
    assert model.evaluate(*reviews(200, seed=1), verbose=0)[1] > 0.95


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_seed_repeats_a_run_bit_for_bit_and_another_does_not(dtype):
    one, two, other = small(dtype=dtype), small(dtype=dtype), small(seed=1, dtype=dtype)
    histories = [m.fit(X, Y, epochs=2, verbose=0).history for m in (one, two, other)]
    assert same(one, two)
    assert histories[0] == histories[1] != histories[2]


def test_what_the_user_gave_stays_as_it_was():
    x, y = [row.copy() for row in X], Y.copy()
    small().fit(x, y, epochs=1, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(x, X, strict=True))
    assert np.array_equal(y, Y)


def test_one_step_moves_the_weights_against_the_gradient_of_the_loss():
    model = Sequential([Embedding(20, 4), LSTM(6), Dense(1, "sigmoid")], seed=0, dtype="float64")
    model.compile(loss="binary_crossentropy", optimizer="sgd")
    before, loss = model.params, BinaryCrossentropy()
    before = {name: p.copy() for name, p in before.items()}
    x, y = np.array([[1, 2, 3]]), np.array([[1.0]])
    p, caches = model.forward(x)
    grads = model.backward(loss.backward(p, y), caches)
    model.fit(x, [1], verbose=0)
    for name, after in model.params.items():
        np.testing.assert_allclose(after, before[name] - 0.01 * grads[name], rtol=0, atol=1e-16)


def test_ragged_lists_arrays_and_lists_of_lists_are_the_same_reviews():
    expected = small().predict(X, verbose=0)
    assert np.array_equal(small().predict([row.tolist() for row in X], verbose=0), expected)
    alone = [small().predict([row], verbose=0)[0] for row in X]
    np.testing.assert_allclose(alone, expected, atol=1e-6)


@pytest.mark.parametrize("padding", ["pre", "post"])
def test_with_mask_zero_padding_is_dropped_at_the_door_wherever_it_stands(padding):
    padded = pad_sequences(X, maxlen=15, padding=padding)
    assert np.array_equal(small(mask_zero=True).predict(padded, verbose=0), small().predict(X, verbose=0))


def test_without_mask_zero_an_array_is_taken_as_it_is():
    padded = pad_sequences(X, maxlen=15)
    model = small()
    np.testing.assert_allclose(model.predict(padded, verbose=0), model.forward(padded)[0], atol=1e-7)


@pytest.mark.parametrize("x", [[[]], [[], [3, 4]], [[0, 0]]])
def test_an_empty_review_is_no_error_in_predict(x):
    p = small(mask_zero=True).predict(x, verbose=0)
    assert p.shape == (len(x), 1)
    assert np.isfinite(p).all()


def test_predictions_come_in_the_order_of_the_reviews():
    p = small().predict(X, batch_size=7, verbose=0)
    backwards = small().predict(X[::-1], batch_size=7, verbose=0)
    np.testing.assert_allclose(backwards[::-1], p, atol=1e-6)


def test_evaluate_gives_loss_and_accuracy_of_the_predictions():
    model = small()
    p = model.predict(X, verbose=0)[:, 0].astype("float64")
    loss, accuracy = model.evaluate(X, Y, batch_size=7, verbose=0)
    assert loss == pytest.approx(-np.log(np.where(Y == 1, p, 1 - p)).mean(), rel=1e-5)
    assert accuracy == pytest.approx(((p > 0.5) == Y).mean())


def test_without_metrics_evaluate_gives_the_loss_alone():
    model = small()
    model.compile()
    assert len(model.evaluate(X, Y, verbose=0)) == 1


def test_a_model_of_plain_numbers_trains_too():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 5))
    model = Sequential([Dense(1, "sigmoid")], seed=0)
    model.compile(optimizer=Adam(0.1), metrics=["accuracy"])
    model.fit(x, x[:, 0] > 0, epochs=10, verbose=0)
    assert model.evaluate(x, x[:, 0] > 0, verbose=0)[1] > 0.95


def test_sequences_of_vectors_go_into_an_lstm_without_an_embedding():
    model = Sequential([LSTM(3, return_sequences=True)], seed=0)
    assert model.predict(np.zeros((2, 5, 4)), verbose=0).shape == (2, 5, 3)


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_three_classes_are_learnt_from_class_numbers_or_rows(loss):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 3))
    y = x.argmax(axis=1)
    for truth in (y, np.eye(3)[y]):
        model = Sequential([Dense(3, "softmax")], seed=0)
        model.compile(loss=loss, optimizer=Adam(0.1), metrics=["accuracy"])
        model.fit(x, truth, epochs=10, verbose=0)
        assert model.evaluate(x, truth, verbose=0)[1] > 0.95
    with pytest.raises(ValueError, match="y ranges from 1 to 3, expected class numbers: integers from 0 to 2"):
        model.fit(x, y + 1, verbose=0)


def test_texts_too_short_for_the_convolutions_are_no_error():
    model = Sequential([Embedding(20, 4), Conv1D(3, 5), MaxPooling1D(), LSTM(2), Dense(1, "sigmoid")], seed=0)
    together = model.predict([[], [1], [1, 2, 3, 4, 5, 6, 7, 8]], verbose=0)
    alone = [model.predict([x], verbose=0)[0] for x in ([], [1], [1, 2, 3, 4, 5, 6, 7, 8])]
    np.testing.assert_allclose(together, alone, atol=1e-7)


def test_validation_split_holds_out_the_end():
    one, two = small(), small()
    a = one.fit(X, Y, epochs=1, verbose=0, validation_split=0.25).history
    b = two.fit(X[:45], Y[:45], epochs=1, verbose=0, validation_data=(X[45:], Y[45:])).history
    assert a == b
    assert set(a) == {"loss", "accuracy", "val_loss", "val_accuracy", "grad_norm"}


def test_shuffle_false_keeps_the_order_of_the_batches():
    seen = []

    class Spy(Embedding):
        def forward(self, x, lengths=None, train=False, rng=None):
            if train:
                seen.append(sorted(x[np.arange(len(x)), 0].tolist()))
            return super().forward(x, lengths, train, rng)

    model = Sequential([Spy(20, 2), LSTM(2), Dense(1, "sigmoid")], seed=0)
    model.compile()
    model.fit(X, Y, batch_size=7, verbose=0, shuffle=False)
    assert seen == [sorted(row[0] for row in X[n : n + 7]) for n in range(0, len(X), 7)]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=300), st.integers(1, 9), st.booleans())
def test_batches_hold_every_row_once_and_at_most_batch_size(lengths, batch_size, shuffled):
    rng = np.random.default_rng(0) if shuffled else None
    groups = list(batches(np.array(lengths), batch_size, rng))
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(lengths)))
    assert max(map(len, groups)) <= batch_size


def test_batches_put_similar_lengths_together_and_save_most_of_the_padding():
    rng = np.random.default_rng(0)
    lengths = rng.geometric(1 / 200, 3000)
    padded = sum(len(rows) * lengths[rows].max() for rows in batches(lengths, 32, rng))
    assert padded < 1.1 * lengths.sum()


def test_a_column_of_a_table_serves_as_reviews():
    class Column(list):  # as a pandas.Series does
        def to_numpy(self):
            array = np.empty(len(self), object)
            array[:] = list(self)
            return array

    one, two = small(), small()
    one.fit(Column(X), Y, verbose=0)
    two.fit(X, Y, verbose=0)
    assert same(one, two)


def test_an_optimizer_given_to_two_models_is_copied():
    optimizer = Adam()
    for vocabulary in (20, 30):
        model = Sequential([Embedding(vocabulary, 2), LSTM(2), Dense(1, "sigmoid")])
        model.compile(optimizer=optimizer)
        model.fit(X, Y, verbose=0)
    assert optimizer.iterations == 0


def test_with_an_input_length_texts_of_another_length_are_refused_unless_zeros_are_dropped():
    model = Sequential([Embedding(20, 2, input_length=4), LSTM(2)])
    with pytest.raises(ValueError, match=r"x holds a text of 3 tokens.*pad_sequences\(x, maxlen=4\)"):
        model.predict([[1, 2, 3, 4], [1, 2, 3]])
    assert Sequential([Embedding(20, 2, mask_zero=True, input_length=4), LSTM(2)]).predict([[0, 0, 3, 4]]).shape == (
        1,
        2,
    )


def test_fit_within_a_callback_does_not_mix_up_the_histories():
    class Nested:
        def on_epoch_end(self, epoch, logs=None):
            model.fit(X[:4], Y[:4], verbose=0)

    model = small()
    assert model.fit(X, Y, epochs=2, verbose=0, callbacks=[Nested()]).epoch == [0, 1]


def test_numbers_too_large_for_the_dtype_are_refused():
    model = Sequential([Dense(1)])
    model.compile(loss="mse")
    with pytest.raises(ValueError, match="y holds NaN, infinity or what is too large for float32"):
        model.fit(np.ones((2, 3)), [0, 1e300], verbose=0)


# NaN and infinity


class Poisoned(Layer):
    """Pass everything on, but give back a gradient of NaN from the third batch on."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x, lengths=None, train=False, rng=None):
        return x, None

    def backward(self, dy, cache):
        self.calls += 1
        return (dy * np.float32(np.nan) if self.calls > 2 else dy), {}


def stopped(model, x=X, y=Y, **settings):
    """Fit until it stops at a number that is not finite; return the message. The weights are the last good ones."""
    weights = []

    class Watch(Callback):
        def on_train_batch_begin(self, batch, logs=None):
            weights[:] = model.get_weights()

    with pytest.raises(NotFiniteError) as caught:
        model.fit(x, y, verbose=0, **{"batch_size": 10, "callbacks": [Watch()]} | settings)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(weights, model.get_weights(), strict=True))
    assert isinstance(caught.value, ValueError)
    return str(caught.value)


@pytest.mark.parametrize("planted", ["embedding.E", "lstm.U", "dense.b"])
def test_weights_that_are_not_finite_are_named(planted):
    model = small()
    model.params[planted].flat[-1] = np.nan
    message = stopped(model)
    assert f"epoch 1, batch 1: the weights {planted} already hold NaN or infinity" in message
    assert model.optimizer.iterations == 0


def regression(optimizer, scale=1.0, *layers):
    model = Sequential([*layers, Dense(3), Dense(1)], seed=0)
    model.compile(loss="mse", optimizer=optimizer)
    x = np.random.default_rng(0).standard_normal((60, 5)) * scale
    return model, x, x[:, 0]


def test_a_huge_learning_rate_stops_with_step_layer_cause_and_remedy():
    message = stopped(*regression(SGD(1e6)), epochs=9)
    assert re.match(r"epoch 1, batch \d: (in the forward pass, dense|the loss of the output of dense)", message)
    assert re.search(r"Weights go up to .*e\+.*the learning rate, 1e\+06, is too high; try a tenth of it", message)
    assert message.endswith("give the optimiser global_clipnorm=1.0")


def test_samples_that_are_too_large_are_named():
    assert "x goes up to 2.4e+30; scale it to about -1 to 1" in stopped(*regression(SGD(), 1e30))


def test_an_lstm_that_grows_without_limit_is_named():
    model = Sequential([Embedding(20, 4), LSTM(6, "relu"), Dense(1, "sigmoid")], seed=0)
    model.compile()
    model.params["lstm.U"][:] = 1e8
    message = stopped(model)
    assert "lstm produced NaN or infinity" in message
    assert "With activation='relu' the state of an LSTM can grow at each step; use 'tanh'" in message


def test_a_gradient_that_is_not_finite_names_the_layer_that_gave_it_though_the_loss_is_finite():
    model = Sequential([Embedding(20, 4), LSTM(6), Poisoned(), Dense(1, "sigmoid")], seed=0)
    model.compile()
    message = stopped(model)
    assert "epoch 1, batch 3: in the backward pass, poisoned produced NaN or infinity, in dx" in message
    assert "look at Poisoned itself" in message


def test_the_step_is_named_by_epoch_and_batch():
    class Plant(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.params["dense.W"][0] = np.inf

    with pytest.raises(NotFiniteError, match=r"epoch 2, batch 1: the weights dense\.W"):
        small().fit(X, Y, epochs=3, verbose=0, callbacks=[Plant()])


def test_grad_norm_is_the_mean_norm_over_the_steps_before_clipping():
    model = Sequential([Dense(1)], seed=0, dtype="float64")
    model.compile(loss="mse", optimizer=SGD(0.01, global_clipnorm=1e-3))
    x, y = np.random.default_rng(0).standard_normal((20, 3)), np.ones(20)
    norms = []

    class Watch(Callback):
        def on_train_batch_begin(self, batch, logs=None):
            rows = slice(8 * batch, 8 * batch + 8)
            p = x[rows] @ self.model.params["dense.W"] + self.model.params["dense.b"]
            dp = 2 * (p - y[rows, None]) / len(p)
            norms.append(np.sqrt(np.sum((x[rows].T @ dp) ** 2) + dp.sum() ** 2))

    history = model.fit(x, y, batch_size=8, shuffle=False, verbose=0, callbacks=[Watch()]).history
    assert history["grad_norm"] == [pytest.approx(np.mean(norms), rel=1e-12)]


def bad_labels(y):
    return lambda: small().fit(X, y, verbose=0)


def bad_reviews(x):
    return lambda: small().predict(x, verbose=0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (bad_reviews([]), ValueError, "x is empty"),
        (bad_reviews("a great film"), TypeError, "x is a str, expected a list of lists of token ids"),
        (bad_reviews(["a great film"]), TypeError, r"x\[0\] holds .*Tokenizer.texts_to_sequences"),
        (bad_reviews([[1, 2], [1.5]]), TypeError, r"x\[1\] holds float64, expected token ids"),
        (bad_reviews([[1, 2], [[1]]]), ValueError, r"x\[1\] has shape \(1, 1\)"),
        (bad_reviews([1, 2, 3]), TypeError, r"x\[0\] is a int, expected a list"),
        (bad_reviews([[1, 20]]), ValueError, "token 20 is outside 0 to 19.*Tokenizer"),
        (bad_reviews([[1, -1]]), ValueError, "token -1 is outside 0 to 19"),
        (bad_reviews(np.array([[1, 20]])), ValueError, "token 20 is outside 0 to 19"),
        (bad_reviews(np.array([[1.0, 2.0]])), TypeError, "x is float64, expected token ids"),
        (bad_reviews(np.array([1, 2])), ValueError, r"x has shape \(2,\), expected \(N, T\)"),
        (bad_reviews(None), TypeError, "x is a NoneType"),
        (bad_reviews([[2**63]]), ValueError, "token 9223372036854775808 is outside 0 to 19"),
        (bad_reviews([[1, [2, 3]]]), ValueError, r"x\[0\] is not an array of numbers"),
        (bad_reviews({1: [2]}), TypeError, "x is a dict"),
        (bad_reviews(np.array(3)), ValueError, "x is a single number"),
        (bad_reviews(np.ma.masked_array([[1]], [[True]])), TypeError, "x is a masked array"),
        (bad_labels(1), TypeError, "y is a int"),
        (bad_labels([[0], [0, 1]]), ValueError, "y is not an array of numbers"),
        (
            lambda: small().fit(X, Y, validation_data=(X,)),
            TypeError,
            r"validation_data must be a pair \(x, y\), got tuple",
        ),
        (lambda: small().fit(X, Y, validation_data=([], Y)), ValueError, "validation_data: x is empty"),
        (lambda: small().fit(X, Y, validation_split="0.5"), TypeError, "validation_split must be a number"),
        (lambda: small().fit(X, Y, validation_split=0.99), ValueError, "leaves one part of 60 samples empty"),
        (lambda: small().fit(X, Y[1:], validation_split=0.1), ValueError, "y has 59 labels, but x has 60 samples"),
        (lambda: small().fit(X, Y, callbacks=EarlyStopping()), TypeError, r"write callbacks=\[\.\.\.\]"),
        (bad_labels(Y[:-1]), ValueError, "y has 59 labels, but x has 60 samples"),
        (bad_labels(np.stack([Y, Y], axis=1)), ValueError, r"y has shape \(60, 2\), expected \(60, 1\)"),
        (bad_labels(Y + 1), ValueError, r"y goes from 1\.0 to 2\.0, expected 0"),
        (bad_labels(np.where(Y, "pos", "neg")), TypeError, "expected numbers: 1 for positive"),
        (bad_labels(np.where(Y, np.nan, 0)), ValueError, "y holds NaN"),
        (lambda: small().fit(X, Y, batch_size=0), ValueError, "batch_size must be at least 1, got 0"),
        (lambda: small().fit(X, Y, epochs=1.5), TypeError, "epochs must be an integer, got 1.5"),
        (lambda: small().fit(X, Y, validation_split=1), ValueError, "validation_split is 1"),
        (lambda: small().predict(X, batch_size=0), ValueError, "batch_size"),
        (lambda: small().evaluate(X, Y, batch_size=-1), ValueError, "batch_size"),
        (lambda: small().fit(X, Y, callbacks=["early"]), TypeError, "'early' is not a callback"),
        (lambda: Sequential([Embedding(20, 2), Dense(1)]).fit(X, Y), ValueError, "no loss yet; call model.compile"),
        (lambda: Sequential([Dense(1)]).predict(["text"]), TypeError, "expected numbers"),
        (lambda: Sequential([Dense(1)]).predict(np.ones(3)), ValueError, r"x has shape \(3,\)"),
        (lambda: Sequential([Dense(1)]).predict([[np.nan]]), ValueError, "x holds NaN"),
        (
            lambda: Sequential([Embedding(20, 2), LSTM(2, return_sequences=True)]).predict(X),
            ValueError,
            "time axis.*pad_sequences",
        ),
    ],
)
def test_bad_input_is_named_with_what_was_expected_and_what_to_do(call, error, message):
    with pytest.raises(error, match=message):
        call()


# What may move


def trained(freeze=lambda model: None, **settings):
    """A small model after two epochs, and its weights before."""
    model = Sequential([Embedding(9, 3), LSTM(2), Dense(1, "sigmoid")], seed=0)
    model.compile(RMSprop(**settings), "binary_crossentropy")
    before = {name: p.copy() for name, p in model.params.items()}
    freeze(model)
    model.fit([[1, 2], [3, 4, 5], [8]], [0, 1, 1], epochs=2, verbose=0)
    return model, before


def freeze_first(model):
    model.layers[0].trainable = False


@pytest.mark.parametrize("twins", [True, False])
def test_a_frozen_layer_does_not_move_and_the_others_do(twins):
    with use_numba(twins):
        model, before = trained(freeze_first)
    assert np.array_equal(model.params["embedding.E"], before["embedding.E"])
    assert all((model.params[name] != before[name]).any() for name in before if not name.startswith("embedding."))
    assert not model.optimizer.state["v"].get("embedding.E", np.zeros(1)).any()


def test_a_frozen_layer_plays_no_part_in_the_norm_that_is_clipped():
    model, _ = trained(freeze_first)
    loose, _ = trained()
    assert model.history.history["grad_norm"][0] < loose.history.history["grad_norm"][0]


def test_a_frozen_model_stays_as_it_is_and_learns_once_it_is_free_again():
    def freeze(model):
        model.trainable = False

    model, before = trained(freeze)
    assert not model.trainable
    assert all(np.array_equal(model.params[name], p) for name, p in before.items())
    model.trainable = True
    model.fit([[1, 2], [3]], [0, 1], verbose=0)
    assert not any(np.array_equal(model.params[name], p) for name, p in before.items())


@pytest.mark.parametrize("attribute", ["lr", "learning_rate"])
def test_the_learning_rate_can_be_set_after_compiling_by_either_name(attribute):
    set_later, _ = trained(lambda model: setattr(model.optimizer, attribute, 0.1))
    given, _ = trained(learning_rate=0.1)
    assert set_later.optimizer.lr == set_later.optimizer.learning_rate == 0.1
    assert all(np.array_equal(set_later.params[name], p) for name, p in given.params.items())


@pytest.mark.parametrize("name", ["acc", "accuracy"])
def test_the_accuracy_has_the_name_that_it_was_asked_for(name):
    model = Sequential([Embedding(9, 3), LSTM(2), Dense(1, "sigmoid")], seed=0)
    model.compile("adam", metrics=[name])
    history = model.fit([[1], [2]], [0, 1], validation_data=([[1]], [0]), verbose=0).history
    assert set(history) == {"loss", name, "val_loss", f"val_{name}", "grad_norm"}


@pytest.mark.parametrize(("rate", "error"), [(float("nan"), ValueError), (-1.0, ValueError), ("0.1", TypeError)])
def test_a_learning_rate_that_was_changed_to_nonsense_is_refused_before_a_step(rate, error):
    model, (x, y) = small(), reviews()
    model.fit(x, y, verbose=0)
    model.optimizer.learning_rate = rate
    before = model.get_weights()
    with pytest.raises(error, match="learning_rate"):
        model.fit(x, y, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_two_layers_of_the_same_name_are_not_trained_as_one():
    model, (x, y) = small(), reviews()
    model.layers[2].name = model.layers[3].name = "mine"
    for use in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=r"two layers have the same name; set layer\.name"):
            use(x, y, verbose=0)
