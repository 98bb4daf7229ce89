"""The demos run from the command line, and say plainly what they trained on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

DEMOS = Path(__file__).parents[1] / "demos"

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


def test_a_path_that_is_wrong_is_an_error_in_one_line():
    result = run("lstm.py", "--data", "no/such/archive.tar.gz")
    assert result.returncode == 1
    assert result.stderr.startswith("lstm.py: nothing at ")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "0 is no whole number of at least 1"),
        (["--maxlen", "-3"], "-3 is no whole number of at least 1"),
        (["--dropout", "2", "--data", "builtin"], "rate is 2.0, expected 0 <= rate < 1"),
    ],
)
def test_a_setting_that_makes_no_sense_is_an_error_in_one_line(arguments, message):
    result = run("lstm.py", *arguments)
    assert result.returncode != 0
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_help_shows_examples_and_what_is_usual():
    result = run("lstm.py", "--help")
    assert "python demos/lstm.py --data aclImdb_v1.tar.gz" in result.stdout
    assert "(default: 0.5; built-in corpus 0.0)" in " ".join(result.stdout.split())


def test_real_reviews_from_an_archive(imdb_archive):
    result = run("lstm.py", "--data", str(imdb_archive), "--reviews", "200", "--epochs", "1")
    assert result.returncode == 0, result.stderr
    assert "accuracy on 200 other reviews of IMDB" in result.stdout
