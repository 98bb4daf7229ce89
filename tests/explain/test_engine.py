"""The engine of the explorer page computes what the library computes: engine.js in V8 against the textbook layers."""

import base64
import functools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from v8 import ENGINE, MAXLEN, Engine, Reference, V, bodies, make_model, page_of

from minilstm import Tokenizer
from minilstm.data import load_builtin
from minilstm.explain.page import page_model
from minilstm.explain.trace import trace

LIMIT = 1e-9
TEXTS = [[], [3], [5, 5], [1, 2, 3, 4, 5, 6, 7, 8, 9], [11, 0, 4, 7, 1, 4, 10]]


@functools.cache
def engine_of(name):
    return Engine(make_model(name))


@functools.cache
def expected(name, n, k):
    return Reference(make_model(name)).study(TEXTS[n], k)


def worst(got, wanted, path=""):
    """The largest difference of two studies, in units of the largest number, and where it is."""
    if isinstance(wanted, dict):
        pairs = [(got[key], wanted[key], f"{path}.{key}") for key in wanted]
    elif isinstance(wanted, list) and wanted and isinstance(wanted[0], dict):
        assert len(got) == len(wanted), path
        pairs = [(a, b, f"{path}[{n}]") for n, (a, b) in enumerate(zip(got, wanted, strict=True))]
    elif wanted is None:
        assert got is None, path
        return 0.0, path
    else:
        a, b = np.array(got, float), np.array(wanted, float)
        assert a.shape == b.shape or a.size == b.size == 0, f"{path}: {a.shape}, expected {b.shape}"
        difference = np.abs(a - b).max(initial=0) / max(1e-3, np.abs(b).max(initial=0))
        return (np.inf if np.isnan(difference) else float(difference)), path
    return max((worst(*pair) for pair in pairs), default=(0.0, path))


def compare(engine, name):
    """The worst difference over all texts, and all logits of the longest one."""
    found = []
    for n, ids in enumerate(TEXTS):
        for k in range(3 if name == "heads" and n == len(TEXTS) - 1 else 1):
            found.append(worst(engine.study(ids, k), expected(name, n, k), f"{name}, text {n}, logit {k}"))
    return max(found)


@pytest.mark.parametrize("name", bodies())
def test_the_engine_computes_what_the_textbook_layers_compute(name):
    difference, place = compare(engine_of(name), name)
    assert difference <= LIMIT, place


@pytest.mark.parametrize("name", list(bodies())[:5])
def test_a_prediction_in_the_page_is_that_of_the_library(name):
    model = make_model(name, "float32")
    ids = TEXTS[-1]
    p = model.predict(np.array([[0] * (MAXLEN - len(ids)) + ids]) if name == "cnn" else [np.array(ids)])
    assert engine_of(name).study(ids, 0)["p"][1] == pytest.approx(float(p[0, 0]), abs=1e-5)


@pytest.mark.parametrize("name", bodies())
def test_attributions_add_up_where_they_must(name):
    study = engine_of(name).study(TEXTS[3], 0)
    integrated, memory = study["integrated_gradients"], study["memory"]
    assert sum(integrated["values"]) == pytest.approx(integrated["sum"], abs=0.05)
    if memory:
        assert sum(memory["values"]) == pytest.approx(memory["sum"], abs=1e-12)
    for lstm in study["lstms"]:
        np.testing.assert_allclose(np.sum(lstm["parts"], axis=0), lstm["c"][-1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["lstm", "deep", "bidirectional", "sigmoid lstm", "sum"])
@pytest.mark.parametrize("kind", ["h", "c"])
def test_a_gradient_equals_its_finite_difference(name, kind):
    engine = engine_of(name)
    study = engine.study(TEXTS[-1], 0)
    for n, lstm in enumerate(study["lstms"][:2]):
        bidirectional = name in ("bidirectional", "sum")
        layer = {"deep": 2 + n}.get(name, 1)
        run = ["forward", "backward"][n] if bidirectional else ""
        place = {"layer": layer, "run": run, "kind": kind, "t": 2, "unit": 1}
        difference = engine.v8.eval(f"finiteDifference(model, {TEXTS[-1]}, 0, {json.dumps(place)})")
        assert lstm[f"d{kind}"][2][1] == pytest.approx(difference, rel=1e-5, abs=1e-8)


def test_words_with_equal_vectors_do_not_share_what_was_kept_of_a_scaled_one():
    model = make_model("lstm")
    E = model.layers[0].params["E"]
    E[5] = E[6]
    engine = Engine(model)
    engine.v8.eval("forward(model, [5])")  # the next text reads as this one, so its step is copied
    got = json.loads(engine.v8.eval("JSON.stringify(finish(integratedGradients(model, [6], 0)))"))
    assert worst(got, Reference(model).study([6], 0)["integrated_gradients"])[0] <= LIMIT


BUGS = {
    "the gates f and g change places": ("g.a[k] = phi.forward(zx_t[2 * H + j] +", "g.a[k] = phi.forward(zx_t[H + j] +"),
    "σ for φ in the candidate": ("g.a[k] = phi.forward", "g.a[k] = sigma.forward"),
    "the cell before the step instead of after it": ("o.a[k] * phi.forward(c_t)", "o.a[k] * phi.forward(c.a[k])"),
    "no bias in Dense": ("row(z, t).set(b);\n        addProduct(row(z, t), row(x", "addProduct(row(z, t), row(x"),
    "the second LSTM does not read backwards": ("lstm_r.forward(flip(x)", "lstm_r.forward((x)"),
    "no path back through h": ("addProductTransposed(row(dh_path, t - 1), dz, U)", ""),
    "no path back through c": ("dc_path.a[k - H] = dc_t * f.a[k]", ""),
    "df from the cell after the step": ("dc_t * c.a[k], f.a[k]", "dc_t * c.a[k + H], f.a[k]"),
    "a prefix lacks its last word": ("ids.slice(0, n)", "ids.slice(0, Math.max(0, n - 1))"),
    "predictions of an LSTM that reads backwards are read off its state": ("!c.go_backwards && ", ""),
    "zeros after the text": ("fill(0), ...ids]", "fill(0)].toSpliced(0, 0, ...ids)"),
    "windows of the same padding start too late": ("span - n) / 2)", "span - n) / 2 + 1)"),
    "the maximum sends its gradient to the last of ties": ("values.indexOf(Math.max", "values.lastIndexOf(Math.max"),
    "a mean over the whole window, also outside the text": ("total(values) / steps.length", "total(values) / w.size"),
    "causal windows see what comes later": ('=== "causal") return span - 1', '=== "causal") return 0'),
    "leave one out leaves out the next word": ("ids.toSpliced(t, 1)", "ids.toSpliced(t + 1, 1)"),
    "the memory account forgets the forget gate": ("A *= f.a[at];", ""),
    "weights are twice as large": ("exponent - 15", "exponent - 14"),
    "a first step that differs is copied from the run before": ("let start = 0;", "let start = before && T ? 1 : 0;"),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_planted_in_the_engine_is_found(bug):
    old, new = BUGS[bug]
    assert ENGINE.count(old) == 1, "the line that the bug changes is not there any more"
    found = []
    for name in bodies():
        try:
            engine = Engine(make_model(name), ENGINE.replace(old, new))
            found.append(compare(engine, name)[0] > LIMIT)
        except AssertionError:
            found.append(True)
        if found[-1]:
            return
    pytest.fail(f"no model shows {bug!r}")


def numbered(tokenizer, texts):
    """The ids of the texts in V8."""
    model = make_model("lstm")
    about, weights = page_of(model)
    settings = {
        name: getattr(tokenizer, name) for name in ("num_words", "filters", "lower", "split", "oov_token", "level")
    }
    about["tokenizer"] = {**settings, "words": list(tokenizer.word_index)}
    about["maxlen"] = None
    engine = Engine(model)
    engine.v8.call("load", about, weights)
    engine.v8.eval("const idsOf = (texts) => JSON.stringify(texts.map((text) => readText(model, text).ids))")
    return json.loads(engine.v8.call("idsOf", texts))


ODD = [
    "", "good", "unknown words only", "good bad " * 500, "A good<br />film", '"quoted" and \'single\'',
    "İstanbul is GOOD", "Straße STRASSE", "ΟΔΥΣΣΕΥΣ ΟΔΟΣ. Σ ΑΣ.Β", "good 😀 film 👍🏽",
    "这部电影很好 好", "tab\there\nand\r\x0b\xa0there",
    "__proto__ constructor toString", "a\u2028b \ud7ff \ufeffgood",
]  # fmt: skip


@pytest.mark.parametrize(
    "tokenizer",
    [
        Tokenizer(num_words=60),
        Tokenizer(oov_token="<unknown>", num_words=30),
        Tokenizer(level="script"),
        Tokenizer(level="pair"),
        Tokenizer(level="char", lower=False, oov_token="?"),
        Tokenizer(lower=False, filters="oß😀", split="e"),
        Tokenizer(split="th"),
    ],
    ids=["60 words", "unknown words", "scripts", "pairs", "characters", "other signs", "a split of two letters"],
)
def test_texts_get_the_ids_that_the_tokenizer_gives_them(tokenizer):
    reviews = load_builtin(200)[0][0]
    tokenizer.fit_on_texts([*reviews[:100], *ODD])
    texts = [*reviews, *ODD]
    assert numbered(tokenizer, texts) == tokenizer.texts_to_sequences(texts)


SIGNS = st.sampled_from("ΣσİAa'’.:- \t<br/>\0\u0301\u00ad\u200d\u200e\ufe0f这ーก한각👍🏽👩🇩🇪")
ASSIGNED = st.characters(exclude_categories=("Cs", "Cn"))  # a letter that Python does not know yet has no lower case


@pytest.mark.parametrize("level", ["word", "script", "pair", "char"])
@settings(max_examples=5)
@given(texts=st.lists(st.text(st.one_of(ASSIGNED, SIGNS)), min_size=40, max_size=40))
def test_any_text_gets_the_ids_that_the_tokenizer_gives_it(level, texts):
    tokenizer = Tokenizer(level=level)
    tokenizer.fit_on_texts(texts)
    assert numbered(tokenizer, texts) == tokenizer.texts_to_sequences(texts)


def test_words_that_are_not_read_are_marked():
    engine = engine_of("lstm")
    text = "w1 what " + " ".join(f"w{n}" for n in range(1, V + 3))  # w12 to w14 are beyond num_words
    tokens = json.loads(engine.v8.eval(f"JSON.stringify(readText(model, {json.dumps(text)}).tokens)"))
    assert [t["word"] for t in tokens if not t["known"]] == ["what", "w12", "w13", "w14"]
    assert [t["word"] for t in tokens if t["known"] and not t["kept"]] == ["w1", "w1", "w2"]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_weights_arrive_bit_for_bit(dtype, rng):
    a = rng.normal(0, 1, 1001).astype(dtype)
    a[:6] = [0, -0.0, np.finfo(dtype).tiny, np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max, -1]
    text = base64.b64encode(a.tobytes()).decode()
    got = engine_of("lstm").v8.eval(f"JSON.stringify(decodeWeights('{text}', '{dtype}'), listed)")
    np.testing.assert_array_equal(np.array(json.loads(got)), a.astype(np.float64))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_weights_that_are_not_finite_are_refused(bad, dtype):
    text = base64.b64encode(np.array([1, bad], dtype).tobytes()).decode()
    with pytest.raises(Exception, match="not all finite"):
        engine_of("lstm").v8.eval(f"decodeWeights('{text}', '{dtype}')")


def test_a_lower_forget_bias_is_a_lower_forget_bias():
    model = make_model("bidirectional")
    shifted = make_model("bidirectional")
    for run in ("forward", "backward"):
        b = shifted.layers[1].params[f"{run}.b"]
        b[len(b) // 4 : len(b) // 2] -= 2
    engine = Engine(model)
    engine.v8.eval("globalThis.model = shiftForgetBias(model, -2)")
    difference, place = worst(engine.study(TEXTS[-1], 0), Reference(shifted).study(TEXTS[-1], 0))
    assert difference <= LIMIT, place


def test_untrained_weights_are_as_the_initialisers_draw_them():
    v8 = engine_of("deep").v8
    fresh = json.loads(v8.eval("JSON.stringify(untrained(model).weights, listed)"))
    E, U, b = np.array(fresh[0]["E"]), np.reshape(fresh[2]["U"], (3, 12)), np.array(fresh[2]["b"])
    assert 0.04 < np.abs(E).max() <= 0.05
    np.testing.assert_allclose(U @ U.T, np.eye(3), atol=1e-12)
    np.testing.assert_array_equal(b, [0] * 3 + [1] * 3 + [0] * 6)


def test_rank_correlation_is_spearmans():
    a, b = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0], [2.0, 7.0, 1.0, 8.0, 2.0, 2.0]
    assert engine_of("lstm").v8.eval(f"rankCorrelation({a}, {b})") == pytest.approx(spearmanr(a, b).statistic)


def test_filters_report_the_words_that_they_saw():
    engine = engine_of("causal")
    ids = TEXTS[-1]
    firings = json.loads(
        engine.v8.eval(
            f"(() => {{ const r = forward(model, {ids}); const g = backward(model, r.caches, 0);"
            "return JSON.stringify(filterFirings(model, r.caches, g.dys)); })()"
        )
    )
    reference = Reference(make_model("causal"))
    _, caches, ys = reference.run(*reference.padded(ids))
    y, dy = ys[1][0], reference.gradients(caches, 0)[1][0]
    for firing, column, slope in zip(firings, y.T, dy.T, strict=True):
        assert firing["t"] == column.argmax()
        assert firing["steps"] == [j for j in (firing["t"] - 2, firing["t"]) if j >= 0]  # dilation 2, causal
        assert firing["part"] == pytest.approx(column @ slope, abs=1e-12)


@pytest.mark.parametrize("name", list(bodies())[:5])
def test_the_page_shows_what_the_trace_of_its_model_holds(name):
    model, ids = make_model(name), TEXTS[3]
    t = trace(page_model(model), " ".join(f"w{n}" for n in ids))
    study = engine_of(name).study(ids, 0)
    pairs = [(t["dx"], study["dx"]), (t["logit"].ravel(), np.ravel(study["prefixes"]))]
    pairs += [(t[method], study[method]["values"]) for method in ("leave_one_out", "gradient_x_input")]
    pairs += [(t["integrated_gradients"], study["integrated_gradients"]["values"])]
    if study["memory"]:
        pairs += [(t["memory"], study["memory"]["values"])]
    for wanted, got in pairs:
        np.testing.assert_allclose(got, wanted, rtol=0, atol=LIMIT * np.abs(wanted).max())
