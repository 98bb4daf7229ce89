"""What each word adds to the logit: each method against its definition, and its sum where there is one."""

import numpy as np
import pytest
from test_trace import MODELS, TEXT, D, V, finish, make

from minilstm import LSTM, Dense, Embedding, GlobalAveragePooling1D, Sequential
from minilstm.explain import trace
from minilstm.explain.attributions import memory_account, rank_correlations
from minilstm.explain.reader import Reader
from minilstm.training import forward


@pytest.mark.parametrize("name", MODELS)
def test_leave_one_out_is_the_difference_of_two_runs(name):
    model = make(name)
    t, reader = trace(model, TEXT), Reader(model)
    _, ids = reader.split(TEXT)
    whole = reader.logits([ids])[0, 0]
    for n in range(len(ids)):
        without = reader.logits([np.concatenate([ids[:n], ids[n + 1 :]])])[0, 0]
        assert t["leave_one_out"][t.first + n] == pytest.approx(whole - without, abs=1e-12)
    assert not t["leave_one_out"][: t.first].any()  # padding


@pytest.mark.parametrize("name", MODELS)
def test_gradient_times_input_is_the_slope_along_the_vector_of_the_word(name):
    model = make(name)
    t, reader = trace(model, TEXT), Reader(model)
    x, lengths = t["x"][None], None if reader.padded else np.array([len(t.tokens)])
    for n in range(len(t.tokens)):
        scaled = [x.copy(), x.copy()]
        for sign, copy in zip((1, -1), scaled, strict=True):
            copy[0, n] *= 1 + sign * 1e-6
        up, down = (forward(reader.layers[1:], copy, lengths)[0][0, 0] for copy in scaled)
        assert t["gradient_x_input"][n] == pytest.approx((up - down) / 2e-6, abs=1e-7)


@pytest.mark.parametrize("name", MODELS)
def test_integrated_gradients_sum_to_the_difference_between_the_text_and_empty_vectors(name):
    t = trace(make(name), TEXT)
    found, expected = t.checks["integrated_gradients"]
    assert t["integrated_gradients"].sum() == pytest.approx(found, rel=1e-12)
    kinks = name in ("cnn", "cnn-lstm", "relu", "deep")  # over which 50 midpoints step
    assert found == pytest.approx(expected, rel=0.02 if kinks else 1e-4)


def test_the_gradient_methods_are_exact_and_equal_on_a_linear_model():
    model = finish(Sequential([Embedding(V, D), GlobalAveragePooling1D(), Dense(1, "sigmoid")], seed=0))
    t = trace(model, TEXT)
    assert t["integrated_gradients"] == pytest.approx(t["gradient_x_input"], rel=1e-12)
    w = model.layers[-1].params["W"][:, 0].astype(float)  # (D,)
    assert t["gradient_x_input"] == pytest.approx(t["x"] @ w / len(t.tokens), rel=1e-12)


SUMMED = [
    "lstm",
    "deep-lstm",
    "bidirectional",
    "sigmoid",
    "relu",
    "go_backwards",
    "backwards, then forwards",
    "all states, pooled",
    "flattened",
]


@pytest.mark.parametrize("name", SUMMED)
def test_the_memory_sums_to_the_difference_between_the_cell_and_an_empty_one(name):
    t = trace(make(name), TEXT)
    found, expected = t.checks["memory"]
    assert t["memory"].sum() == pytest.approx(found, rel=1e-12)
    assert found == pytest.approx(expected, rel=1e-11)
    assert abs(expected) > 1e-3


@pytest.mark.parametrize("name", ["mul", "pooled", "convolution above", "deep"])
def test_where_the_layers_above_are_not_linear_the_memory_has_no_sum(name):
    t = trace(make(name), TEXT)
    assert "memory" in t.attributions
    assert "memory" not in t.checks


@pytest.mark.parametrize("name", ["cnn", "cnn-lstm"])
def test_where_the_steps_of_an_lstm_are_not_words_there_is_no_memory_of_words(name):
    assert list(trace(make(name), TEXT).attributions) == ["leave_one_out", "gradient_x_input", "integrated_gradients"]


@pytest.mark.parametrize(("name", "last"), [("lstm", -1), ("go_backwards", 0)])
def test_the_memory_of_one_lstm_is_the_account_weighed_by_what_each_unit_adds_to_the_logit(name, last):
    model = make(name)
    t = trace(model, TEXT)
    w = model.layers[-1].params["W"][:, 0].astype(float)  # (H,)
    c, h = t["lstm.c"][last], t["lstm.h"][last]
    assert t["memory"] == pytest.approx(t["lstm.account"] @ (w * h / c), rel=1e-10)
    assert not np.allclose(t["memory"], t["memory"][::-1])


def test_the_account_of_a_hand_worked_example():
    f, i, g = (np.array(a)[:, None] for a in ([0.9, 0.5, 0.25], [1.0, 0.5, 0.5], [1.0, -1.0, 0.5]))
    assert memory_account(f, i, g)[:, 0].tolist() == [0.125, -0.125, 0.25]  # 0.5 * 0.25, 0.25 * -0.5, 0.25
    assert memory_account(f[:0], i[:0], g[:0]).shape == (0, 1)


def test_a_word_planted_in_a_model_that_counts_it_is_found_by_every_method():
    model = make("lstm")
    lstm, dense = model.layers[1], model.layers[-1]
    assert isinstance(lstm, LSTM)
    assert isinstance(dense, Dense)
    E, H = model.layers[0].params["E"], lstm.units
    E[...] = 0
    E[model.tokenizer.word_index["superb"]] = [3, 0, 0]
    for name, p in lstm.params.items():
        p[...] = 0
        if name == "W":
            p[0, 2 * H : 3 * H] = 1  # the candidate sees the first number of the vector
        if name == "b":
            p[: 2 * H] = 4  # write and keep
    dense.params["W"][...] = 1
    t = trace(model, "the music was superb and the plot was not")
    for name, a in t.attributions.items():
        assert t.tokens[int(np.abs(a).argmax())] == "superb", name


def test_rank_correlations_are_spearmans():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, (2, 30)).astype(float)
    assert rank_correlations({"a": a, "b": b})["a", "b"] == pytest.approx(stats.spearmanr(a, b)[0])
    assert np.isnan(rank_correlations({"a": a, "b": np.ones(30)})["a", "b"])
    assert np.isnan(rank_correlations({"a": a[:0], "b": b[:0]})["a", "b"])
