"""``train`` on the command line keeps what it has trained, whatever goes wrong at the end, and nothing that failed."""

import contextlib
import errno
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from minilstm import EarlyStopping, ModelCheckpoint, Sequential
from minilstm.runs import checkpoint, files
from minilstm.tools import cli, commands

TRAIN = ["train", "builtin", "--reviews", "40", "--epochs", "2", "--maxlen", "20", "--embedding-dims", "4"]
TRAIN += ["--hidden-dims", "4", "--batch-size", "4"]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.safetensors"


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    whole = tmp_path_factory.mktemp("whole") / "whole.safetensors"
    assert cli.main([*TRAIN, "--out", str(whole)]) == 0
    return whole.read_bytes()


def train(*options):
    return cli.main([*TRAIN, *map(str, options)])


# The last moments


def test_a_model_that_cannot_be_written_is_saved_elsewhere_and_the_message_says_where(
    out, tmp_path, expected, monkeypatch, capsys
):
    replace = files.replace_file

    def full(path, data):
        if path == out:
            raise OSError(errno.ENOSPC, "No space left on device", str(out))
        replace(path, data)

    monkeypatch.setattr(files, "replace_file", full)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert train("--out", out) == 1
    (rescue,) = tmp_path.glob("minilstm-*/out.safetensors")
    assert rescue.read_bytes() == expected
    err = capsys.readouterr().err
    assert "No space left on device" in err
    assert f"The model is not lost: it was saved as {rescue}" in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(("pipe", "why"), [("> /dev/full", "No space left on device"), ("| head -1", "Broken pipe")])
def test_a_model_is_saved_though_nothing_can_be_printed(out, expected, pipe, why):
    command = f"{sys.executable} -m minilstm {' '.join(TRAIN)} --out {out} {pipe}"
    ran = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert out.read_bytes() == expected
    if ran.stderr or pipe.startswith(">"):  # head may have read all that was written
        assert ran.stderr == f"minilstm train: the model was saved as {out}, but printing failed: {why}\n"


def test_without_stderr_it_trains_all_the_same(out, expected):
    command = f"{sys.executable} -m minilstm {' '.join(TRAIN)} --out {out} 2>&-"
    ran = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert (ran.returncode, "saved as" in ran.stdout) == (0, True)
    assert out.read_bytes() == expected


def press_once(function):
    """Make Ctrl-C come the first time that the function is called."""
    calls = []

    def pressed(*arguments):
        calls.append(1)
        if len(calls) == 1:
            signal.raise_signal(signal.SIGINT)
        return function(*arguments)

    return pressed


LAST = [(EarlyStopping, "on_train_end"), (commands, "save_or_rescue"), (checkpoint.saving, "save")]


@pytest.mark.parametrize(
    ("where", "name", "kept"),
    [(where, name, kept) for where, name in LAST for kept in (False, True)] + [(os, "fsync", False)],
)
def test_ctrl_c_after_the_last_epoch_comes_when_the_model_is_saved(
    out, tmp_path, expected, where, name, kept, monkeypatch, capsys
):
    options = ["--checkpoint", tmp_path / "run.safetensors"] if kept else []
    monkeypatch.setattr(where, name, press_once(getattr(where, name)))
    assert train("--out", out, *options) == 130
    assert out.read_bytes() == expected
    said = f"minilstm train: interrupted; the training had ended, and the model was saved as {out}\n"
    assert capsys.readouterr().err == said


def interrupt_in_training(monkeypatch):
    monkeypatch.setattr(EarlyStopping, "on_epoch_end", press_once(EarlyStopping.on_epoch_end))


def test_ctrl_c_without_a_checkpoint_says_that_nothing_was_saved_and_how_to_avoid_it(out, monkeypatch, capsys):
    interrupt_in_training(monkeypatch)
    assert train("--out", out) == 130
    said = "interrupted; nothing was saved; with --checkpoint FILE, a run that was interrupted can be resumed\n"
    assert capsys.readouterr().err == f"minilstm train: {said}"
    assert not out.exists()


def test_a_training_whose_loss_exploded_is_a_failure_and_not_saved(out, capsys):
    out.write_bytes(before := b"an earlier model")
    assert train("--out", out, "--learning-rate", "1000") == 1
    assert out.read_bytes() == before
    err = capsys.readouterr().err
    assert "the training diverged: the loss on held-out texts is " in err
    assert "that of guessing 0.6931; nothing was saved; try a tenth of --learning-rate 1000\n" in err


# Checkpoints


def begun(run, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_in_training(patch)
        assert train("--out", run.with_name("other.safetensors"), "--checkpoint", run) == 130


def test_out_never_replaces_the_checkpoint_of_a_run_that_has_not_ended(tmp_path, monkeypatch, capsys):
    run, before = tmp_path / "run.safetensors", None
    begun(run, monkeypatch)
    before = run.read_bytes()
    assert train("--out", run) == 1
    assert f"{run} holds a run that has not ended; save under another name, or delete" in capsys.readouterr().err
    assert run.read_bytes() == before
    assert train("--out", tmp_path / "out.safetensors", "--checkpoint", run, "--resume") == 0
    assert train("--out", run) == 0  # it has ended now
    assert Sequential.load(run).metadata["labels"] == ["negative", "positive"]


def test_not_even_of_one_that_began_while_it_trained(out, tmp_path, monkeypatch, capsys):
    begun(tmp_path / "run.safetensors", monkeypatch)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    other = (tmp_path / "run.safetensors").read_bytes()
    monkeypatch.setattr(EarlyStopping, "on_train_end", lambda *_: out.write_bytes(other))
    assert train("--out", out) == 1
    assert out.read_bytes() == other
    (rescue,) = tmp_path.glob("minilstm-*/out.safetensors")
    assert f"it was saved as {rescue}" in capsys.readouterr().err


def test_resuming_with_another_seed_is_refused_by_name(tmp_path, monkeypatch, capsys):
    run = tmp_path / "run.safetensors"
    begun(run, monkeypatch)
    assert train("--out", tmp_path / "out.safetensors", "--checkpoint", run, "--resume", "--seed", "1") == 1
    assert "holds another run: seed was 0, now 1; x was 36" in capsys.readouterr().err


def test_save_every_says_after_how_many_batches_to_save(tmp_path, monkeypatch):
    seen = []

    class Spy(ModelCheckpoint):
        def save(self, run):
            seen.append((run.epoch, run.batch))
            super().save(run)

    monkeypatch.setattr(commands, "ModelCheckpoint", Spy)
    options = ["--checkpoint", tmp_path / "run.safetensors", "--save-every", "4"]
    assert train("--out", tmp_path / "out.safetensors", *options) == 0
    assert seen == [(0, 0), (0, 4), (0, 8), (1, 0), (1, 4), (1, 8), (2, 0)]


def test_a_lack_of_memory_has_a_word(monkeypatch, capsys):
    def lack():
        raise MemoryError

    monkeypatch.setattr(commands, "download_imdb", lack)
    assert cli.main(["download"]) == 1
    assert capsys.readouterr().err == "minilstm download: not enough memory\n"


# SIGKILL

KILLS = 10


@pytest.mark.slow
def test_killed_at_random_moments_and_run_again_it_leaves_the_same_file_and_no_other(out, tmp_path, expected):
    kills, moments, run = 0, random.Random(0), tmp_path / "run.safetensors"
    options = ["--out", str(out), "--checkpoint", str(run), "--save-every", "1", "--resume"]

    def saved():
        return run.stat().st_mtime_ns if run.exists() else None

    while kills < KILLS:
        before = saved()
        process = subprocess.Popen([sys.executable, "-m", "minilstm", *TRAIN, *options], stdout=subprocess.DEVNULL)
        while saved() == before and process.poll() is None:
            time.sleep(0.001)  # until it has got past its imports
        with contextlib.suppress(subprocess.TimeoutExpired):
            assert process.wait(moments.uniform(0, 0.1)) == 0
            assert out.read_bytes() == expected
            run.unlink()
            out.unlink()
            continue
        process.kill()
        process.wait()
        kills += 1
    assert train(*options) == 0
    assert out.read_bytes() == expected
    assert sorted(tmp_path.iterdir()) == [out, run]
