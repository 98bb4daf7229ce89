"""Shards: how a batch is split so that threads can share it, and so that no long text pads all the others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilstm import LSTM, Dense, Embedding, Sequential
from minilstm.data import batching
from minilstm.data.batching import ROWS_PER_SHARD, STEPS_PER_SHARD, shards
from minilstm.data.inputs import Samples


def steps(lengths, parts):
    """How many steps each shard has once it is padded."""
    return [len(part) * int(lengths[part].max()) for part in parts]


@given(st.lists(st.sampled_from([0, 1, 200, 5_000, 60_000, 100_000, 140_000]), min_size=1, max_size=140))
def test_a_shard_has_a_bounded_number_of_steps_or_a_single_text(lengths):
    lengths = np.array(lengths)
    parts = shards(lengths, np.arange(len(lengths)))
    assert sorted(np.concatenate(parts)) == list(range(len(lengths)))
    for part, n in zip(parts, steps(lengths, parts), strict=True):
        assert n <= STEPS_PER_SHARD or len(part) == 1
        assert (np.diff(lengths[part]) <= 0).all()


def test_one_very_long_text_among_short_ones_costs_what_it_costs_alone():
    lengths = np.array([200] * 20 + [100_000] + [200] * 11)
    assert steps(lengths, shards(lengths, np.arange(32))) == [100_000, 31 * 200]


def test_in_a_shard_of_long_texts_at_most_half_is_padding():
    lengths = np.array([40_000, 200, 30_000, 200, 200])
    assert [lengths[part].tolist() for part in shards(lengths, np.arange(5))] == [[40_000, 30_000], [200, 200, 200]]


@pytest.mark.parametrize(("B", "sizes"), [(31, [31]), (32, [16, 16]), (64, [32, 32]), (100, [34, 33, 33])])
def test_texts_of_ordinary_length_are_split_by_number_alone(B, sizes):
    longest_review_of_imdb = 2_500
    lengths = np.random.default_rng(0).integers(1, longest_review_of_imdb, B)
    assert [len(part) for part in shards(lengths, np.arange(B))] == sizes
    assert min(sizes) >= ROWS_PER_SHARD


def test_a_sample_without_a_time_axis_is_one_step_however_many_features_it_has():
    data = Samples([Dense(1)], np.dtype("float32"), np.zeros((32, 20_000)))
    assert [len(part) for part in shards(data.lengths, np.arange(32))] == [16, 16]


@pytest.mark.parametrize("threads", ["1", "3"])
def test_training_and_predictions_are_the_same_however_a_batch_is_sharded(threads, monkeypatch):
    monkeypatch.setenv("MINILSTM_THREADS", threads)
    rng = np.random.default_rng(0)
    x = [rng.integers(1, 20, n) for n in [3, 50, 2, 4, 30, 3]]

    def trained(limit):
        monkeypatch.setattr(batching, "STEPS_PER_SHARD", limit)
        model = Sequential([Embedding(20, 4), LSTM(5), Dense(1, "sigmoid")], seed=0, dtype="float64")
        model.compile(optimizer="sgd")
        model.fit(x, [0, 1, 0, 1, 1, 0], batch_size=6, epochs=2, verbose=0)
        return [*model.get_weights(), model.predict(x, verbose=0)]

    for whole, split in zip(trained(STEPS_PER_SHARD), trained(60), strict=True):
        np.testing.assert_allclose(split, whole, rtol=1e-10)


def test_the_number_of_threads_changes_nothing_bit_for_bit_with_shards_of_long_texts_too(monkeypatch):
    monkeypatch.setattr(batching, "STEPS_PER_SHARD", 60)
    rng = np.random.default_rng(0)
    x = [rng.integers(1, 20, n) for n in [3, 50, 2, 4, 30, 3]]
    weights = []
    for threads in ("1", "3"):
        monkeypatch.setenv("MINILSTM_THREADS", threads)
        model = Sequential([Embedding(20, 4), LSTM(5, dropout=0.2), Dense(1, "sigmoid")], seed=0)
        model.compile()
        model.fit(x, [0, 1, 0, 1, 1, 0], batch_size=6, epochs=2, verbose=0)
        weights.append(model.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))
