"""The demos run from the command line, and say plainly what they trained on."""

import csv
import importlib
import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from minilstm.data import load_builtin

DEMOS = Path(__file__).parents[1] / "demos"
ARCHITECTURES = ["lstm.py", "cnn.py", "deep_lstm.py", "bidirectional.py", "cnn_lstm.py"]

pytest.importorskip("sklearn", reason="the demos' baseline needs scikit-learn: pip install -e '.[demos]'")


def run(demo, *arguments, **environment):
    return subprocess.run(
        [sys.executable, str(DEMOS / demo), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_the_lstm_beats_the_bag_of_words_on_the_built_in_corpus_and_says_that_it_is_not_imdb():
    result = run("lstm.py", "--data", "builtin", "--reviews", "3000")
    assert result.returncode == 0, result.stderr
    assert "accuracy on 3,000 other reviews of the built-in corpus (not IMDB)" in result.stdout
    lstm, bag_of_words = (
        float(line.split("%")[0]) for line in result.stdout.splitlines() if line.startswith("  ") and "%  " in line[:12]
    )
    assert lstm >= 95
    assert bag_of_words <= lstm - 20


def test_without_imdb_a_demo_says_so_loudly_and_how_to_get_it_then_trains_on_the_built_in_corpus(tmp_path):
    nowhere = "http://127.0.0.1:9"  # a port on this machine where nobody listens: no download succeeds
    result = run(
        "lstm.py", "--reviews", "100", "--epochs", "1",
        MINILSTM_DATA="", MINILSTM_CACHE=str(tmp_path), HTTPS_PROXY=nowhere, https_proxy=nowhere,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "NO IMDB REVIEWS" in result.stdout
    assert "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz" in result.stdout
    assert "--data" in result.stdout
    assert "accuracy on 100 other reviews of the built-in corpus (not IMDB)" in result.stdout


@pytest.mark.parametrize(
    "demo", [["lstm.py"], ["compare.py"], ["compare.py", "--full"], ["best.py"], ["what_we_found.py"]]
)
def test_a_path_that_is_wrong_is_an_error_in_one_line(demo, tmp_path):
    out = [] if demo == ["lstm.py"] else ["--out", str(tmp_path)]
    result = run(*demo, "--data", "no/such/archive.tar.gz", *out)
    assert result.returncode == 1
    assert result.stderr.startswith(f"{demo[0]}: nothing at ")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "0 is no whole number of at least 1"),
        (["--maxlen", "-3"], "-3 is no whole number of at least 1"),
        (["--dropout", "2"], "argument --dropout: 2 is no share from 0 up to but not including 1"),
        (["--word-dropout", "-1"], "argument --word-dropout: -1 is no share"),
    ],
)
def test_a_setting_that_makes_no_sense_is_an_error_in_one_line(arguments, message):
    result = run("lstm.py", *arguments)
    assert result.returncode != 0
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("demo", [*ARCHITECTURES, "compare.py", "order_matters.py", "best.py", "what_we_found.py"])
def test_help_says_what_to_expect_and_shows_examples(demo):
    result = run(demo, "--help")
    assert result.returncode == 0, result.stderr
    assert "Expect " in result.stdout
    assert "examples:" in result.stdout
    assert f"python demos/{demo} " in result.stdout


def test_help_shows_what_is_usual_for_each_corpus():
    assert "(default: 0.5; built-in corpus 0.0)" in " ".join(run("lstm.py", "--help").stdout.split())


@pytest.mark.parametrize("demo", ARCHITECTURES[1:])
def test_every_architecture_trains_and_shows_its_layers_beside_the_bag_of_words(demo):
    result = run(demo, "--data", "builtin", "--reviews", "100", "--epochs", "1")
    assert result.returncode == 0, result.stderr
    assert "accuracy on 100 other reviews of the built-in corpus (not IMDB)" in result.stdout
    assert "%  Embedding > " in result.stdout
    assert "%  bag of words, trained on the same reviews" in result.stdout


def test_compare_prints_and_saves_a_table_of_all_models_and_a_picture(tmp_path):
    tiny = "--data", "builtin", "--reviews", "60", "--epochs", "1", "--seeds", "1"
    result = run("compare.py", *tiny, "--out", str(tmp_path / "results"))
    assert result.returncode == 0, result.stderr
    assert "6 of 6" in result.stdout
    with (tmp_path / "results" / "compare.csv").open(newline="") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["bag of words", "CNN", "LSTM", "deep LSTM", "bidirectional LSTM", "CNN-LSTM"]
    assert rows["LSTM"]["parameters"] == "31297"  # as lstm.py prints for the built-in corpus
    for row in rows.values():
        assert 0 <= float(row["lowest"]) <= float(row["accuracy"]) <= float(row["highest"]) <= 100
        assert " | ".join([row["model"].ljust(18), row["accuracy"].rjust(8)]) in result.stdout
    assert (tmp_path / "results" / "compare.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(file.name for file in (tmp_path / "results").iterdir()) == ["compare.csv", "compare.png"]


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The demos on all of IMDB, with very little of all: their modules, an archive, and a folder for the pages."""
    monkeypatch.syspath_prepend(DEMOS)
    runs, full, best, found = (importlib.import_module(name) for name in ("runs", "full", "best", "what_we_found"))
    tiny = {"epochs": 1, "vocab_size": 50, "maxlen": 20, "embedding_dims": 2, "hidden_dims": 2}
    for module in runs, full, found:
        monkeypatch.setattr(module, "ALL", 40)
        monkeypatch.setattr(module, "PAGES", tmp_path)
    monkeypatch.setattr(full, "SETTINGS", {name: settings | tiny for name, settings in full.SETTINGS.items()})
    monkeypatch.setattr(best, "SETTINGS", best.SETTINGS | tiny)
    for module in full, found:
        monkeypatch.setattr(module, "SIZES", [30])
        monkeypatch.setattr(module, "PLOTS", tmp_path / "plots")
    monkeypatch.setattr(found, "FEW", 30)
    monkeypatch.setattr(found, "MATRIX", tiny | {"vocab_size": 20})
    for page in ("README.md", "what_we_found.md"):
        (tmp_path / page).write_text(empty((DEMOS / page).read_text(encoding="utf-8")), encoding="utf-8")
    monkeypatch.setenv("MINILSTM_CACHE", str(tmp_path / "cache"))
    return runs, full, found, write_reviews(tmp_path / "reviews.tar"), tmp_path


def empty(page):
    """A page without what a script filled in."""
    return re.sub(r"<!-- (.*) -->.*<!-- end of \1 -->", r"<!-- \1 -->\n<!-- end of \1 -->", page, flags=re.DOTALL)


def write_reviews(path):
    """An archive as that of IMDB, with 20 reviews of the built-in corpus in each of its four folders."""
    with tarfile.open(path, "w") as archive:
        for part, (texts, labels) in zip(("train", "test"), load_builtin(100), strict=True):
            for label in ("neg", "pos"):
                chosen = [text for text, y in zip(texts, labels, strict=True) if y == (label == "pos")][:20]
                files = {f"{part}/{label}/{n}_{1 + 8 * (label == 'pos')}.txt": text for n, text in enumerate(chosen)}
                files[f"{part}/urls_{label}.txt"] = "\n".join(f"movie {n // 2}" for n in range(20))
                for name, text in files.items():
                    member = tarfile.TarInfo(f"aclImdb/{name}")
                    member.size = len(text.encode())
                    archive.addfile(member, io.BytesIO(text.encode()))
    return str(path)


def test_both_pages_are_filled_in_and_what_was_trained_once_is_not_trained_again(small, monkeypatch):
    runs, full, found, data, folder = small
    monkeypatch.setattr(sys, "argv", ["what_we_found.py", "--data", data, "--seeds", "2", "--out", str(folder / "out")])
    full.main(data, 2, folder / "out")
    found.main()
    pages = {name: (folder / name).read_text(encoding="utf-8") for name in ("README.md", "what_we_found.md")}
    for name in ("bag of words", "naive Bayes bigrams", *runs.MODELS, "best.py"):
        assert re.search(rf"\| {name} \| \d+\.\d", pages["README.md"])
    for page in pages.values():
        assert not re.search(r"<!-- (.*) -->\s*<!-- end of \1 -->", page)
    plots = [file.name for file in (folder / "plots").iterdir()]
    assert sorted(plots) == ["epochs.png", "reviews.png", "sigmoid.png"]
    named = {name for page in pages.values() for name in re.findall(r"\(plots/(.*?)\)", page)}
    assert named == set(plots)

    monkeypatch.setattr(runs, "score", None)
    full.main(data, 2, folder / "out")
    found.main()
    assert pages == {name: (folder / name).read_text(encoding="utf-8") for name in pages}


def test_a_training_that_was_cut_off_while_its_score_was_written_is_done_again(small, monkeypatch):
    runs, full, _, data, folder = small
    file = folder / "scores.jsonl"
    jobs = [full.whole("LSTM", seed) for seed in range(3)]
    scores = runs.run_all(jobs, runs.ScoreStore(file), data)
    file.write_text(file.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    kept = runs.ScoreStore(file)
    assert [job in kept for job in jobs] == [True, True, False]
    again = runs.run_all(jobs, kept, data)
    assert [score._replace(seconds=0) for score in again] == [score._replace(seconds=0) for score in scores]
    assert all(job in runs.ScoreStore(file) for job in jobs)


def test_pairs_of_words_stand_between_the_two(small):
    with_pairs = small[0].with_pairs
    assert with_pairs("Not good, NOT bad!") == "not not·good good good·not not not·bad bad"
    assert with_pairs("So.") == "so"
    assert with_pairs("") == ""


@pytest.fixture(scope="module")
def order_matters():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DEMOS)
        yield importlib.import_module("order_matters")


@pytest.mark.parametrize(
    ("task", "model"),
    [
        ("count A and B", "bag of words"),
        ("is A before B", "bag of words"),
        ("is A before B", "LSTM"),
        ("phrase 'A B' among 100", "CNN"),
        ("tag by the next word", "bidirectional"),
        ("recall the first of 50", "LSTM, forget bias 3"),
    ],
)
def test_a_task_has_its_known_answer(order_matters, task, model):
    (trial,) = (t for t in order_matters.TRIALS if (t.name, t.model) == (task, model))
    accuracy, _ = order_matters.run(trial, seed=0)
    assert order_matters.verdict(accuracy) == trial.expected


def test_every_architecture_has_a_task_that_it_solves_and_one_that_it_cannot(order_matters):
    answers = {(trial.model.split(",")[0], trial.expected) for trial in order_matters.TRIALS}
    models = {model for model, _ in answers}
    assert models == {"bag of words", "CNN", "LSTM", "deep LSTM", "bidirectional", "CNN-LSTM"}
    assert len(answers) == 2 * len(models)


@pytest.mark.parametrize(("accuracy", "said"), [(1.0, "solves it"), (0.52, "stays at chance"), (0.75, "neither")])
def test_an_accuracy_between_chance_and_right_is_neither(order_matters, accuracy, said):
    assert order_matters.verdict(accuracy) == said


def test_real_reviews_from_an_archive(imdb_archive):
    result = run("lstm.py", "--data", str(imdb_archive), "--reviews", "200", "--epochs", "1")
    assert result.returncode == 0, result.stderr
    assert "accuracy on 200 other reviews of IMDB" in result.stdout
