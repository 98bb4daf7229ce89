"""``python -m minilstm``: results on stdout, notes on stderr, and exit codes that scripts can trust."""

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys

import numpy as np
import pytest

from minilstm import Dense, Embedding, GlobalAveragePooling1D, Sequential, Tokenizer, __version__
from minilstm.tools import cli, commands
from minilstm.tools.architectures import NAMES
from minilstm.tools.report import Check, Report


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep every test away from the user's own data and from the network."""
    monkeypatch.setenv("MINILSTM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MINILSTM_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "pooch", None)
    return tmp_path / "cache"


# gradcheck

SWISH = '''
import numpy as np
from minilstm import Layer
from minilstm.activations import sigmoid

class Swish(Layer):
    """y = x sigmoid(x)"""

    def build(self, d_in, rng, dtype):
        return d_in

    def forward(self, x, lengths=None, train=False, rng=None):
        return x * sigmoid(x), x

    def backward(self, dy, x):
        s = sigmoid(x)
        return dy * (s + x * s * (1 - s)), {}

class WrongSwish(Swish):
    def backward(self, dy, x):
        return dy * sigmoid(x), {}

class Needy(Swish):
    def __init__(self, beta):
        super().__init__()

def make():
    return Swish()

class Crash(Swish):
    def backward(self, dy, x):
        return dy @ np.ones((7, 7)), {}

ready = Swish()
number = 3
'''


@pytest.fixture
def layers(tmp_path):
    file = tmp_path / "my_layers.py"
    file.write_text(SWISH)
    return str(file)


def test_all_of_minilstm_passes_and_the_exit_code_is_zero(capsys):
    assert cli.main(["gradcheck"]) == 0
    out = capsys.readouterr().out
    assert "LSTM(2, return_sequences=True), padded" in out
    assert "Embedding > Dropout > LSTM > LSTM > Dense" in out
    assert "gradients right; worst relative error" in out.splitlines()[-1]
    assert "WRONG" not in out


def test_one_wrong_gradient_makes_the_exit_code_one(capsys, monkeypatch):
    wrong = Report("Liar(1)", [Check("W", 4, 1.0, 0.5, 0.5, 0)])
    monkeypatch.setattr(cli, "check_all", lambda: iter([wrong]))
    assert cli.main(["gradcheck"]) == 1
    out = capsys.readouterr().out
    assert "WRONG" in out
    assert "0 of 1 gradients right" in out


@pytest.mark.parametrize("name", ["Swish", "make", "ready"])
def test_a_readers_own_layer_may_be_a_class_a_function_or_a_layer(layers, name, capsys):
    assert cli.main(["gradcheck", f"{layers}:{name}"]) == 0
    out = capsys.readouterr().out
    assert "Swish()" in out
    assert "2 of 2 gradients right" in out  # whole rows, then padded ones


def test_a_readers_wrong_layer_is_found(layers, capsys):
    assert cli.main(["gradcheck", f"{layers}:WrongSwish", "--shape", "3", "4"]) == 1
    assert "0 of 1 gradients right" in capsys.readouterr().out


def test_a_layer_may_come_from_an_installed_module(capsys):
    assert cli.main(["gradcheck", "minilstm.tools.gradcases:Dropout"]) == 2
    assert "something that can be called without arguments" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("Swish", "does not name a layer, expected FILE.py:NAME or MODULE:NAME"),
        ("nowhere.py:Swish", "cannot import 'nowhere.py'"),
        ("no_such_module:Swish", "cannot import 'no_such_module'"),
        ("{layers}:Swoosh", "has no 'Swoosh'"),
        ("{layers}:Needy", "give the name of something that can be called without arguments"),
        ("{layers}:", "does not name a layer"),
        ("{broken}:Swish", "cannot import '{broken}': SyntaxError"),
        ("{layers}:number", "is of type int, expected a minilstm.Layer"),
    ],
)
def test_what_cannot_be_checked_is_named_on_stderr_with_exit_code_two(layers, where, message, tmp_path, capsys):
    broken = tmp_path / "broken.py"
    broken.write_text("def (")
    assert cli.main(["gradcheck", where.format(layers=layers, broken=broken)]) == 2
    assert message.format(broken=broken) in capsys.readouterr().err


def test_a_mistake_in_a_readers_layer_is_shown_with_its_place_and_exit_code_two(layers, capsys):
    assert cli.main(["gradcheck", f"{layers}:Crash"]) == 2
    err = capsys.readouterr().err
    assert "return dy @ np.ones((7, 7)), {}" in err
    assert "the check failed with the error above" in err


def test_a_pipe_that_closes_early_is_no_error():
    command = f"{sys.executable} -m minilstm gradcheck | head -n 2 | tail -n 1"
    run = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert run.stdout.startswith("gradient of")
    assert run.stderr == ""


@pytest.mark.parametrize("shape", [["3"], ["0", "3"], ["1", "2", "3", "4"]])
def test_an_input_shape_that_makes_no_sense_is_refused(layers, shape, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["gradcheck", f"{layers}:Swish", "--shape", *shape])
    assert "expected B D or B T D" in capsys.readouterr().err


# train

WORDS = {"billing": ["invoice", "refund"], "écran": ["screen", "pixel"], "post": ["parcel", "courier"]}
SMALL = ["--embedding-dims", "4", "--hidden-dims", "4", "--batch-size", "4"]
QUICK = ["--reviews", "20", "--epochs", "1", "--maxlen", "20", *SMALL]


def tickets_csv(labels=tuple(WORDS), n=12):
    """Texts that one word gives away, sorted by label as files often are."""
    rows = [f"{label},please see to the {WORDS[label][i % 2]} number {i}" for label in labels for i in range(n)]
    return "\n".join(["label,text", *rows])


@pytest.fixture(scope="module")
def tickets(tmp_path_factory):
    """A folder with tickets.csv, of three labels, and tickets.safetensors, trained on it until all is right."""
    folder = tmp_path_factory.mktemp("tickets")
    (folder / "tickets.csv").write_text(tickets_csv(), encoding="utf-8")
    settings = ["--maxlen", "6", "--vocab-size", "40", "--learning-rate", "0.03", "--dropout", "0.1", *SMALL]
    out = folder / "tickets.safetensors"
    assert cli.main(["train", str(folder / "tickets.csv"), "--out", str(out), *settings]) == 0
    return folder


@pytest.fixture
def model(tickets):
    return str(tickets / "tickets.safetensors")


@pytest.mark.parametrize("name", NAMES)
def test_each_architecture_can_be_trained_and_the_commands_that_train_ends_with_work(name, tmp_path, capsys):
    out = tmp_path / "my model.safetensors"
    assert cli.main(["train", "builtin", "--model", name, "--out", str(out), *QUICK]) == 0
    printed = capsys.readouterr().out
    assert "18 texts to train on, 2 held out for validation; labels: negative 10, positive 10" in printed
    assert re.search(
        r"accuracy [01]\.\d{4} on the texts held out for validation; the most frequent label alone: 0\.5000", printed
    )
    following = re.findall(r"^  python -m minilstm (.+)$", printed, re.MULTILINE)
    assert [line.split()[0] for line in following] == ["predict", "evaluate"]
    for line in following:
        assert cli.main(shlex.split(line)) == 0


def test_a_model_for_more_than_two_labels_has_an_output_for_each_and_keeps_their_names_sorted(model):
    loaded = Sequential.load(model)
    assert (loaded.metadata["labels"], loaded.metadata["maxlen"]) == (["billing", "post", "écran"], 6)
    assert loaded.shapes[-1] == (3,)


def test_a_folder_of_two_labels_makes_a_model_with_one_output(tmp_path, capsys):
    for label in ("ham", "spam"):
        (tmp_path / "mails" / label).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "mails" / label / f"{i}.txt").write_text(f"{label} and eggs")
    out = tmp_path / "m.safetensors"
    assert cli.main(["train", str(tmp_path / "mails"), "--out", str(out), "--epochs", "1", *SMALL]) == 0
    assert "evaluate" not in capsys.readouterr().out  # the model has seen all of it
    assert Sequential.load(out).shapes[-1] == (1,)
    assert Sequential.load(out).metadata["labels"] == ["ham", "spam"]


def test_the_training_part_of_imdb_trains_and_the_test_part_evaluates(tmp_path, capsys):
    for part, words in (("train", "fine awful"), ("test", "good bad")):
        for label, word in zip(("pos", "neg"), words.split(), strict=True):
            folder = tmp_path / "aclImdb" / part / label
            folder.mkdir(parents=True)
            for i in range(10):
                (folder / f"{i}_7.txt").write_text(f"{word} film")
    out = tmp_path / "m.safetensors"
    for source in (tmp_path, tmp_path / "aclImdb"):
        assert cli.main(["train", str(source), "--out", str(out), *QUICK]) == 0
        assert set(Sequential.load(out).tokenizer.word_index) == {"film", "fine", "awful"}
    assert cli.main(["evaluate", str(out), str(tmp_path), "--reviews", "8"]) == 0
    assert "on 8 texts" in capsys.readouterr().out


def test_what_is_odd_about_the_data_is_noted_on_stderr(tmp_path, capsys):
    folder = tmp_path / "mails"
    for label in ("Spam", "spam"):
        (folder / label).mkdir(parents=True)
        for n in range(3):
            (folder / label / f"{n}.txt").write_text("eggs")
    (folder / "README.md").write_text("eggs")
    out = tmp_path / "m.safetensors"
    assert cli.main(["train", str(folder), "--out", str(out), "--epochs", "1", *SMALL]) == 0
    err = capsys.readouterr().err
    assert f"minilstm train: not read in {folder}: README.md" in err
    assert "minilstm train: some labels look alike but count as different: 'Spam' (3) / 'spam' (3)" in err
    assert "minilstm train: 2 of 2 held-out texts are also in the training part" in err


def test_texts_without_spaces_are_cut_and_their_order_is_learned(tmp_path, capsys):
    rows = [f"{n}电影很好看,pos\n{n}电影不好看,neg" for n in range(40)]
    (tmp_path / "r.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    out = tmp_path / "m.safetensors"
    rate = ["--learning-rate", "0.01", "--vocab-size", "60", *SMALL]
    assert cli.main(["train", str(tmp_path / "r.csv"), "--out", str(out), *rate]) == 0
    printed = capsys.readouterr()
    assert "tokens: pairs of characters where a script puts no spaces between words" in printed.out
    assert "accuracy 1.0000 on the texts held out" in printed.out
    assert printed.err == ""
    assert Sequential.load(out).tokenizer.level == "script"


def test_texts_of_unknown_or_single_tokens_are_noted(tmp_path, capsys):
    rows = [f"w{n},pos\nx{n},neg" for n in range(9)]
    (tmp_path / "r.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    out = tmp_path / "m.safetensors"
    assert cli.main(["train", str(tmp_path / "r.csv"), "--out", str(out), "--epochs", "1", *SMALL]) == 0
    err = capsys.readouterr().err
    assert "minilstm train: most texts to train on consist of a single token" in err
    assert "2 of 2 held-out texts contain no known words, so the model sees them as empty" in err
    (tmp_path / "r.csv").write_text("text,label\n,pos\nw0 w1 w2 y y y y,pos\n", encoding="utf-8")
    assert cli.main(["evaluate", str(out), str(tmp_path / "r.csv")]) == 0
    err = capsys.readouterr().err
    assert "minilstm evaluate: 1 of 2 texts contain no known words" in err
    assert "% of the tokens of the texts are unknown; try a larger --vocab-size" in err


def test_a_training_that_learned_nothing_says_so_with_remedies(tmp_path, capsys):
    rows = [f"w{n},{'pos' if n % 2 else 'neg'}" for n in range(40)]
    (tmp_path / "r.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    out = tmp_path / "m.safetensors"
    assert cli.main(["train", str(tmp_path / "r.csv"), "--out", str(out), "--epochs", "1", *SMALL]) == 0
    err = capsys.readouterr().err
    assert "nothing was learned: validation accuracy 0.5000 is not above 0.5000, that of the most frequent label" in err


def test_with_balanced_class_weights_a_rare_label_is_learned(tmp_path, capsys):
    rows = [f"fine film {n % 7},pos" for n in range(90)] + [f"awful film {n % 7},neg" for n in range(10)]
    (tmp_path / "r.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    recalls = []
    for options in ([], ["--class-weights", "balanced"]):
        train = ["train", str(tmp_path / "r.csv"), "--out", str(tmp_path / "m.safetensors"), "--epochs", "3"]
        assert cli.main([*train, "--learning-rate", "0.01", "--vocab-size", "60", *SMALL, *options]) == 0
        capsys.readouterr()
        assert cli.main(["evaluate", str(tmp_path / "m.safetensors"), str(tmp_path / "r.csv"), "--json"]) == 0
        recalls.append(json.loads(capsys.readouterr().out)["recall"])
    assert recalls == [[0.0, 1.0], [1.0, 1.0]]


def test_many_labels_are_shortened_and_those_in_numbers_come_by_value(tmp_path, capsys):
    rows = [f"word{n} {n % 30},{n % 30}" for n in range(60)]
    (tmp_path / "r.csv").write_text("\n".join(["text,label", *rows]))
    out = tmp_path / "m.safetensors"
    assert cli.main(["train", str(tmp_path / "r.csv"), "--out", str(out), "--epochs", "1", *SMALL]) == 0
    assert re.search(r"labels: 0 2, 1 2, 2 2, .*, 11 2 and 18 more$", capsys.readouterr().out, re.MULTILINE)
    assert Sequential.load(out).metadata["labels"] == [str(n) for n in range(30)]
    (tmp_path / "r.csv").write_text("text,label\nword,30\n")
    assert cli.main(["evaluate", str(out), str(tmp_path / "r.csv")]) == 1
    assert "label '30' is not one of the model's, which are '0', '1'" in capsys.readouterr().err


def test_a_folder_of_ones_own_with_train_pos_is_not_taken_for_imdb(tmp_path, capsys):
    for label in ("pos", "neg"):
        (tmp_path / "f" / "train" / label).mkdir(parents=True)
        for n in range(3):
            (tmp_path / "f" / "train" / label / f"mail {n}.txt").write_text(f"{label} {n}")
    out = ["--out", str(tmp_path / "m.safetensors"), "--epochs", "1", *SMALL]
    assert cli.main(["train", str(tmp_path / "f"), *out]) == 1
    train = tmp_path / "f" / "train"
    assert f"it has folders, neg, pos: pass {train} if these are the labels" in capsys.readouterr().err
    assert cli.main(["train", str(train), *out]) == 0


@pytest.mark.parametrize("name", ["r.tar", "r.tar.gz", "r.TGZ", "r.tar.xz", "r.tar.bz2", "imdb"])
def test_an_archive_is_taken_for_imdb_however_it_is_compressed(name):
    assert commands.kind(name) == "imdb"
    assert commands.kind("r.csv.gz") == "own"


def test_standard_input_serves_as_data(model, tickets, monkeypatch, capsys):
    content = (tickets / "tickets.csv").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert cli.main(["evaluate", model, "-"]) == 0
    assert "on 36 texts" in capsys.readouterr().out


def test_the_same_seed_trains_the_same_model(tmp_path):
    weights = []
    for seed in (3, 3, 4):
        out = tmp_path / "m.safetensors"
        cli.main(["train", "builtin", "--seed", str(seed), "--out", str(out), *QUICK])
        weights.append(np.concatenate([w.ravel() for w in Sequential.load(out).get_weights()]))
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


@pytest.mark.parametrize("out", ["nowhere/m.safetensors", "m.csv", "m", "folder.safetensors"])
def test_a_place_where_no_model_can_be_saved_is_refused_before_anything_is_read(out, tmp_path, capsys):
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(SystemExit, match="2"):
        cli.main(["train", "no such data", "--out", str(tmp_path / out)])
    assert "expected a name that ends in .safetensors, in a folder that you can write to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tickets_csv(["post"]), "all 12 texts are labelled 'post', expected at least 2 labels"),
        (tickets_csv() + "\nbiling,see to it", "data.csv:38: 'biling' occurs only once, expected at least 2 texts"),
        ("text,label\n?,a\n!,a\n?,b\n!,b\n", "hold no words"),
        ("text,label\nfine,a\n'awful,\n", "data.csv:3: the label is empty"),
        (b"text,label\ncaf\xe9,a\n", "data.csv:2: byte 0xe9 is not UTF-8"),
        ("", "data.csv holds no texts"),
    ],
)
def test_data_that_teaches_nothing_is_refused_on_stderr_with_exit_code_one(content, message, tmp_path, capsys):
    data = tmp_path / "data.csv"
    data.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert cli.main(["train", str(data), "--out", str(tmp_path / "m.safetensors")]) == 1
    err = capsys.readouterr().err
    assert err.startswith("minilstm train: ")
    assert message in err
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("buitlin", [], "nothing at buitlin; DATA is imdb, its archive, builtin, or a .csv"),
        ("nowhere.tar.gz", [], "nothing at "),
        ("builtin", ["--hidden-dims", "99999999"], "minilstm train: "),
        ("imdb", [], "the download needs pooch"),
    ],
)
def test_work_that_cannot_be_done_is_reported_in_one_line_with_exit_code_one(data, options, message, tmp_path, capsys):
    assert cli.main(["train", data, "--out", str(tmp_path / "m.safetensors"), *options]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "wrong",
    [
        ["train", "builtin"],
        ["train", "builtin", "--out", "m.safetensors", "--epochs", "0"],
        ["train", "builtin", "--out", "m.safetensors", "--epochs", "many"],
        ["train", "builtin", "--out", "m.safetensors", "--dropout", "1"],
        ["train", "builtin", "--out", "m.safetensors", "--learning-rate", "nan"],
        ["train", "builtin", "--out", "m.safetensors", "--learning-rate", "0"],
        ["train", "builtin", "--out", "m.safetensors", "--hidden-dims", "9" * 30],
        ["train", "builtin", "--out", "m.safetensors", "--model", "gru"],
        ["train", "own.csv", "--out", "m.safetensors", "--reviews", "10"],
        ["evaluate", "{model}", "own.csv", "--reviews", "10"],
        ["predict", "{model}", "a text", "--file", "texts.txt"],
        ["predict"],
        ["predict", "{model}", "--jason", "a text"],
        ["evaluate", "{model}", "builtin", "imdb"],
        ["fly"],
    ],
)
def test_options_that_make_no_sense_are_wrong_usage(wrong, model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        cli.main([word.format(model=model) for word in wrong])
    err = capsys.readouterr().err
    assert re.fullmatch(r"python -m minilstm.*: .*; see python -m minilstm.* --help\n", err)  # in one line


# evaluate


def test_evaluate_gives_accuracy_loss_precision_recall_and_what_was_taken_for_what(model, tmp_path, capsys):
    data = tmp_path / "more.jsonl"
    rows = [("invoice", "billing"), ("refund", "billing"), ("refund", "post"), ("parcel", "post")]
    data.write_text("\n".join(json.dumps({"text": f"see the {x}", "label": y}) for x, y in rows))
    assert cli.main(["evaluate", model, str(data), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["labels"] == ["billing", "post", "écran"]
    assert result["confusion"] == [[2, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert (result["precision"], result["recall"]) == ([2 / 3, 1.0, None], [1.0, 0.5, None])
    loaded = Sequential.load(model)
    loaded.compile(loss="categorical_crossentropy", metrics=["accuracy"])
    x = loaded.tokenizer.texts_to_sequences([f"see the {x}" for x, _ in rows])
    loss, accuracy = loaded.evaluate(x, [0, 0, 1, 1])
    assert (result["texts"], result["accuracy"]) == (4, accuracy)
    assert result["loss"] == pytest.approx(loss, rel=1e-5)

    assert cli.main(["evaluate", model, str(data)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"accuracy 0.7500, loss {loss:.4f} on 4 texts"
    assert [line.split() for line in lines[3:]] == [
        ["billing", "2", "0.6667", "1.0000", "2", "0", "0"],
        ["post", "2", "1.0000", "0.5000", "1", "1", "0"],
        ["écran", "0", "-", "-", "0", "0", "0"],
    ]


def test_the_columns_of_the_table_are_aligned_also_where_labels_have_wide_characters(tmp_path, capsys):
    classifier({"labels": ["好评", "ｂａｄ"], "maxlen": 3}).save(tmp_path / "m.safetensors")
    (tmp_path / "data.csv").write_text("text,label\none,好评\ntwo,ｂａｄ\n", encoding="utf-8")
    assert cli.main(["evaluate", str(tmp_path / "m.safetensors"), str(tmp_path / "data.csv")]) == 0
    head, good, bad = capsys.readouterr().out.splitlines()[2:]
    assert head == "true label  texts  precision  recall  predicted 好评  predicted ｂａｄ"
    assert good == "好评        1      -          0.0000  0               1"
    assert bad == "ｂａｄ      1      0.5000     1.0000  0               1"


def test_a_label_that_the_model_does_not_know_is_refused_with_its_line(model, tmp_path, capsys):
    data = tmp_path / "more.csv"
    data.write_text("text,label\nsee,post\nsee,mail\n")
    assert cli.main(["evaluate", model, str(data)]) == 1
    message = "more.csv:3: label 'mail' is not one of the model's, which are 'billing', 'post', 'écran'"
    assert message in capsys.readouterr().err


# predict


def predict(capsys, *arguments):
    assert cli.main(["predict", *arguments]) == 0
    return capsys.readouterr()


def test_a_line_says_label_and_probability_and_json_those_of_all_labels(model, capsys):
    texts = ["The invoice!", "my pixel", "COURIER"]
    lines = [line.split("\t") for line in predict(capsys, model, *texts).out.splitlines()]
    assert [label for label, _ in lines] == ["billing", "écran", "post"]
    out = predict(capsys, model, *texts, "--json").out
    assert '"label": "écran"' in out
    for (label, p), line in zip(lines, out.splitlines(), strict=True):
        answer = json.loads(line)
        assert answer["label"] == label
        assert f"{answer['probability']:.4f}" == p
        assert answer["probabilities"][label] == answer["probability"] == max(answer["probabilities"].values())
        assert list(answer["probabilities"]) == ["billing", "post", "écran"]
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_arguments_a_file_and_standard_input_give_the_same_answers(model, tmp_path, monkeypatch, capsys):
    texts = ["the invoice", "", "a parcel\u2028from afar", "pixel"] * 50  # more than a batch
    answers = predict(capsys, model, *texts)
    assert len(answers.out.splitlines()) == 200
    (tmp_path / "texts.txt").write_bytes(("\ufeff" + "\r\n".join(texts)).encode())
    assert predict(capsys, model, "--file", str(tmp_path / "texts.txt")) == answers
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(texts) + "\n"))
    assert predict(capsys, model) == answers


@pytest.mark.parametrize("name", ["texts.csv", "texts.jsonl", "texts.json"])
def test_predict_reads_a_table_or_json_as_train_does(name, model, tmp_path, capsys):
    texts = ["the invoice,\na refund", "a parcel", "pixel"]
    rows = [{"body": text, "label": "unknown"} for text in texts]
    file = tmp_path / name
    if name.endswith(".csv"):
        content = "label;body\r\n" + "\r\n".join(f'{row["label"]};"{row["body"]}"' for row in rows)
    else:
        content = json.dumps(rows) if name.endswith(".json") else "\n".join(map(json.dumps, rows))
    file.write_text(content, encoding="cp1252")
    answers = predict(capsys, model, *texts)
    assert predict(capsys, model, "--file", str(file), "--text-column", "body", "--encoding", "cp1252") == answers


def test_texts_may_stand_before_and_after_options(model, capsys):
    answers = predict(capsys, model, "invoice", "parcel", "--json")
    assert predict(capsys, model, "--json", "invoice", "parcel") == answers
    assert predict(capsys, "--json", model, "invoice", "parcel") == answers
    assert predict(capsys, model, "invoice", "--json", "parcel") == answers


def test_a_text_without_a_known_word_is_answered_with_a_note(model, capsys):
    out, err = predict(capsys, model, "", "zebra", "\udce9\0", "invoice")
    lines = out.splitlines()
    assert len(lines) == 4
    assert lines[0] == lines[1] == lines[2]
    assert re.findall(r"text (\d+) has no known words", err) == ["1", "2", "3"]


def test_of_a_long_text_the_last_words_count_as_in_training(model, capsys):
    last = "see to the invoice number 1"
    long, short = predict(capsys, model, "parcel " * 100_000 + last, last).out.splitlines()
    assert long == short


def test_at_a_terminal_it_says_what_to_type_and_answers_each_line_at_once(model, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

        def __next__(self):
            line = super().__next__()
            said.append(capsys.readouterr())
            return line

    said = []
    monkeypatch.setattr(sys, "stdin", Terminal("invoice\nparcel\n"))
    last = predict(capsys, model).out
    assert "type texts, one per line" in said[0].err
    assert said[1].out.startswith("billing")
    assert last.startswith("post")


def test_the_name_of_a_file_is_not_taken_for_a_text(model, tmp_path, capsys):
    file = tmp_path / "my texts.csv"
    file.write_text("invoice\n")
    with pytest.raises(SystemExit, match="2"):
        cli.main(["predict", model, str(file)])
    assert f"is a file; write --file '{file}' to classify the texts in it" in capsys.readouterr().err


@pytest.mark.parametrize("way", ["argument", "--file"])
def test_texts_and_predictions_can_be_written_to_a_file_that_evaluate_reads(way, model, tmp_path, capsys):
    texts = ["the invoice", "parcel, courier", 'a "pixel"']
    (tmp_path / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    source = ["--file"] * (way == "--file") + [str(tmp_path / "texts.txt")]
    for suffix in ("csv", "jsonl"):
        out = tmp_path / f"predictions.{suffix}"
        assert predict(capsys, model, *source, "--out", str(out)).out == f"3 predictions saved as {out}\n"
        assert cli.main(["evaluate", model, str(out), "--json"]) == 0
        result = json.loads(capsys.readouterr().out)
        assert (result["texts"], result["accuracy"]) == (3, 1.0)
    answers = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text("utf-8").splitlines()]
    expected = [json.loads(line) for line in predict(capsys, model, *texts, "--json").out.splitlines()]
    assert answers == [{"text": text, **answer} for text, answer in zip(texts, expected, strict=True)]
    head, first, *_ = (tmp_path / "predictions.csv").read_text("utf-8").splitlines()
    assert head == "text,label,probability,p(billing),p(post),p(écran)"
    numbers = [expected[0]["probability"], *expected[0]["probabilities"].values()]
    assert first == ",".join(["the invoice", "billing", *map(str, numbers)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a text", "--out", "p.txt"], "expected a name that ends in .csv or .jsonl"),
        (["a text", "--out", "nowhere/p.csv"], "in a folder that you can write to"),
        (["a text", "--out", "p.csv", "--json"], "--json: not allowed with argument --out"),
    ],
)
def test_predictions_that_cannot_be_written_are_refused_before_the_model_is_read(
    arguments, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["predict", "no model", *arguments])
    assert message in capsys.readouterr().err


def test_few_texts_are_predicted_without_loading_the_kernels(model):
    code = "import sys; from minilstm.tools.cli import main; main(); print('numba' in sys.modules, file=sys.stderr)"
    for texts, loaded in ((1, "False"), (commands.BATCH, "True")):
        command = [sys.executable, "-c", code, "predict", model]
        ran = subprocess.run(command, input="invoice\n" * texts, capture_output=True, text=True)
        assert (len(ran.stdout.splitlines()), ran.stderr.strip()) == (texts, loaded)


def test_a_path_in_a_message_cannot_send_escape_sequences_to_the_terminal(tmp_path, capsys):
    (tmp_path / "\x1b[2J" / "empty").mkdir(parents=True)
    assert cli.main(["train", str(tmp_path / "\x1b[2J"), "--out", str(tmp_path / "m.safetensors")]) == 1
    assert r"/\x1b[2J/empty holds no .txt files" in capsys.readouterr().err


def test_a_model_with_the_same_label_twice_is_refused(tmp_path, capsys):
    classifier({"labels": ["yes", "yes"], "maxlen": 3}).save(tmp_path / "m.safetensors")
    assert cli.main(["predict", str(tmp_path / "m.safetensors"), "a text"]) == 1
    assert "holds a model but lacks a tokenizer or metadata such as {'labels': ['no', 'yes']" in capsys.readouterr().err


def test_words_end_at_the_signs_of_word_processors_and_web_pages_too(tmp_path):
    (tmp_path / "d.csv").write_text("text,label\n" + "“good”\u00a0film…,a\n电影，好！,b\n" * 2, encoding="utf-8")
    out = tmp_path / "m.safetensors"
    assert cli.main(["train", str(tmp_path / "d.csv"), "--out", str(out), "--epochs", "1", *SMALL]) == 0
    tokenizer = Sequential.load(out).tokenizer
    assert {"good", "film", "电影", "好"} == set(tokenizer.word_index)


def test_a_label_cannot_send_escape_sequences_to_the_terminal(tmp_path, capsys):
    file = str(tmp_path / "m.safetensors")
    classifier({"labels": ["\x1b[31mno", "\x9b31myes\n\u202e"], "maxlen": 3}).save(file)
    (tmp_path / "data.csv").write_text("text,label\none,\x1b[31mno\n")
    for command in (["predict", file, "one"], ["predict", file, "one", "--json"], ["inspect", file]):
        assert cli.main(command) == 0
        assert all(line.isprintable() for line in re.split("[\t\n]", capsys.readouterr().out))
    assert cli.main(["evaluate", file, str(tmp_path / "data.csv")]) == 0
    (tmp_path / "data.csv").write_text("text,label\n" + "one,\x1b[31mno\ntwo,yes\n" * 2)
    assert cli.main(["train", str(tmp_path / "data.csv"), "--out", file, "--epochs", "1", *SMALL]) == 0
    assert r"\x1b[31mno" in (out := capsys.readouterr().out)
    assert all(line.isprintable() for line in out.split("\n"))


# inspect


def test_inspect_shows_layers_compilation_tokenizer_labels_and_training(model, capsys):
    assert cli.main(["inspect", model]) == 0
    out = capsys.readouterr().out
    assert "lstm (LSTM)             (None, 4)" in out
    facts = dict(line.split(": ", 1) for line in out.split("\n\n")[1].splitlines())
    assert facts["optimizer"].startswith("RMSprop(learning_rate=0.03,")
    assert facts["loss"] == "CategoricalCrossentropy(from_logits=False)"
    assert facts["tokenizer"].startswith("Tokenizer(num_words=40,")
    assert facts["labels"] == "['billing', 'post', 'écran']"
    assert "'data': 'tickets.csv', 'texts': 33, 'validation_accuracy': 1.0, 'epochs': 30" in facts["training"]


def test_inspect_shortens_long_lists_and_needs_neither_labels_nor_tokenizer(tmp_path, capsys):
    classifier({"labels": [f"label {n}" for n in range(120)]}, tokenizer=False).save(tmp_path / "m.safetensors")
    assert cli.main(["inspect", str(tmp_path / "m.safetensors")]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^labels: \['label 0', 'label 1', .* \.\.\.$", out, re.MULTILINE)
    assert max(map(len, out.splitlines())) < 450


def run(*arguments, **settings):
    return subprocess.run([sys.executable, "-m", "minilstm", *arguments], capture_output=True, **settings)


def test_a_terminal_that_cannot_show_a_character_and_bytes_that_are_no_text_are_no_reason_to_stop(model):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    texts = b"pixel\ncaf\xe9 pixel\n"
    ran = run("predict", model, input=texts, env=environment)
    assert ran.returncode == 0, ran.stderr
    assert [line.split(b"\t")[0] for line in ran.stdout.splitlines()] == [rb"\xe9cran"] * 2
    ran = run("predict", model, "--json", b"pixel \xff", env=environment)
    assert json.loads(ran.stdout)["label"] == "écran"


def test_predict_into_a_pipe_that_closes_early_is_no_error(model):
    command = f"yes invoice | head -n 20000 | {sys.executable} -m minilstm predict {model} | head -n 1 | cut -f 1"
    ran = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("billing\n", "")


def classifier(metadata, tokenizer=True, outputs=1, weight=1.0, activation="sigmoid"):
    model = Sequential([Embedding(5, 2), GlobalAveragePooling1D(), Dense(outputs, activation=activation)])
    model.set_weights([np.full(w.shape, weight) for w in model.get_weights()])
    if tokenizer:
        model.tokenizer = Tokenizer(5)
        model.tokenizer.fit_on_texts(["one two three four"])
    model.metadata = metadata
    return model


KNOWN = {"labels": ["no", "yes"], "maxlen": 3}


def test_a_model_of_ones_own_can_be_used_if_it_has_a_tokenizer_labels_and_maxlen(tmp_path, capsys):
    classifier(KNOWN).save(tmp_path / "m.safetensors")
    assert predict(capsys, str(tmp_path / "m.safetensors"), "one").out.startswith("yes\t")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokenizer": False}, "lacks a tokenizer or metadata"),
        ({"metadata": {}}, "lacks a tokenizer or metadata such as {'labels': ['no', 'yes'], 'maxlen': 300}"),
        ({"metadata": {**KNOWN, "labels": ["yes"]}}, "lacks"),
        ({"metadata": {**KNOWN, "labels": "no"}}, "lacks"),
        ({"metadata": {**KNOWN, "labels": [0, 1]}}, "lacks"),
        ({"metadata": {**KNOWN, "maxlen": "3"}}, "lacks"),
        ({"metadata": {**KNOWN, "maxlen": 0}}, "lacks"),
        ({"metadata": {**KNOWN, "labels": ["a", "b", "c"]}}, "which does not fit 3 labels"),
        ({"outputs": 3}, "which does not fit 2 labels"),
        ({"activation": "softmax"}, 'Dense(1, "softmax") gives 1.0 for every text'),
        ({"weight": np.nan}, "the model's outputs are not probabilities"),
        ({"activation": "linear", "weight": 3.0}, "the model's outputs are not probabilities"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_model_that_is_no_classifier_of_texts_is_refused(change, message, command, tmp_path, capsys):
    file = tmp_path / "m.safetensors"
    classifier(**{"metadata": KNOWN, **change}).save(file)
    (tmp_path / "data.csv").write_text("text,label\none,yes\n")
    assert cli.main([command, str(file), "one" if command == "predict" else str(tmp_path / "data.csv")]) == 1
    assert message in capsys.readouterr().err


def test_a_file_that_is_no_model_or_not_there_is_refused(tmp_path, capsys):
    (tmp_path / "m.safetensors").write_bytes(b"nonsense")
    for name in ("m.safetensors", "nowhere.safetensors", "", "nul\0l"):
        assert cli.main(["predict", str(tmp_path / name), "one"]) == 1
        assert capsys.readouterr().err.startswith("minilstm predict: ")


def test_a_file_of_texts_that_is_no_text_is_refused(model, tmp_path, capsys):
    (tmp_path / "texts.txt").write_bytes(b"fine\ncaf\xe9\n")
    assert cli.main(["predict", model, "--file", str(tmp_path / "texts.txt")]) == 1
    assert "texts.txt:2: byte 0xe9 is not UTF-8" in capsys.readouterr().err


# download


def test_download_prints_where_the_archive_is_and_nothing_else(cache, capsys):
    cache.mkdir()
    (cache / "aclImdb_v1.tar.gz").write_bytes(b"an archive")
    assert cli.main(["download"]) == 0
    assert capsys.readouterr().out == f"{cache / 'aclImdb_v1.tar.gz'}\n"


def test_a_download_that_fails_is_reported_with_the_remedy(capsys):
    assert cli.main(["download"]) == 1
    assert re.match(r"minilstm download: .* by hand and save it as", capsys.readouterr().err)


# all of them


def test_an_interrupt_ends_with_a_word_and_exit_code_130(model):
    command = [sys.executable, "-m", "minilstm", "predict", model]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as running:
        running.stdin.write(b"invoice\n" * 2 * commands.BATCH)  # it answers some, and waits for more
        running.stdin.flush()
        assert running.stdout.readline().startswith(b"billing")
        running.send_signal(signal.SIGINT)
        _, err = running.communicate()
    assert (running.returncode, err) == (130, b"minilstm predict: interrupted\n")


def test_an_interrupt_within_a_kernel_which_numba_wraps_is_one_too(monkeypatch, capsys):
    def interrupt():
        raise SystemError("returned a result with an exception set") from KeyboardInterrupt()

    monkeypatch.setattr(commands, "download_imdb", interrupt)
    assert cli.main(["download"]) == 130
    assert capsys.readouterr().err == "minilstm download: interrupted\n"


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "inspect", "gradcheck", "museum", "download"])
def test_help_comes_with_examples_that_can_be_parsed(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, "--help"])
    examples = re.findall(r"python -m minilstm (.+)$", capsys.readouterr().out.split("example", 1)[1], re.MULTILINE)
    assert examples
    for example in examples:
        assert cli.make_parser().parse_args(shlex.split(example)).command == command


def test_the_module_can_be_run():
    ran = run("--version", text=True)
    assert (ran.returncode, ran.stdout) == (0, f"minilstm {__version__}\n")
    ran = run(text=True)
    assert (ran.returncode, len(ran.stderr.splitlines())) == (2, 1)
    assert "the following arguments are required: COMMAND; see python -m minilstm --help" in ran.stderr
