"""The demos and experiments run from the command line, and say plainly what they trained on."""

import csv
import importlib
import io
import os
import re
import runpy
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from minilstm.data import load_builtin

ROOT = Path(__file__).parents[1]
DEMOS, EXPERIMENTS = ROOT / "demos", ROOT / "experiments"
ARCHITECTURES = ["lstm.py", "cnn.py", "deep_lstm.py", "bidirectional.py", "cnn_lstm.py"]
DEMO_NAMES = (*ARCHITECTURES, "tutorial.py", "order_matters.py", "look.py", "languages.py")
ALL_DEMOS = [f"demos/{name}" for name in DEMO_NAMES]
ALL_EXPERIMENTS = [f"experiments/{name}" for name in ("compare.py", "full.py", "best.py", "what_we_found.py")]

pytest.importorskip("sklearn", reason="the demos' baseline needs scikit-learn: pip install -e '.[demos]'")


def run(script, *arguments, **environment):
    """Run a script as a user does."""
    return subprocess.run(
        [sys.executable, str(ROOT / script), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def forget_scripts(monkeypatch):
    """Let the modules of demos and experiments be imported again, so that no test sees what another changed in them."""
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").parent in (DEMOS, EXPERIMENTS):
            monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def call(monkeypatch, capsys):
    """Run a script as :func:`run` does, but in this process, which saves the imports."""

    def call(script, *arguments):
        path = ROOT / script
        forget_scripts(monkeypatch)
        monkeypatch.syspath_prepend(path.parent)
        monkeypatch.setattr(sys, "argv", [str(path), *arguments])
        code = 0
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(
            arguments, *(1, out, code + err) if isinstance(code, str) else (code, out, err)
        )

    return call


def test_the_lstm_beats_the_bag_of_words_on_the_built_in_corpus_and_says_that_it_is_not_imdb():
    result = run("demos/lstm.py", "--data", "builtin", "--reviews", "3000")
    assert result.returncode == 0, result.stderr
    assert "test accuracy on 3,000 reviews of the built-in corpus (not IMDB)" in result.stdout
    lstm, bag_of_words = (float(n) for n in re.findall(r"^ +([\d.]+)%  ", result.stdout, re.MULTILINE))
    assert lstm >= 95
    assert bag_of_words <= lstm - 20


@pytest.mark.parametrize("demo", ["lstm.py", "tutorial.py"])
def test_without_imdb_a_demo_says_so_loudly_and_how_to_get_it_then_trains_on_the_built_in_corpus(demo, tmp_path):
    nowhere = "http://127.0.0.1:9"  # a port on this machine where nobody listens: no download succeeds
    result = run(
        f"demos/{demo}", "--reviews", "100", "--epochs", "1",
        MINILSTM_DATA="", MINILSTM_CACHE=str(tmp_path), HTTPS_PROXY=nowhere, https_proxy=nowhere,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert " NO IMDB REVIEWS: could not download the reviews (ai.stanford.edu cannot be reached)\n" in result.stdout
    assert "download" not in result.stderr  # nothing of pooch either
    assert "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz" in result.stdout
    assert "--data" in result.stdout
    assert "on 100 reviews of the built-in corpus (not IMDB)" in result.stdout


@pytest.mark.parametrize("script", ["demos/lstm.py", "demos/tutorial.py", *ALL_EXPERIMENTS])
def test_a_path_that_is_wrong_is_an_error_in_one_line(call, script, tmp_path):
    out = ["--out", str(tmp_path)] if script in ALL_EXPERIMENTS else []
    result = call(script, "--data", "no/such/archive.tar.gz", *out)
    assert result.returncode == 1
    assert result.stderr.startswith(f"{Path(script).name}: nothing at ")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("demo", "arguments", "message"),
    [
        ("lstm.py", ["--epochs", "0"], "argument --epochs: must be an integer >= 1 and < 1e+09, got 0"),
        ("lstm.py", ["--reviews", "ten"], "argument --reviews: must be an integer >= 20 and < 1e+09, got ten"),
        ("lstm.py", ["--maxlen", "-3"], "argument --maxlen: must be an integer >= 1 and < 1e+09, got -3"),
        ("cnn.py", ["--maxlen", "9"], "argument --maxlen: must be an integer >= 10 and < 1e+09, got 9"),
        ("lstm.py", ["--dropout", "2"], "argument --dropout: must be a number >= 0 and < 1, got 2"),
        ("lstm.py", ["--word-dropout", "-1"], "argument --word-dropout: must be a number >= 0 and < 1, got -1"),
        ("lstm.py", ["--learning-rate", "0"], "argument --learning-rate: must be a number >= 1e-12 and < 1e+09, got 0"),
        (
            "lstm.py",
            ["--learning-rate", "fast"],
            "argument --learning-rate: must be a number >= 1e-12 and < 1e+09, got fast",
        ),
        ("tutorial.py", ["--mistake", "tanh"], "argument --mistake: invalid choice: 'tanh'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_an_error_in_one_line(call, demo, arguments, message):
    result = call(f"demos/{demo}", *arguments)
    assert result.returncode != 0
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_demo_ends_quietly_when_the_reader_of_its_output_stops():
    command = f"{sys.executable} {ROOT / 'demos/lstm.py'} --data builtin --reviews 20 --epochs 1 | head -n 1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert result.stdout == "18 training reviews of the built-in corpus (not IMDB)\n"
    assert "Traceback" not in result.stderr
    assert "BrokenPipe" not in result.stderr


def test_the_languages_demo_shows_that_chinese_is_learned_from_characters_but_not_from_words(call, tmp_path):
    (texts, y), _ = load_builtin(400)
    signs = {word: chr(0x4E00 + n) for n, word in enumerate(sorted({word for text in texts for word in text.split()}))}
    rows = [f"{''.join(signs[word] for word in text.split())},{label}" for text, label in zip(texts, y, strict=True)]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    plot = tmp_path / "plot.png"
    arguments = ["--levels", "word", "char", "auto", "--epochs", "1", "--out", str(plot)]
    result = call("demos/languages.py", str(tmp_path / "texts.csv"), *arguments)
    assert result.returncode == 0, result.stderr
    table = {
        line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if line.startswith(("word", "char"))
    }
    assert table["word"][2] == "100.0%", "every sentence is an unknown word"
    assert table["char"][2] == "0.0%"
    assert "auto: pairs of characters where a script puts no spaces between words" in result.stdout
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_help_does_not_promise_more_than_a_short_run_gives(call):
    assert (
        "--reviews 1000 --epochs 3         a trial run, too short to learn much"
        in call("demos/cnn.py", "--help").stdout
    )


@pytest.mark.parametrize("script", [*ALL_DEMOS, *ALL_EXPERIMENTS, "experiments/attributions.py"])
def test_help_says_what_to_expect_and_shows_examples(call, script):
    result = call(script, "--help")
    assert result.returncode == 0, result.stderr
    assert "Expect " in result.stdout
    assert "examples:" in result.stdout
    assert f"python {script} " in result.stdout


def test_help_shows_the_default_for_each_corpus(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert "(default: 0.5; built-in corpus 0.0)" in call("demos/lstm.py", "--help").stdout


@pytest.mark.parametrize("demo", ARCHITECTURES)
def test_every_demo_trains_and_shows_its_layers_its_accuracy_the_baseline_and_some_predictions(call, demo):
    shortest = ["--maxlen", "10"] if demo == "cnn.py" else []
    result = call(f"demos/{demo}", "--data", "builtin", "--reviews", "100", "--epochs", "1", *shortest)
    assert result.returncode == 0, result.stderr
    assert "embedding (Embedding)" in result.stdout
    assert "epoch 1/1" in result.stdout
    assert "val_accuracy" in result.stdout
    assert "test accuracy on 100 reviews of the built-in corpus (not IMDB)" in result.stdout
    assert "%  bag of words" in result.stdout
    assert len(re.findall(r"(right|WRONG)  predicted (positive|negative) \(p = [01]\.\d\d\)", result.stdout)) == 6


@pytest.mark.slow
def test_look_trains_a_model_shows_how_it_reads_and_says_where_the_page_and_the_plots_are(call, tmp_path, monkeypatch):
    monkeypatch.delenv("MINILSTM_DATA", raising=False)
    result = call(
        "demos/look.py", "--reviews", "200", "--out", str(tmp_path / "out"), "--text", "The plot was not bad."
    )
    assert result.returncode == 0, result.stderr
    assert "test accuracy on 200 reviews of the built-in corpus (not IMDB): " in result.stdout
    assert re.search(r"^bad +[01]\.\d{4} +[+-]\d", result.stdout, re.MULTILINE)
    named = re.findall(rf"{tmp_path}\S*?look\w*\.\w+", result.stdout)
    assert sorted({Path(name).name for name in named}) == [
        "look.html",
        "look.png",
        "look.safetensors",
        "look_untrained.png",
    ]
    for name in named:
        assert Path(name).stat().st_size > 10_000


@pytest.mark.slow
def test_the_attributions_of_a_few_texts_are_a_table_of_all_models(call):
    result = call("experiments/attributions.py", "--texts", "20", "--reviews", "40")
    assert result.returncode == 0, result.stderr
    rows = [line.split(" | ") for line in result.stdout.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == 5 * 3 + 3  # three of the models have a memory of words


@pytest.mark.parametrize("model", ["lstm", "deep", "bidirectional", "hybrid", "cnn"])
def test_every_model_of_the_tutorial_trains_with_the_second_mistake(call, model):
    tiny = "--data", "builtin", "--reviews", "40", "--epochs", "1"
    result = call("demos/tutorial.py", *tiny, "--model", model, "--mistake", "sigmoid")
    assert result.returncode == 0, result.stderr
    assert "mistakes: sigmoid" in result.stdout
    assert re.search(r"test accuracy [\d.]+% on 40 reviews of the built-in corpus", result.stdout)


@pytest.mark.parametrize("model", ["lstm", "cnn"])
def test_the_first_mistake_gives_the_model_a_step_for_each_word_of_the_vocabulary(call, model):
    tiny = "--data", "builtin", "--reviews", "40", "--epochs", "1", "--model", model
    mistaken, meant = call("demos/tutorial.py", *tiny, "--mistake", "texts_to_matrix"), call("demos/tutorial.py", *tiny)
    assert mistaken.returncode == meant.returncode == 0, mistaken.stderr + meant.stderr
    assert "mistakes: texts_to_matrix" in mistaken.stdout
    assert "mistakes: none" in meant.stdout
    assert "(None, 1000, 50)" in mistaken.stdout
    assert "(None, 300, 50)" in meant.stdout


def test_compare_prints_and_saves_a_table_of_all_models_and_a_picture(call, tmp_path):
    tiny = "--data", "builtin", "--reviews", "60", "--epochs", "2", "--seeds", "1"
    result = call("experiments/compare.py", *tiny, "--out", str(tmp_path / "results"))
    assert result.returncode == 0, result.stderr
    assert "6 of 6: CNN-LSTM, seed 0: test accuracy" in result.stdout
    assert "LSTM, seed 0: epoch 2 of 2" in result.stdout
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
    """The experiments on all of IMDB, with tiny settings: their modules, an archive, and an output folder."""
    forget_scripts(monkeypatch)
    monkeypatch.syspath_prepend(EXPERIMENTS)
    names = ("runs", "full", "best", "what_we_found")
    runs, full, best, found = (importlib.import_module(name) for name in names)
    tiny = {"epochs": 1, "vocab_size": 50, "maxlen": 20, "embedding_dims": 2, "hidden_dims": 2}
    for module in full, found:
        monkeypatch.setattr(module, "ALL", 40)
        monkeypatch.setattr(module, "SIZES", [30])
    monkeypatch.setattr(full, "whole", lambda name, seed=0: runs.Job(name, full.SETTINGS.get(name, {}), seed, 40))
    monkeypatch.setattr(found, "whole", full.whole)
    monkeypatch.setattr(full, "SETTINGS", {name: settings | tiny for name, settings in full.SETTINGS.items()})
    monkeypatch.setattr(best, "SETTINGS", best.SETTINGS | tiny)
    monkeypatch.setattr(found, "FEW", 30)
    monkeypatch.setattr(found, "MATRIX", tiny | {"vocab_size": 20})
    monkeypatch.setenv("MINILSTM_CACHE", str(tmp_path / "cache"))
    return runs, full, found, write_reviews(tmp_path / "reviews.tar"), tmp_path / "out"


def write_reviews(path):
    """An archive with the layout of IMDB's, with 20 reviews of the built-in corpus in each of its four folders."""
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


def tables(output):
    """The Markdown tables in an output, each as a list of lines."""
    return [part.splitlines() for part in output.split("\n\n") if part.startswith("|")]


def test_experiments_print_their_tables_and_do_not_train_anything_twice(small, monkeypatch, capsys):
    runs, full, found, data, out = small
    monkeypatch.setattr(sys, "argv", ["full.py", "--data", data, "--seeds", "2", "--out", str(out)])
    full.main()
    first = capsys.readouterr().out
    found.main()
    second = capsys.readouterr().out
    for name in ("bag of words", "naive Bayes bigrams", *runs.MODELS, "best.py"):
        assert re.search(rf"\| {name} +\| +\d+\.\d", first)
    assert len(tables(first)) == 3
    assert len(tables(second)) == 5
    for table in tables(first) + tables(second):
        assert len({len(line.split(" | ")) for line in table}) == 1
    assert {file.name for file in out.iterdir()} == {"cache", "epochs.png", "reviews.png", "sigmoid.png"}
    assert "LSTM, 30 reviews, seed 0: epoch 1 of 1  loss" in first
    assert "LSTM, 40 reviews, seed 1: test accuracy" in first

    monkeypatch.setattr(runs.Sequential, "fit", None)
    full.main()
    again = capsys.readouterr().out
    assert ": epoch " not in again
    assert tables(again) == tables(first)
    found.main()
    assert tables(capsys.readouterr().out) == tables(second)


def test_an_experiment_that_was_interrupted_trains_only_what_is_missing(small, monkeypatch, capsys):
    runs, full, _, data, out = small
    jobs = [full.whole("LSTM", seed) for seed in range(3)]
    scores = runs.Runner(data, out)(jobs[:2])
    capsys.readouterr()
    resumed = runs.Runner(data, out)(jobs)
    assert resumed[:2] == scores
    assert re.findall(r"seed (\d): epoch", capsys.readouterr().out) == ["2"]


def test_the_score_of_a_job_depends_on_its_settings(small, capsys):
    runs, full, _, data, out = small
    job = full.whole("LSTM")
    run_all = runs.Runner(data, out)
    (small_model,), (large_model,) = run_all([job]), run_all([job._replace(settings=job.settings | {"hidden_dims": 3})])
    assert small_model.parameters < large_model.parameters
    assert np.isfinite(large_model.seconds)


def test_pairs_of_words_come_between_the_two(small):
    with_pairs = small[0].with_pairs
    assert with_pairs("Not good, NOT bad!") == "not not·good good good·not not not·bad bad"
    assert with_pairs("So.") == "so"
    assert with_pairs("") == ""


def test_the_pages_of_the_experiments_name_files_and_plots_that_exist():
    for page in (DEMOS / "README.md", EXPERIMENTS / "README.md", EXPERIMENTS / "what_we_found.md"):
        text = page.read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)]+)\)", text):
            assert (page.parent / link).exists(), f"{page}: {link}"
        for name in re.findall(r"`([\w/]+\.py)`", text):
            assert (page.parent / name).exists() or (ROOT / name).exists(), f"{page}: {name}"


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
    assert order_matters.outcome(accuracy) == trial.expected


def test_every_architecture_has_a_task_that_it_solves_and_one_that_it_cannot(order_matters):
    answers = {(trial.model.split(",")[0], trial.expected) for trial in order_matters.TRIALS}
    models = {model for model, _ in answers}
    assert models == {"bag of words", "CNN", "LSTM", "deep LSTM", "bidirectional", "CNN-LSTM"}
    assert len(answers) == 2 * len(models)


@pytest.mark.parametrize(("accuracy", "expected"), [(1.0, "solves it"), (0.52, "stays at chance"), (0.75, "neither")])
def test_an_accuracy_between_chance_and_right_is_neither(order_matters, accuracy, expected):
    assert order_matters.outcome(accuracy) == expected


def test_real_reviews_from_an_archive(imdb_archive):
    result = run("demos/lstm.py", "--data", str(imdb_archive), "--reviews", "200", "--epochs", "1")
    assert result.returncode == 0, result.stderr
    assert "test accuracy on 200 reviews of IMDB" in result.stdout
