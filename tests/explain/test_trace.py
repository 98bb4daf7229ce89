"""A trace: what the layers compute, for every architecture, and the exact gradients of the logit."""

import copy
import warnings
from argparse import Namespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilstm import (
    LSTM,
    Activation,
    AveragePooling1D,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    Layer,
    Sequential,
    Tokenizer,
    textbook,
)
from minilstm.data import load_builtin
from minilstm.explain import Trace, trace, untrained
from minilstm.explain.reader import Reader
from minilstm.gradcheck import compare, perturb
from minilstm.layers import lstm as lstm_file
from minilstm.tools.architectures import NAMES, make_classifier
from minilstm.tools.report import COMPLEX_LIMIT
from minilstm.training import forward

(TEXTS, _), _ = load_builtin(40)
TEXT = "The plot was not dull, but zebra I thought the music"  # shorter than MAXLEN
V, D, H, MAXLEN = 90, 3, 2, 12
PADDED = ("cnn", "padded", "flattened")  # models of texts of a fixed length
BODIES = {
    "go_backwards": [LSTM(H, go_backwards=True)],
    "backwards, then forwards": [LSTM(H, return_sequences=True, go_backwards=True), LSTM(H, "sigmoid")],
    "relu": [LSTM(5, "relu")],
    "sigmoid": [LSTM(H, "sigmoid", "linear")],
    "bidirectional, then one": [Bidirectional(LSTM(H, return_sequences=True)), LSTM(H)],
    "padded": [LSTM(H)],
    "flattened": [Bidirectional(LSTM(H, "sigmoid", return_sequences=True)), Flatten()],
    "mul": [Bidirectional(LSTM(H), "mul")],
    "all states, pooled": [Bidirectional(LSTM(H, "sigmoid", return_sequences=True), "sum"), GlobalAveragePooling1D()],
    "pooled": [LSTM(H, return_sequences=True), GlobalAveragePooling1D(), Dense(3, "tanh")],
    "convolution above": [LSTM(H, return_sequences=True), Conv1D(2, 3, padding="same"), AveragePooling1D(2), LSTM(H)],
    "deep": [
        Dense(3, "relu"),
        LSTM(H, return_sequences=True),
        Dropout(0.5),
        LSTM(H),
        Dense(2, "tanh"),
        Activation("relu"),
    ],
}


def finish(model, scale=0.5):
    """Give a model a tokenizer, labels and weights that are far from their start."""
    model.tokenizer = Tokenizer(num_words=V)
    model.tokenizer.fit_on_texts(TEXTS)
    model.metadata = {"labels": ["negative", "positive"], "maxlen": MAXLEN}
    rng = np.random.default_rng(5)
    model.set_weights([perturb(rng, scale * p) for p in model.params.values()])
    return model


def make(name, K=2, dtype="float32"):
    """Make one of the five architectures, or a model with one of the bodies above."""
    if name in NAMES:
        settings = Namespace(model=name, maxlen=MAXLEN, vocab_size=V, embedding_dims=D, hidden_dims=H, dropout=0.2)
        settings.learning_rate, settings.seed, settings.word_dropout = 0.01, 0, 0.2
        return finish(make_classifier(settings, K))
    body = copy.deepcopy(BODIES[name])
    last = Dense(1, "sigmoid") if K == 2 else Dense(K, "softmax")
    return finish(
        Sequential([Embedding(V, D, input_length=MAXLEN if name in PADDED else None), *body, last], seed=0, dtype=dtype)
    )


MODELS = (*NAMES, *BODIES)


@pytest.mark.parametrize("name", MODELS)
def test_the_last_prediction_is_that_of_the_model_and_every_other_that_of_the_beginning_of_the_text(name):
    model = make(name)
    t, reader = trace(model, TEXT), Reader(model)
    _, ids = reader.split(TEXT)
    assert len(t["logit"]) == len(ids) + 1
    with textbook():
        for n in range(len(ids) + 1):
            x = reader.batch([ids[:n]])[0] if reader.padded else [ids[:n]]
            p = model.predict(x, verbose=0)[0, 0]
            assert t["probability"][n] == pytest.approx(p, abs=1e-5), n
    assert t["probability"] == pytest.approx(1 / (1 + np.exp(-t["logit"])), rel=1e-12)


@pytest.mark.parametrize("name", ["lstm", "deep-lstm", "relu", "deep"])
def test_reading_the_prefixes_off_the_states_gives_what_a_run_on_each_prefix_gives(name):
    reader = Reader(make(name))
    _, ids = reader.split(TEXT)
    _, caches = forward(reader.layers, *reader.batch([ids]))
    fast = reader.running_logits(ids, caches)
    assert fast == pytest.approx(reader.logits([ids[:n] for n in range(len(ids) + 1)]), rel=1e-12)


def run_on(layers, x, lengths=None):
    """Run layers on numbers of any dtype, which their weights get too: the output."""
    layers = copy.deepcopy(layers)
    for layer in layers:
        layer.params = {name: p.astype(x.dtype) for name, p in layer.params.items()}
    return forward(layers, x, lengths)[0]


def assert_exact(f, x, dx):
    """Compare a gradient with the complex step."""
    report = compare("logit", lambda arrays: f(arrays["x"]), {"x": x}, {"x": dx})
    assert all(check.complex_step <= COMPLEX_LIMIT for check in report.checks), report


@pytest.mark.parametrize("name", MODELS)
def test_the_gradients_of_every_layers_output_are_those_of_the_complex_step(name):
    model = make(name)
    t, reader = trace(model, TEXT), Reader(model)
    lengths = reader.batch([reader.split(TEXT)[1]])[1]
    for n, layer in enumerate(reader.layers[:-1]):
        y = t[f"{layer.name}.y"]
        inner, steps = reader.layers[n + 1 :], lengths
        for below in reader.layers[: n + 1]:
            steps = below.out_lengths(steps)
        assert_exact(lambda a, inner=inner, steps=steps: run_on(inner, a[None], steps)[0, 0], y, t[f"{layer.name}.dy"])
    assert t["dx"] == pytest.approx(t["embedding.dy"], rel=0, abs=0)


def logit_from_step(reader, t, at, h, c):
    """Run the last LSTM from step ``at`` on with other states, and the layers above it: the logit."""
    layer = next(layer for layer in reversed(reader.layers) if isinstance(layer, LSTM))
    n = reader.layers.index(layer)
    below = t[f"{reader.layers[n - 1].name}.y"][None]
    dtype = np.result_type(h, c)
    W, U, b = (layer.params[key].astype(dtype) for key in "WUb")
    rest, h, c = below[:, at + 1 :].astype(dtype), h[None].astype(dtype), c[None].astype(dtype)
    (_, h, _), _ = lstm_file.lstm_forward(rest, W, U, b, h, c, None, layer.activation, layer.recurrent_activation)
    return run_on(reader.layers[n + 1 :], h)[0, 0]


@pytest.mark.parametrize("name", ["lstm", "deep-lstm", "sigmoid", "relu", "cnn-lstm"])
def test_the_gradients_of_the_states_are_those_of_the_complex_step(name):
    model = make(name)
    t, reader = trace(model, TEXT), Reader(model)
    layer = t.lstms[-1]
    phi = lstm_file.get_activation(next(r.activation for r in reversed(reader.layers) if isinstance(r, LSTM)))

    def check(at):
        h, c, o = (t[f"{layer}.{key}"][at] for key in "hco")
        paths = {key: t[f"{layer}.d{key}_path"][at] for key in "hc"}
        if at + 1 == len(t[f"{layer}.h"]):  # from outside, h_T alone
            assert paths["h"] == pytest.approx(0)
            assert paths["c"] == pytest.approx(0)
        else:
            assert_exact(lambda h: logit_from_step(reader, t, at, h, c), h, paths["h"])
            assert_exact(lambda c: logit_from_step(reader, t, at, h, c), c, paths["c"])
        assert_exact(lambda h: logit_from_step(reader, t, at, h, c), h, t[f"{layer}.dh"][at])
        # with h_t = o_t φ(c_t), which moves when c_t does
        assert_exact(lambda c: logit_from_step(reader, t, at, o * phi.forward(c), c), c, t[f"{layer}.dc"][at])

    for at in range(len(t[f"{layer}.h"])):
        check(at)


@pytest.mark.parametrize("name", MODELS)
def test_the_gates_and_states_obey_the_equations_of_the_lstm(name):
    t = trace(make(name), TEXT)
    for lstm in t.lstms:
        i, f, g, o, c, h, c_prev = (t[f"{lstm}.{key}"] for key in ("i", "f", "g", "o", "c", "h", "c_prev"))
        assert c == pytest.approx(f * c_prev + i * g, rel=1e-12)  # (3)
        later = slice(None, -1), slice(1, None)
        now, before = later if "backward" in lstm or name == "go_backwards" else later[::-1]
        if name != "backwards, then forwards":
            assert np.array_equal(c_prev[now], c[before])
        assert h.shape == o.shape == c.shape == i.shape


def test_the_gradients_of_the_states_in_a_bidirectional_belong_to_the_words_where_they_are():
    t = trace(make("bidirectional, then one"), TEXT)
    for part, name in zip(np.split(t["bidirectional.dy"], 2, axis=1), ("forward", "backward"), strict=True):
        dh, path = t[f"bidirectional.{name}.dh"], t[f"bidirectional.{name}.dh_path"]
        assert dh - path == pytest.approx(part, rel=1e-12, abs=1e-15)
        assert not np.allclose(part, part[::-1])


def test_the_steps_of_an_lstm_that_reads_backwards_are_in_the_order_of_the_text():
    model = make("bidirectional")
    t, backward = trace(model, TEXT), copy.deepcopy(model)
    lstm = backward.layers[1].reverse
    x = t["x"][None, ::-1].astype(np.float32)
    _, cache = lstm.forward(x)
    assert t["bidirectional.backward.h"][::-1] == pytest.approx(cache.h[1:, 0], abs=1e-6)
    assert t["bidirectional.backward.account"].sum(axis=0) == pytest.approx(t["bidirectional.backward.c"][0], rel=1e-12)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "cnn"])
def test_the_account_of_the_memory_is_exact(name):
    t = trace(make(name), TEXT)
    for lstm in t.lstms:
        c = t[f"{lstm}.c"]
        last = c[0] if "backward" in lstm or name == "go_backwards" else c[-1]
        if name == "backwards, then forwards":
            last = c[0]  # the second LSTM reads what the first wrote, so the last word first
        assert t[f"{lstm}.account"].sum(axis=0) == pytest.approx(last, rel=1e-12)


def test_words_that_the_model_does_not_read_are_marked():
    model = make("lstm")
    t = trace(model, "The plot zebra was dull. " + "The music was good! " * 3)
    assert [word.text for word in t.words][:5] == ["the", "plot", "zebra", "was", "dull"]
    assert [word.known for word in t.words][:5] == [True, True, False, True, True]
    assert [word.position for word in t.words] == [None] * 5 + list(range(12))
    assert t.tokens == ("the", "music", "was", "good") * 3
    assert t["ids"].tolist() == model.tokenizer.texts_to_sequences([" ".join(t.tokens)])[0]


def test_with_an_oov_token_an_unknown_word_is_read_but_not_known():
    model = make("lstm")
    model.tokenizer = Tokenizer(num_words=V, oov_token="<oov>")
    model.tokenizer.fit_on_texts(TEXTS)
    t = trace(model, "the zebra was")
    assert [(word.known, word.position) for word in t.words] == [(True, 0), (False, 1), (True, 2)]
    assert t["ids"][1] == 1
    assert t.tokens == ("the", "zebra", "was")


@given(
    st.lists(st.sampled_from(["the", "Plot", "İst", "Σς", "straße", "🎉", "<br />", '"', "电影", "x" * 40, " ", "."]))
)
def test_a_text_is_split_as_the_tokenizer_splits_it(parts):
    model = make("lstm")
    model.tokenizer.fit_on_texts(["İst Σς straße 🎉 电影"])
    for text in (" ".join(parts), "".join(parts)):
        _, ids = Reader(model).split(text)
        assert ids.tolist() == model.tokenizer.texts_to_sequences([text])[0][-MAXLEN:]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("text", ["", "zebra", "plot"])
def test_a_text_of_no_or_one_word_is_traced_too(name, text):
    t = trace(make(name), text)
    assert len(t["logit"]) == 1 + (text == "plot")
    assert np.isfinite(t["logit"]).all()
    t.rank_correlations()
    t._repr_html_()


def test_the_logit_of_each_class_can_be_explained():
    model = make("lstm", K=3)
    model.metadata["labels"] = ["bad", "good", "mixed"]
    every = [trace(model, TEXT, target=k) for k in range(3)]
    assert sum(t["probability"][-1] for t in every) == pytest.approx(1)
    assert [t.name for t in every] == ["bad", "good", "mixed"]
    best = trace(model, TEXT)
    assert best["logit"][-1] == max(t["logit"][-1] for t in every)
    assert best.name == every[best.target].name


def test_an_edit_of_a_layer_shows_in_the_trace_and_a_twin_never_runs(monkeypatch):
    model = make("lstm")
    before = trace(model, TEXT)["logit"]

    def forgetful(x, W, U, b, *rest, **more):
        b = b.copy()
        b[H : 2 * H] -= 2
        return original(x, W, U, b, *rest, **more)

    original = lstm_file.lstm_forward
    monkeypatch.setattr(lstm_file, "lstm_forward", forgetful)
    assert not np.allclose(trace(model, TEXT)["logit"], before)


def test_an_edit_of_the_backward_pass_shows_in_the_gradients(monkeypatch):
    model, original = make("lstm"), lstm_file.lstm_backward
    before = trace(model, TEXT)

    def no_path_through_h(*arguments):
        dx, grads, dh, dc = original(*arguments)
        return 2 * dx, grads, 0 * dh, dc

    monkeypatch.setattr(lstm_file, "lstm_backward", no_path_through_h)
    after = trace(model, TEXT)
    assert after["dx"] == pytest.approx(2 * before["dx"])
    assert not after["lstm.dh_path"].any()
    assert before["lstm.dh_path"].any()


def test_a_layer_of_your_own_is_traced():
    class Half(Layer):
        def forward(self, x, lengths=None, train=False, rng=None):
            return x / 2, None

        def backward(self, dy, cache):
            return dy / 2, {}

    model = finish(Sequential([Embedding(V, D), Half(), LSTM(H), Dense(1, "sigmoid")], seed=0))
    t = trace(model, TEXT)
    assert t["half.y"] == pytest.approx(t["x"] / 2)
    assert t["dx"] == pytest.approx(t["half.dy"] / 2)
    assert "memory" not in t.arrays  # whether its steps are words is not known


def test_untrained_weights_are_others_and_always_the_same():
    model = make("lstm")
    t = trace(model, TEXT, untrained_weights=True)
    assert np.array_equal(t["logit"], trace(untrained(model), TEXT)["logit"])
    assert not np.allclose(t["logit"], trace(model, TEXT)["logit"])
    assert model.get_weights()[0].dtype == np.float32  # the model itself is as it was


def test_a_notebook_shows_the_words_as_text():
    model = make("lstm")
    model.metadata["labels"] = ["a", "<img src=x>"]
    model.tokenizer.filters = ""
    model.tokenizer.fit_on_texts(["<script>"] * 50)
    shown = trace(model, "the <script> was <i>")._repr_html_()
    assert "<img" not in shown
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
    assert "<s title" in shown  # not read


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda m: (None, TEXT), TypeError, "model must be a Sequential, got NoneType"),
        (lambda m: (m, 3), TypeError, "text must be a str, got int"),
        (lambda m: (m, TEXT, 1), ValueError, "target is 1, expected a class from 0 to 0, or None"),
        (lambda m: (m, TEXT, "positive"), ValueError, "target is 'positive', expected a class"),
        (lambda m: (Sequential([Dense(1)]), TEXT), ValueError, "model begins with Dense.* expected an Embedding"),
        (lambda m: (Sequential(), TEXT), ValueError, "model begins with no layer"),
        (lambda m: (setattr(m, "tokenizer", None), m, TEXT)[1:], ValueError, "expected a Tokenizer"),
        (lambda m: (m.add(Embedding(3, 2)), m, TEXT)[1:], ValueError, "expected"),
        (lambda m: (m.metadata.update(maxlen="9"), m, TEXT)[1:], TypeError, "maxlen must be an integer, got '9'"),
        (lambda m: (m.metadata.update(maxlen=-9), m, TEXT)[1:], ValueError, "maxlen must be at least 1, got -9"),
        (lambda m: (m.params["lstm.b"].fill(np.nan), m, TEXT)[1:], ValueError, "lstm.b holds NaN or infinity"),
    ],
)
def test_what_cannot_be_traced_is_an_error_that_says_why(change, error, message):
    with pytest.raises(error, match=message):
        trace(*change(make("lstm")))


def test_an_unknown_array_is_a_keyerror_that_lists_those_there_are():
    t = trace(make("lstm"), TEXT)
    assert isinstance(t, Trace)
    with pytest.raises(KeyError, match=r"choose one of ids, x, dx, logit"):
        t["lstm.z"]
    assert "arrays ids, x, dx" in repr(t)


def test_a_trace_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trace(make("relu"), TEXT)
