"""A batch as Words gives what it gives as an array, in every model, on one thread or many."""

import numpy as np
import pytest

from minilstm import (
    LSTM,
    SGD,
    Adam,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    GlobalMaxPooling1D,
    MaxPooling1D,
    RMSprop,
    Sequential,
    use_numba,
)
from minilstm.layer import Words, flip
from minilstm.losses import BinaryCrossentropy
from minilstm.optimizers import Optimizer
from minilstm.training import Shard, shards, train_step
from minilstm.words import RowGradient, add_up, scatter_rows, words_of

V, LENGTHS = 12, np.array([9, 7, 3, 0, 9])
MODELS = {
    "CNN": lambda: [Conv1D(6, 3, activation="relu"), GlobalMaxPooling1D()],
    "strided CNN": lambda: [Conv1D(6, 3, 2, "same", activation="sigmoid"), GlobalMaxPooling1D()],
    "LSTM": lambda: [LSTM(5)],
    "LSTM, backwards": lambda: [LSTM(5, go_backwards=True)],
    "LSTM with dropout": lambda: [LSTM(5, dropout=0.4, recurrent_dropout=0.3)],
    "dropout before": lambda: [Dropout(0.4), LSTM(5)],
    "deep LSTM": lambda: [LSTM(5, return_sequences=True), LSTM(4)],
    "bidirectional LSTM": lambda: [Bidirectional(LSTM(5, return_sequences=True), "mul"), Bidirectional(LSTM(5))],
    "CNN-LSTM": lambda: [Conv1D(6, 3, activation="relu"), MaxPooling1D(2), LSTM(5)],
}
every_model = pytest.mark.parametrize("name", MODELS)
both_paths = pytest.mark.parametrize("numba", [False, True], ids=["plain", "kernels"])


def make(name, dtype="float64"):
    return Sequential([Embedding(V, 4), *MODELS[name](), Dense(1, activation="sigmoid")], seed=0, dtype=dtype)


def batch(rng, dtype="float64"):
    return rng.integers(0, V, (5, 9)), rng.integers(0, 2, (5, 1)).astype(dtype)


def dense(gradient, p):
    """The gradient as an array."""
    if not isinstance(gradient, RowGradient):
        return gradient
    g = np.zeros_like(p)
    g[gradient.at] = gradient.rows
    return g


def run(model, x, y):
    """Predictions and gradients, with dropout drawn alike."""
    p, caches = model.forward(x, LENGTHS, True, np.random.default_rng(3))
    grads = model.backward(BinaryCrossentropy().backward(p, y), caches)
    return [p, *(dense(grads[name], array) for name, array in model.params.items())]


@both_paths
def test_an_embedding_hides_the_same_words_wherever_they_stand_in_words_and_in_an_array(numba):
    x, _ = batch(np.random.default_rng(1))
    layer = Embedding(V, 4, dropout=0.4)
    layer.build((9,), np.random.default_rng(0), "float64")
    y, cache = layer.forward(x, LENGTHS, True, np.random.default_rng(2))
    with use_numba(numba):
        words, words_cache = layer.forward(words_of(x, LENGTHS, V), LENGTHS, True, np.random.default_rng(2))
    np.testing.assert_array_equal(words.spread(), y)
    seen = (y != 0).any(axis=2)
    np.testing.assert_allclose(y[seen], layer.params["E"][x[seen]] / 0.6)
    live = np.arange(9) < LENGTHS[:, None]
    hidden = set(x[live & (y == 0).all(axis=2)])
    assert 0 < len(hidden) < V
    assert not hidden & set(x[live & (y != 0).any(axis=2)])

    dy = np.random.default_rng(3).standard_normal(y.shape) * live[:, :, None]
    drows = np.zeros_like(words.rows)
    scatter_rows(drows, dy, words.index)
    dE = layer.backward(dy, cache)[1]["E"]
    dE_words = dense(layer.backward(Words(drows, words.index), words_cache)[1]["E"], layer.params["E"])
    np.testing.assert_allclose(dE_words, dE, atol=1e-12)
    assert np.all(dE[sorted(hidden)] == 0)


@both_paths
@every_model
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
def test_words_give_the_predictions_and_gradients_that_an_array_gives_on_the_plain_path(
    name, dtype, tolerance, numba, rng
):
    model, (x, y) = make(name, dtype), batch(rng, dtype)
    with use_numba(False):
        expected = run(model, x, y)
    with use_numba(numba):
        got = run(model, words_of(x, LENGTHS, V), y)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance * max(1, np.abs(b).max()), rtol=0)


def test_words_stand_for_the_array_they_were_made_of(rng):
    x = rng.integers(0, V, (5, 9))
    words = words_of(x, LENGTHS, V)
    live = np.arange(9) < LENGTHS[:, None]
    assert words.shape == (5, 9)
    assert np.array_equal(words.spread(), np.where(live, x, 0))
    assert np.array_equal(words.rows, np.unique(x[live]))
    assert np.array_equal(flip(words, LENGTHS).spread(), flip(words.spread(), LENGTHS))


def test_a_token_outside_the_vocabulary_never_reaches_a_kernel():
    for token in (-1, V):
        with pytest.raises(ValueError, match=f"token {token} is outside 0 to 11"):
            words_of(np.array([[token]]), None, V)


def test_a_layer_of_your_own_is_given_arrays_also_where_it_derives_from_one_that_takes_words(rng):
    class Doubled(LSTM):
        def forward(self, x, *arguments):
            assert isinstance(x, np.ndarray)
            return super().forward(2 * x, *arguments)

    model = Sequential([Embedding(V, 4), Doubled(3), Dense(1, "sigmoid")], seed=0)
    model.forward(words_of(rng.integers(0, V, (5, 9)), None, V))


@every_model
def test_the_gradient_of_a_batch_is_the_sum_over_its_shards(name, rng):
    """What a step of plain gradient descent with a rate of 1 takes away is the gradient."""
    if "dropout" in name:
        pytest.skip("every shard draws masks of its own")
    x, y = batch(rng)
    whole, split = make(name), make(name)
    train_step(whole, BinaryCrossentropy(), SGD(1.0), [Shard(words_of(x, LENGTHS, V), LENGTHS, y)])
    parts = [np.array([0, 3]), np.array([4, 1, 2])]
    train_step(
        split,
        BinaryCrossentropy(),
        SGD(1.0),
        [Shard(words_of(x[part], LENGTHS[part], V), LENGTHS[part], y[part]) for part in parts],
    )
    for a, b in zip(split.params.values(), whole.params.values(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_shards_share_out_all_rows_and_each_begins_with_its_longest(rng):
    lengths = rng.integers(0, 50, 100)
    rows = rng.permutation(100)[:70]
    parts = shards(lengths, rows)
    assert len(parts) > 1
    assert sorted(np.concatenate(parts)) == sorted(rows)
    for part in parts:
        assert (np.diff(lengths[part]) <= 0).all()


@pytest.mark.parametrize("name", ["LSTM with dropout", "CNN-LSTM"])
def test_a_seed_repeats_a_run_bit_for_bit_on_any_number_of_threads(name, rng, monkeypatch):
    x = [rng.integers(0, V, n) for n in rng.integers(1, 30, 100)]
    y = rng.integers(0, 2, 100)
    weights = []
    for threads in ("1", "2", "2", "5"):
        monkeypatch.setenv("MINILSTM_THREADS", threads)
        model = make(name, "float32")
        model.compile("rmsprop")
        history = model.fit(x, y, batch_size=64, epochs=2, verbose=0).history
        weights.append([*model.get_weights(), np.array(history["loss"]), model.predict(x, verbose=0)])
    for other in weights[1:]:
        for a, b in zip(weights[0], other, strict=True):
            assert np.array_equal(a, b)


def test_the_loss_falls_alike_on_the_fast_and_on_the_plain_path(rng):
    x = [rng.integers(0, V, n) for n in rng.integers(1, 30, 100)]
    y = rng.integers(0, 2, 100)
    curves = []
    for numba in (True, False):
        model = make("bidirectional LSTM")
        model.compile(RMSprop(0.01))
        with use_numba(numba):
            curves.append(model.fit(x, y, batch_size=32, epochs=6, verbose=0).history["loss"])
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-9)
    assert curves[0][-1] < curves[0][0]


@pytest.mark.parametrize("threads", ["0", "many", "-1"])
def test_a_number_of_threads_that_is_none_is_refused(threads, monkeypatch):
    monkeypatch.setenv("MINILSTM_THREADS", threads)
    model = make("LSTM")
    with pytest.raises(ValueError, match=f"MINILSTM_THREADS is '{threads}', expected a whole number of at least 1"):
        model.predict([[1, 2]])


@pytest.mark.parametrize("optimizer", [SGD(0.1, 0.9), SGD(0.1, 0.9, nesterov=True), RMSprop(), Adam()])
def test_a_row_gradient_moves_a_matrix_as_the_whole_gradient_does(optimizer: Optimizer, rng):
    start = rng.standard_normal((6, 3))
    some, whole = {"E": start.copy()}, {"E": start.copy()}
    one, other = optimizer.fresh(), optimizer.fresh()
    one.global_clipnorm = other.global_clipnorm = 1.5
    for _ in range(5):
        at = rng.permutation(6)[:4]
        gradient = RowGradient(at, rng.standard_normal((4, 3)))
        one.step(some, {"E": gradient})
        other.step(whole, {"E": dense(gradient, start)})
        np.testing.assert_allclose(some["E"], whole["E"], atol=1e-15)


def test_row_gradients_add_up_where_they_meet(rng):
    parts = [RowGradient(np.array(at, int), rng.standard_normal((len(at), 2))) for at in ([1, 4], [], [0, 1, 5])]
    total = add_up(parts)
    p = np.zeros((6, 2))
    assert np.array_equal(total.at, [0, 1, 4, 5])
    np.testing.assert_allclose(dense(total, p), sum(dense(part, p) for part in parts))


@both_paths
@every_model
def test_a_batch_without_a_word_is_no_error(name, numba):
    model, lengths = make(name), np.zeros(3, np.int64)
    with use_numba(numba):
        p, caches = model.forward(
            words_of(np.zeros((3, 1), np.int64), lengths, V), lengths, True, np.random.default_rng(0)
        )
        grads = model.backward(np.ones_like(p), caches)
    assert np.isfinite(p).all()
    assert dense(grads["embedding.E"], model.params["embedding.E"]).any() == np.False_


def test_the_gradient_of_words_is_words_with_an_index_of_its_own(rng):
    layer = LSTM(3)
    layer.build((None, 4), rng, "float64")
    x = Words(rng.standard_normal((V, 4)), rng.integers(0, V, (2, 5)))
    y, cache = layer.forward(x)
    dx, _ = layer.backward(np.ones_like(y), cache)
    assert isinstance(dx, Words)
    assert dx.rows.shape == x.rows.shape
