"""The page's file: everything in it, weights rounded as Python rounds them, nothing that could run by mistake."""

import base64
import hashlib
import html.parser
import json
import re
from pathlib import Path

import numpy as np
import pytest
from test_trace import MODELS, PADDED, TEXT, TEXTS, D, V, finish, make

from minilstm import LSTM, Dense, Embedding, Layer, Sequential, Tokenizer
from minilstm.explain import page as page_file
from minilstm.explain import trace, write_page
from minilstm.explain.contexts import contexts
from minilstm.explain.page import page_model
from minilstm.layers import lstm as lstm_file
from minilstm.tools import cli


class Elements(html.parser.HTMLParser):
    """Collects the elements as a browser sees them, with the text of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.open = [tag, dict(attributes), ""]
        self.found.append(self.open)

    def handle_endtag(self, tag):
        self.open = None

    def handle_data(self, data):
        if self.open:
            self.open[2] += data


def read(path):
    """Take a page apart: its JSON, its weights as numbers, and its elements."""
    elements = Elements(path.read_text(encoding="utf-8")).found
    text = {attributes.get("id"): inside for tag, attributes, inside in elements if tag == "script"}
    data = json.loads(text["model"])
    return data, np.frombuffer(base64.b64decode(text["weights"]), data["dtype"]), elements


def arrays(described, weights):
    """Collect the arrays of a model in the page by layer and name."""
    return {
        f"{layer['name']}.{name}": weights[p["offset"] : p["offset"] + np.prod(p["shape"])].reshape(p["shape"])
        for layer in described["layers"]
        for name, p in layer["params"].items()
    }


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("float32", [False, True])
def test_the_page_holds_the_layers_and_the_rounded_weights_of_the_reference(name, float32, tmp_path):
    model, path = make(name), tmp_path / "page.html"
    write_page(model, path, texts=[TEXT], float32=float32)
    data, weights, _ = read(path)
    reference = page_model(model, float32=float32)
    found = arrays(data, weights)
    assert data["dtype"] == ("float32" if float32 else "float16")
    assert found.keys() == reference.params.keys() == model.params.keys()
    for key, p in reference.params.items():
        assert p.dtype == np.float64
        assert np.array_equal(found[key], p)
        assert p == pytest.approx(model.params[key], rel=0 if float32 else 1e-3, abs=1e-7)
    assert [layer["class"] for layer in data["layers"]] == [type(layer).__name__ for layer in model.layers]
    assert data["padded"] == (name in PADDED)
    assert data["maxlen"] == 12
    trace(reference, TEXT)  # the reference can be traced


def test_the_page_has_what_the_tokenizer_needs_to_number_texts():
    model = make("lstm")
    model.tokenizer = Tokenizer(num_words=20, oov_token="<oov>", lower=False, split="_", filters="é")
    model.tokenizer.fit_on_texts(TEXTS)
    found = page_file.model_data(page_model(model))["tokenizer"]
    words = found.pop("words")
    settings = {"num_words": 20, "oov_token": "<oov>", "lower": False, "split": "_", "filters": "é"}
    assert found == settings | {"level": "word", "char_level": False}
    assert words == [model.tokenizer.index_word[n] for n in range(1, 20)]


def test_texts_are_in_the_page_with_their_labels_and_without_texts_those_of_the_built_in_corpus(tmp_path):
    write_page(make("lstm"), tmp_path / "page.html", texts=["one", ("two", "good")] + ["more"] * 30)
    assert read(tmp_path / "page.html")[0]["texts"][:3] == [
        {"text": "one", "label": None}, {"text": "two", "label": "good"}, {"text": "more", "label": None},
    ]  # fmt: skip
    assert len(read(tmp_path / "page.html")[0]["texts"]) == 20
    write_page(make("lstm"), tmp_path / "page.html")
    assert {item["label"] for item in read(tmp_path / "page.html")[0]["texts"]} == {"negative", "positive"}


def test_the_page_has_the_lines_of_the_lstm_as_they_are_now(tmp_path):
    write_page(make("lstm"), tmp_path / "page.html", texts=[])
    source = read(tmp_path / "page.html")[0]["source"]
    assert "z = x[:, t] @ W + (h[t] * m_h) @ U + b  # (1), (B, 4H)" in source["forward"]
    assert source["forward"][-1].startswith("c[t + 1], h[t + 1] = ")
    assert "di, df, dg = dc_t * g[t], dc_t * c[t], dc_t * i[t]" in source["backward"][4]
    assert not any(line.startswith(("return", "y = ")) for line in source["forward"] + source["backward"])
    whole = Path(lstm_file.__file__).read_text(encoding="utf-8")
    assert all(line in whole for line in source["forward"] + source["backward"])


def test_a_second_model_is_next_to_the_first(tmp_path):
    first, second = make("lstm"), make("deep-lstm")
    write_page(first, tmp_path / "page.html", texts=[], compare=second)
    data, weights, _ = read(tmp_path / "page.html")
    for described, model in ((data, first), (data["compare"], second)):
        for key, p in arrays(described, weights).items():
            assert np.array_equal(p, page_model(model).params[key]), key
    assert len(weights) == sum(p.size for m in (first, second) for p in m.params.values())
    assert set(data["compare"]) == {"title", "tokenizer", "labels", "maxlen", "padded", "layers"}


def test_with_fewer_words_the_others_are_unknown_in_the_page_and_its_reference():
    model = make("lstm")
    small = page_model(model, words=5)
    assert small.params["embedding.E"].shape == (6, D)
    assert small.tokenizer.texts_to_sequences([TEXT])[0] == [
        n for n in model.tokenizer.texts_to_sequences([TEXT])[0] if n <= 5
    ]
    assert trace(small, TEXT)["ids"].max() <= 5
    assert page_model(model, words=10**6).params["embedding.E"].shape == (V, D)
    assert len(model.tokenizer.word_index) > 5  # the model itself is as it was


NASTY = "</script><img src=x onerror=alert(1)>\u2028\u2029<!-- {{weights}} \ud800"


def test_labels_words_and_texts_stay_data_whatever_they_hold(tmp_path):
    model, path = make("lstm"), tmp_path / "page.html"
    model.metadata["labels"] = [NASTY, "x" * 10_000]
    model.tokenizer.filters = ""
    model.tokenizer.fit_on_texts([NASTY.replace(" ", "_")] * 50)
    write_page(model, path, texts=[NASTY])
    data, _, elements = read(path)
    write_page(make("lstm"), tmp_path / "plain.html", texts=["x"])
    assert [tag for tag, *_ in elements] == [tag for tag, *_ in read(tmp_path / "plain.html")[2]]
    assert data["labels"] == model.metadata["labels"]
    assert data["texts"][0]["text"] == NASTY
    assert NASTY.replace(" ", "_").lower() in data["tokenizer"]["words"]
    json_text = next(inside for _, attributes, inside in elements if attributes.get("id") == "model")
    assert not re.search(r"[<>&\u2028\u2029\ud800]", json_text)


def test_the_policy_allows_the_pages_own_code_and_nothing_else(tmp_path):
    write_page(make("lstm"), tmp_path / "page.html", texts=[])
    _, _, elements = read(tmp_path / "page.html")
    policy = next(a["content"] for tag, a, _ in elements if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy

    def hashes(tag):
        inside = [text for name, a, text in elements if name == tag and a.get("type", "module") == "module" and text]
        return {f"'sha256-{base64.b64encode(hashlib.sha256(t.encode()).digest()).decode()}'" for t in inside}

    assert hashes("script") == set(rules["script-src"].split())
    assert hashes("style") == set(rules["style-src"].split())
    for _, attributes, _ in elements:  # nothing that would load something, and no code in attributes
        assert not {"src", "href", "style"} & set(attributes) or attributes.get("href", "").startswith(("#", "data:"))
        assert not any(name.startswith("on") for name in attributes)


def test_the_contexts_of_a_unit_are_the_words_that_change_its_cell_most():
    model = make("deep-lstm")
    found = contexts(page_model(model), TEXTS)
    assert list(found) == ["lstm", "lstm_1"]
    assert [len(units) for units in found.values()] == [2, 2]
    every = [trace(page_model(model), text) for text in TEXTS]
    changes = np.concatenate([t["lstm_1.c"] - t["lstm_1.c_prev"] for t in every])  # (steps of all texts, H)
    for unit, changed in zip(found["lstm_1"], changes.T, strict=True):
        assert unit["raises"][0]["change"] == pytest.approx(changed.max())
        assert unit["lowers"][0]["change"] == pytest.approx(changed.min())
        for kind in ("raises", "lowers"):
            sizes = [abs(context["change"]) for context in unit[kind]]
            assert sizes == sorted(sizes, reverse=True)
            assert len({tuple(context["words"]) for context in unit[kind]}) == len(unit[kind]) == 3
            assert all(context["at"] == len(context["words"]) - 1 <= 2 for context in unit[kind])


def test_the_contexts_of_an_lstm_that_reads_backwards_are_the_words_after():
    model = make("bidirectional")
    (text,) = texts = [" ".join(f"{word}" for word in ("the plot was not dull", "i thought the music was"))]
    found = contexts(page_model(model), texts)["bidirectional"]
    assert len(found) == 4  # two units in each direction
    t = trace(page_model(model), text)
    change = t["bidirectional.backward.c"] - t["bidirectional.backward.c_prev"]
    best = found[2]["raises"][0]
    n = int(change[:, 0].argmax())
    assert best["change"] == pytest.approx(change[n, 0])
    assert best["at"] == 0
    assert tuple(best["words"]) == t.tokens[n : n + 3]


def test_padding_is_not_a_context():
    model = page_model(make("padded"))
    unit = contexts(model, ["the plot was"])["lstm"][0]
    t = trace(model, "the plot was")
    change = (t["lstm.c"] - t["lstm.c_prev"])[t.first :, 0]
    found = {
        context["words"][context["at"]]: context["change"] for kind in ("raises", "lowers") for context in unit[kind]
    }
    assert found == pytest.approx(dict(zip(("the", "plot", "was"), change, strict=True)))


def test_where_steps_are_windows_there_are_no_contexts():
    assert contexts(page_model(make("cnn-lstm")), TEXTS) == {}
    assert contexts(page_model(make("lstm")), ["", "zebra"]) == {}


def big(V, D):
    model = Sequential([Embedding(V, D), LSTM(2), Dense(1, "sigmoid")], seed=0)
    return finish(model)


def test_a_model_that_is_too_large_is_refused_with_its_size_and_a_remedy_that_works(tmp_path, monkeypatch):
    monkeypatch.setattr(page_file, "LARGEST", 400_000)
    model, path = big(5000, 40), tmp_path / "page.html"
    message = r"the weights would take 1 MB in the page, where 0 fit; use words=3000, on the command line --words"
    with pytest.raises(ValueError, match=message):
        write_page(model, path, texts=[])
    assert not path.exists()
    write_page(model, path, texts=[], words=3000)
    monkeypatch.setattr(page_file, "LARGEST", 1000)
    with pytest.raises(ValueError, match="use a smaller model"):
        write_page(model, path, texts=[])


class Own(Layer):
    """A layer whose code the page does not have."""


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda m: m.params["lstm.b"].fill(np.nan), ValueError, "lstm.b holds NaN or infinity"),
        (
            lambda m: m.params["lstm.b"].fill(1e5),
            ValueError,
            "lstm has weights too large for float16; use float32=True",
        ),
        (lambda m: m.add(Own()), TypeError, "Own is not one of minilstm's own"),
        (lambda m: m.tokenizer.index_word.pop(3), ValueError, "ids from 1 to their number"),
        (lambda m: setattr(m, "tokenizer", None), ValueError, "expected a Tokenizer"),
    ],
)
def test_a_model_that_cannot_be_in_a_page_is_refused(change, error, message, tmp_path):
    model = make("lstm")
    change(model)
    with pytest.raises(error, match=message):
        write_page(model, tmp_path / "page.html", texts=[])
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"texts": "one text"}, TypeError, "texts is a str, expected a list"),
        ({"texts": [1]}, TypeError, r"texts\[0\] must be a str, or a str and its label, got 1"),
        ({"texts": 5}, TypeError, "texts is a int, expected a list"),
        ({"texts": [], "words": 0}, ValueError, "words must be at least 1, got 0"),
        ({"texts": [], "words": 2.5}, TypeError, "words must be an integer, got 2.5"),
        ({"texts": [], "compare": "model"}, TypeError, "must be a Sequential, got str"),
    ],
)
def test_a_wrong_argument_is_an_error_that_says_what_is_expected(arguments, error, message, tmp_path):
    with pytest.raises(error, match=message):
        write_page(make("lstm"), tmp_path / "page.html", **arguments)


def test_a_second_model_with_other_labels_is_refused(tmp_path):
    other = make("lstm")
    other.metadata["labels"] = ["positive", "negative"]
    message = r"compare has labels \['positive', 'negative'\], expected those of model, .*, in the same order"
    with pytest.raises(ValueError, match=message):
        write_page(make("lstm"), tmp_path / "page.html", texts=[], compare=other)


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "model.safetensors"
    make("lstm").save(path)
    return str(path)


def test_the_command_page_writes_a_page(model_file, tmp_path, capsys):
    texts = tmp_path / "texts.csv"
    texts.write_text("text\nthe plot was dull\nthe music was superb\n")
    out = tmp_path / "page.html"
    more = ["--texts", str(texts), "--words", "30", "--compare", model_file]
    assert cli.main(["page", model_file, "-o", str(out), *more]) == 0
    assert re.fullmatch(r"saved .*page.html \([\d.]+ MB\); open it in a browser\n", capsys.readouterr().out)
    data, _, _ = read(out)
    assert [item["text"] for item in data["texts"]] == ["the plot was dull", "the music was superb"]
    assert data["compare"]["layers"][0]["params"]["E"]["shape"] == [31, D]


def test_the_command_look_prints_each_word_and_draws_the_plot(model_file, tmp_path, capsys):
    assert cli.main(["look", model_file, "The plot zebra was \x1b[31m dull", "--plot", str(tmp_path / "look.png")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("probability of positive: 0.")
    assert re.search(r"^plot +0\.\d{4} +[+-]\d\.\d{3}  [+-]* +c\[\d\] [+-]\d", out, re.MULTILINE)
    assert re.search(r"^zebra +unknown$", out, re.MULTILINE)
    assert "\x1b" not in out
    assert re.search(r"^memory: the sum is (-?[\d.]+), expected \1$", out, re.MULTILINE)
    assert "rank correlation of leave one out and memory: " in out
    assert (tmp_path / "look.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_look_takes_a_text_without_known_words(model_file, capsys):
    assert cli.main(["look", model_file, "zebra"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^zebra +unknown$", out, re.MULTILINE)
    assert "nan" not in out


def test_the_command_look_shows_untrained_weights_too(model_file, capsys):
    outputs = []
    for more in ([], ["--untrained"], ["--untrained"]):
        assert cli.main(["look", model_file, TEXT, *more]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] != outputs[1] == outputs[2]


@pytest.mark.parametrize("command", ["look", "page"])
def test_a_file_that_is_not_there_is_an_error_in_one_line(command, tmp_path, capsys):
    rest = [TEXT] if command == "look" else ["-o", str(tmp_path / "page.html")]
    assert cli.main([command, "nowhere.safetensors", *rest]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"minilstm {command}: ")
    assert "nowhere.safetensors" in err
    assert len(err.splitlines()) == 1
