"""A run that is killed, stopped or cut short at any moment goes on and ends, bit for bit, where it would have ended."""

import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from minilstm import (
    LSTM,
    SGD,
    Adam,
    Callback,
    Dense,
    Dropout,
    EarlyStopping,
    Embedding,
    Layer,
    ModelCheckpoint,
    OneCycle,
    RMSprop,
    Sequential,
    Tokenizer,
    use_numba,
)
from minilstm.runs import checkpoint, files
from minilstm.runs.callbacks import Progress
from minilstm.tools import cli, commands

RNG = np.random.default_rng(0)
X = [RNG.integers(1, 20, RNG.integers(1, 12)) for _ in range(60)]
Y = np.array([int(7 in row) for row in X])
HELD = (X[:16], Y[:16])
STEPS = 8  # batches of 8 in an epoch


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


def small(seed=0, units=6, **settings):
    model = Sequential([Embedding(20, 4), Dropout(0.3), LSTM(units), Dense(1, "sigmoid")], seed=seed)
    model.compile(**{"optimizer": Adam(0.01, global_clipnorm=1.0), "metrics": ["accuracy"]} | settings)
    return model


def fit(model, *callbacks, x=X, y=Y, **settings):
    given = {"batch_size": 8, "epochs": 3, "verbose": 0, "validation_data": HELD, "callbacks": list(callbacks)}
    return model.fit(x, y, **given | settings)


def ended(model):
    """All that a run leaves behind, as bytes and text, to be compared bit for bit."""
    state = {f"{slot}.{name}": a for slot, own in model.optimizer.state.items() for name, a in own.items()}
    arrays = {**model.params, **state, "predictions": model.predict(X, verbose=0)}
    facts = model.history.history, model.history.epoch, model.optimizer.iterations, model.rng.bit_generator.state
    return repr(facts), {name: a.tobytes() for name, a in arrays.items()}


class CutError(RuntimeError):
    """A run ends here."""


class Cut(Callback):
    """End the run after so many batches, at ``method``."""

    def __init__(self, batches, method="on_train_batch_end"):
        self.left = batches
        setattr(self, method, self.count)

    def count(self, *_):
        self.left -= 1
        if self.left == 0:
            raise CutError


def cut(path, batches, *callbacks, save_freq=1, method="on_train_batch_end", **settings):
    """Cut a run short; what is saved is the place before the last batch."""
    with pytest.raises(CutError):
        fit(small(), ModelCheckpoint(path, save_freq), *callbacks, Cut(batches, method), **settings)


@pytest.mark.parametrize("optimizer", [SGD(0.1, momentum=0.9), RMSprop(0.01), Adam(0.01)])
@pytest.mark.parametrize("settings", [{}, {"shuffle": False}, {"validation_data": None, "validation_split": 0.25}])
def test_a_run_cut_short_again_and_again_ends_where_the_whole_one_ends(path, optimizer, settings):
    whole = small(optimizer=optimizer)
    history = fit(whole, **settings)
    for seed in range(100):  # of the models that go on: what they start with plays no part
        model = small(seed, optimizer=optimizer)
        try:
            assert fit(model, Cut(5), ModelCheckpoint(path, 2, resume=True), **settings) is model.history
        except CutError:
            continue
        break
    assert seed > 3
    assert ended(model) == ended(whole)
    assert model.history.history == history.history


@pytest.mark.parametrize("batches", [1, STEPS, STEPS + 1, 3 * STEPS])
def test_it_may_be_cut_short_at_the_edges_of_an_epoch_too(path, batches):
    whole, model = small(), small()
    fit(whole)
    cut(path, batches)
    fit(model, ModelCheckpoint(path, resume=True))
    assert ended(model) == ended(whole)


def test_with_epoch_it_is_saved_at_the_ends_of_epochs_alone(path):
    cut(path, 2 * STEPS - 1, save_freq="epoch")
    fit(small(), ModelCheckpoint(path, resume=True), spy := Spy())
    assert spy.batches == [(epoch, batch) for epoch in (1, 2) for batch in range(STEPS)]


class Spy(Callback):
    """Note the batches."""

    def __init__(self):
        self.batches, self.epochs = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append(epoch)

    def on_train_batch_begin(self, batch, logs=None):
        self.batches.append((self.epochs[-1], batch))


def test_it_goes_on_with_the_batch_after_the_last_save_and_says_so(path, capsys):
    cut(path, STEPS + 5)
    fit(small(), ModelCheckpoint(path, resume=True), spy := Spy(), verbose=2)
    assert spy.batches[:2] == [(1, 4), (1, 5)]
    assert f"resuming from {path}, at batch 4 of epoch 2\n" in capsys.readouterr().out


def test_it_is_saved_after_all_callbacks_wherever_it_stands_in_the_list(path):
    class Halve(Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.optimizer.learning_rate *= 0.9

        def on_epoch_begin(self, epoch, logs=None):
            self.model.params["dense.b"] += 1
            self.model.optimizer.learning_rate *= 0.5

    whole, model = small(), small()
    fit(whole, Halve())
    cut(path, STEPS + 3, Halve())
    fit(model, ModelCheckpoint(path, resume=True), Halve())
    assert ended(model) == ended(whole)
    assert model.optimizer.learning_rate == whole.optimizer.learning_rate


@pytest.mark.parametrize("batches", [2 * STEPS + 3, 4 * STEPS + 1])
def test_early_stopping_remembers_what_was_best(path, batches):
    def stopping():
        return EarlyStopping("val_loss", min_delta=0.5, patience=4, restore_best_weights=True)

    whole, model = small(), small()
    fit(whole, early := stopping(), epochs=9)
    cut(path, batches, stopping(), epochs=9)
    fit(model, ModelCheckpoint(path, resume=True), resumed := stopping(), epochs=9)
    assert whole.history.epoch == [0, 1, 2, 3, 4]
    assert ended(model) == ended(whole)
    assert (resumed.best, resumed.best_epoch, resumed.stopped_epoch) == (early.best, 0, 4)


@pytest.mark.parametrize("batches", [2, 2 * STEPS + 3, 3 * STEPS])
def test_one_cycle_goes_on_where_it_stood_and_the_file_holds_the_optimisers_own_rate(path, batches):
    whole, model = small(), small()
    fit(whole, OneCycle())
    cut(path, batches, OneCycle())
    assert Sequential.load(path).optimizer.learning_rate == whole.optimizer.learning_rate
    fit(model, ModelCheckpoint(path, resume=True), OneCycle())
    assert ended(model) == ended(whole)


def test_a_stop_that_was_asked_for_within_an_epoch_comes_at_its_end(path):
    class Stop(Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training |= batch == 2

    cut(path, 5, Stop())
    model = small()
    fit(model, ModelCheckpoint(path, resume=True))
    assert model.history.epoch == [0]


def test_numbers_that_are_not_finite_are_kept_too(path):
    class Odd(Callback):
        def state(self):
            return {"numbers": [float("nan"), -np.inf, np.float64(0.1), np.int64(3), (1, None, True, "é")]}

        def restore(self, state):
            self.restored = state

    cut(path, 3, Odd())
    fit(small(), ModelCheckpoint(path, resume=True), odd := Odd())
    assert repr(odd.restored) == "{'numbers': [nan, -inf, 0.1, 3, [1, None, True, 'é']]}"


def test_a_run_that_ended_can_be_run_again_and_for_more_epochs(path):
    def stopping():
        return EarlyStopping("loss", patience=9, restore_best_weights=True)

    whole, once, again, more = (small() for _ in range(4))
    fit(once, ModelCheckpoint(path), stopping())
    before = path.read_bytes()
    fit(again, ModelCheckpoint(path, resume=True), stopping(), spy := Spy())
    assert spy.batches == []
    assert ended(again) == ended(once)
    assert path.read_bytes() == before
    fit(more, ModelCheckpoint(path, resume=True), stopping(), epochs=5)
    fit(whole, stopping(), epochs=5)
    assert ended(more) == ended(whole)
    with pytest.raises(ValueError, match=r"epochs is 2, but the run in .*safetensors got to the end of epoch 5"):
        fit(small(), ModelCheckpoint(path, resume=True), stopping(), epochs=2)


def test_a_checkpoint_is_a_model_file(path):
    model = small()
    model.tokenizer, model.metadata = Tokenizer(20), {"labels": ["bad", "good"]}
    model.tokenizer.fit_on_texts(["to be or not to be"])
    fit(model, ModelCheckpoint(path))
    loaded = Sequential.load(path)
    assert np.array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    assert loaded.tokenizer.word_index == model.tokenizer.word_index
    assert loaded.metadata == model.metadata


# What is there already


def test_a_run_that_has_not_ended_is_not_overwritten(path):
    cut(path, STEPS + 3)
    before = path.read_bytes()
    message = (
        "has not ended: of 3 epochs, it got to batch 2 of epoch 2. .*resume=True.* from the beginning, delete the file"
    )
    with pytest.raises(ValueError, match=message):
        fit(small(), ModelCheckpoint(path))
    assert path.read_bytes() == before


def test_a_run_that_has_ended_is_overwritten(path):
    fit(small(), ModelCheckpoint(path), epochs=1)
    model, other = small(seed=1), small(seed=1)
    fit(model, ModelCheckpoint(path))
    fit(other)
    assert ended(model) == ended(other)


@pytest.mark.parametrize("resume", [False, True])
def test_another_file_is_not_overwritten(path, resume):
    for content, message in ((None, "holds a model but not a checkpoint"), (b"dear diary", "not a file of minilstm's")):
        small().save(path) if content is None else path.write_bytes(content)
        before = path.read_bytes()
        with pytest.raises(ValueError, match=message):
            fit(small(), ModelCheckpoint(path, resume=resume))
        assert path.read_bytes() == before


def other_y():
    y = Y.copy()
    y[20] = 1 - y[20]
    return y


OTHERS = {
    "layers was .*LSTM\\(6\\).*, now .*LSTM\\(5\\)": lambda: (small(units=5), {}),
    "optimizer was Adam\\(learning_rate=0.01.*now Adam\\(learning_rate=0.02": lambda: (small(optimizer=Adam(0.02)), {}),
    "optimizer was Adam.*now SGD": lambda: (small(optimizer="sgd"), {}),
    "loss was BinaryCrossentropy.*now MeanSquaredError": lambda: (small(loss="mse"), {}),
    "metrics was \\['accuracy'\\], now \\[\\]": lambda: (small(metrics=None), {}),
    "x was 60 .*, now 60": lambda: (small(), {"x": X[::-1]}),
    "x was 60 .*, now 59 .*; y was 60 .*, now 59": lambda: (small(), {"x": X[1:], "y": Y[1:]}),
    "y was 60": lambda: (small(), {"y": other_y()}),
    "validation data was 16 .*, now none": lambda: (small(), {"validation_data": None}),
    "validation data was 16 .* with labels 16": lambda: (small(), {"validation_data": (X[:16], 1 - Y[:16])}),
    "batch_size was 8, now 9": lambda: (small(), {"batch_size": 9}),
    "shuffle was True, now False": lambda: (small(), {"shuffle": False}),
    "callbacks with a state was History, now History, EarlyStopping": lambda: (small(), {"callback": EarlyStopping()}),
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    path = tmp_path_factory.mktemp("begun") / "run.safetensors"
    cut(path, 3)
    return path


@pytest.mark.parametrize("message", OTHERS)
def test_going_on_with_something_else_is_refused_by_name_before_anything_changes(begun, message):
    model, settings = OTHERS[message]()
    weights, file = model.get_weights(), begun.read_bytes()
    callbacks = [settings.pop("callback")] if "callback" in settings else []
    with pytest.raises(ValueError, match=f"holds another run: {message}") as caught:
        fit(model, ModelCheckpoint(begun, resume=True), *callbacks, **settings)
    assert "to start from the beginning, delete the file" in str(caught.value)
    assert str(caught.value).count(" was ") == message.count(" was ")  # no word of what is the same
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    assert begun.read_bytes() == file


@pytest.mark.parametrize("key", ["fingerprint", "epochs", "place", "rng", "optimizer", "callbacks"])
def test_a_file_that_was_put_together_by_hand_is_refused(begun, path, key):
    tensors, about = files.read(begun)
    changes = {"fingerprint": 1, "epochs": {"float": "x"}, "place": {"dict": {}}, "rng": {"dict": {"a": 1}}}
    changes |= {"optimizer": {"dict": {"state": {"array": "nowhere"}}}, "callbacks": [1, 2]}
    about["training"]["dict"][key] = changes[key]
    files.write(path, tensors, about)
    with pytest.raises(ValueError, match="is malformed"):
        fit(small(), ModelCheckpoint(path, resume=True))


# Places that cannot be written to


def test_a_folder_that_is_not_there_is_noticed_before_training(tmp_path):
    model, path = small(), tmp_path / "nowhere" / "run.safetensors"
    weights = model.get_weights()
    with pytest.raises(FileNotFoundError, match="check that the folder exists") as caught:
        fit(model, ModelCheckpoint(path))
    assert caught.value.filename == str(path)
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))


def test_when_the_disk_is_full_the_earlier_checkpoint_stays_whole_and_can_be_gone_on_with(path, monkeypatch):
    saves, sync = [], os.fsync

    def full(file):
        saves.append(file)
        if len(saves) == 9:  # a file and its folder for each
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(file)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device; an earlier file is unchanged") as caught:
        fit(small(), ModelCheckpoint(path, 1))
    assert caught.value.filename == str(path)
    assert list(path.parent.iterdir()) == [path]
    fit(small(), ModelCheckpoint(path, resume=True), spy := Spy())
    assert spy.batches[0] == (0, 3)


def test_metadata_that_differ_are_named_where_a_run_is_another_one_but_do_not_make_it_one(path):
    model, other = small(), small()
    model.metadata, other.metadata = {"seed": 0, "maxlen": 9}, {"seed": 1, "maxlen": 9}
    with pytest.raises(CutError):
        fit(model, ModelCheckpoint(path, 1), Cut(3))
    with pytest.raises(ValueError, match=r"holds another run: seed was 0, now 1; y was 60"):
        fit(other, ModelCheckpoint(path, resume=True), y=other_y())
    fit(other, ModelCheckpoint(path, resume=True))


# One run at a time


class Begin(Callback):
    """Do something before the run begins."""

    def __init__(self, work):
        self.on_train_begin = lambda logs: work()


def refused(path, **settings):
    with pytest.raises(ValueError, match=r"run.safetensors is in use by another run; wait until it ends, or give"):
        fit(small(seed=1), ModelCheckpoint(path, **settings))


@pytest.mark.parametrize("settings", [{}, {"resume": True}])
def test_while_a_run_lasts_its_file_is_refused_to_any_other_of_this_process_in_this_thread_or_another(path, settings):
    def meanwhile():
        refused(path, **settings)
        thread = threading.Thread(target=lambda: seen.append(refused(path, **settings)))
        thread.start()
        thread.join()

    seen, whole, model = [], small(), small()
    fit(whole)
    fit(model, Begin(meanwhile), ModelCheckpoint(path))
    assert seen == [None]
    assert ended(model) == ended(whole)
    fit(small(), ModelCheckpoint(path))  # the first one has ended


OTHER = """
import sys

sys.path.insert(0, {tests!r})
from test_checkpoint import Begin, ModelCheckpoint, fit, refused, small

def wait():
    print("begun", flush=True)
    sys.stdin.readline()

{work}
"""


def other(path, work):
    script = OTHER.format(tests=str(Path(__file__).parent), work=work.format(path=str(path)))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", script], text=True, **pipes)


def test_two_processes_cannot_run_on_one_file_and_a_killed_one_leaves_no_lock(path):
    with other(path, "fit(small(), Begin(wait), ModelCheckpoint({path!r}))") as running:
        assert running.stdout.readline() == "begun\n"
        refused(path)
        running.kill()
    fit(model := small(), ModelCheckpoint(path))
    assert list(path.parent.iterdir()) == [path]
    assert model.history.epoch == [0, 1, 2]


def test_a_link_to_the_file_is_the_file(path, tmp_path):
    (link := tmp_path / "link to run.safetensors").symlink_to(path)
    fit(small(), Begin(lambda: refused(link)), ModelCheckpoint(path))
    assert sorted(tmp_path.iterdir()) == [link, path]


@pytest.mark.parametrize("path", ["w.{epoch:02d}-{val_loss:.2f}.hdf5", "weights-{epoch}.safetensors"])
def test_a_name_for_each_epoch_is_refused_with_the_remedy(path):
    with pytest.raises(ValueError, match=r"path contains \{epoch.*\}, but there is one file, .*call model.save in a"):
        ModelCheckpoint(path)
    ModelCheckpoint("{a name with} braces.safetensors")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ModelCheckpoint("f", "batch"), ValueError, "save_freq='batch' is unknown; choose 'epoch' or an"),
        (lambda: ModelCheckpoint("f", 0), ValueError, "save_freq must be at least 1, got 0"),
        (lambda: ModelCheckpoint("f", 1.5), TypeError, "save_freq must be an integer, got 1.5"),
        (lambda: fit(small(), ModelCheckpoint("f"), ModelCheckpoint("g")), ValueError, "more than one ModelCheckpoint"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_what_no_file_can_hold_is_refused_at_the_start(path):
    class Own(Layer):
        def forward(self, x, lengths=None, train=False, rng=None):
            return x, None

        def backward(self, dy, cache):
            return dy, {}

    model = small()
    model.add(Own())
    with pytest.raises(TypeError, match="Own is not one of minilstm's own"):
        fit(model, ModelCheckpoint(path), spy := Spy())
    assert spy.batches == []


# Ctrl-C


class Press(Callback):
    """Press Ctrl-C so many times in the fifth batch, at ``method``."""

    def __init__(self, times=1, method="on_train_batch_begin"):
        self.times, self.batches = times, 0
        setattr(self, method, self.press)

    def press(self, *_):
        self.batches += 1
        for _ in range(self.times if self.batches == 5 else 0):
            signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def handler():
    """Whatever happens, Ctrl-C is then handled as it was."""
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("method", ["on_train_batch_begin", "on_train_batch_end"])
def test_ctrl_c_finishes_the_batch_saves_it_and_says_how_to_go_on(path, method, capsys):
    whole, model = small(), small()
    with pytest.raises(KeyboardInterrupt):
        fit(model, ModelCheckpoint(path), Press(method=method))
    err = capsys.readouterr().err
    assert err.startswith(
        f"stopped by Ctrl-C at batch 5 of epoch 1, and saved in {path}; to resume, run the same again"
    )
    assert err.count("\n") == 1
    assert model.optimizer.iterations == 5
    fit(whole)
    fit(model := small(), ModelCheckpoint(path, resume=True))
    assert ended(model) == ended(whole)


def test_ctrl_c_in_the_middle_of_an_optimisers_step_lets_it_finish(path, monkeypatch):
    update, calls = Adam.update, []

    def pressed(self, *arguments):
        calls.append(1)
        if len(calls) == 10:
            signal.raise_signal(signal.SIGINT)
        update(self, *arguments)

    monkeypatch.setattr(Adam, "update", pressed)
    with pytest.raises(KeyboardInterrupt):
        fit(small(), ModelCheckpoint(path))
    assert len(calls) == 2 * len(small().params)
    fit(model := small(), ModelCheckpoint(path, resume=True))
    fit(whole := small())
    assert ended(model) == ended(whole)


def test_a_second_ctrl_c_interrupts_at_once(path, capsys):
    model = small()
    with pytest.raises(KeyboardInterrupt):
        fit(model, ModelCheckpoint(path), Press(times=2))
    assert model.optimizer.iterations == 4
    assert "stopped by Ctrl-C" not in capsys.readouterr().err


@pytest.mark.parametrize("method", ["on_epoch_end", "on_train_end"])
def test_ctrl_c_at_an_end_is_not_lost(path, method):
    press = Press(method=method)
    press.batches = 4
    with pytest.raises(KeyboardInterrupt):
        fit(small(), ModelCheckpoint(path), press)
    fit(model := small(), ModelCheckpoint(path, resume=True))
    fit(whole := small())
    assert ended(model) == ended(whole)


def test_a_run_that_nobody_may_interrupt_stays_so(path):
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        fit(small(), ModelCheckpoint(path), Press())
    finally:
        signal.signal(signal.SIGINT, old)


def test_outside_the_main_thread_it_is_saved_all_the_same(path):
    model = small()
    thread = threading.Thread(target=fit, args=(model, ModelCheckpoint(path)))
    thread.start()
    thread.join()
    fit(small(), ModelCheckpoint(path, resume=True), spy := Spy())
    assert model.history.epoch == [0, 1, 2]
    assert spy.batches == []


def test_an_error_takes_the_progress_bar_away(path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    bars = []
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(Progress, "__exit__", lambda self, *error: (self.bar.close(), bars.append(self.bar)))
    with pytest.raises(KeyboardInterrupt):
        fit(small(), ModelCheckpoint(path), Press(), verbose=1)
    assert bars[0].disable  # closed
    assert "stopped by Ctrl-C" in sys.stderr.getvalue()


# SIGKILL

KILLS = 20
SCRIPT = """
import os, random, signal, sys, threading, time

from tqdm import tqdm

tqdm.set_lock(threading.RLock())  # its own is shared with forks, and who is killed does not give it back
sys.path.insert(0, {tests!r})
from test_checkpoint import EarlyStopping, ModelCheckpoint, ended, fit, small

folder, kills, random = {folder!r}, 0, random.Random(0)
whole = small()
fit(whole, EarlyStopping("loss", patience=9), epochs=12)
expected = repr(ended(whole))
for round in range(100):
    path = os.path.join(folder, f"run{{round}}.safetensors")
    for seed in range(1000):
        child = os.fork()
        if not child:
            model = small(seed if os.path.exists(path) else 0)  # the first weights count only where there is no file
            checkpoint = ModelCheckpoint(path, random.choice([1, 2, 5, "epoch"]), resume=True)
            fit(model, checkpoint, EarlyStopping("loss", patience=9), epochs=12)
            os._exit(0 if repr(ended(model)) == expected else 1)
        if kills < {kills}:
            time.sleep(random.uniform(0.01, 0.12))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, f"{{kills}} kills, round {{round}}: the ends differ"
            break
        kills += 1
    if kills == {kills}:
        break
print(kills, "kills")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.slow
def test_killed_at_twenty_random_moments_a_run_ends_bit_for_bit_where_it_would_have_ended(tmp_path):
    script = SCRIPT.format(tests=str(Path(__file__).parent), folder=str(tmp_path), kills=KILLS)
    environment = {**os.environ, "MINILSTM_THREADS": "1"}  # a process with threads cannot be forked
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == f"{KILLS} kills\n"


# The command line

TRAIN = ["train", "builtin", "--reviews", "40", "--epochs", "3", "--maxlen", "20", "--embedding-dims", "4"]
TRAIN += ["--hidden-dims", "4", "--batch-size", "4"]


def test_train_with_a_checkpoint_goes_on_after_an_interruption(tmp_path, monkeypatch, capsys):
    class Interrupted(ModelCheckpoint):
        def on_run_progress(self, run):
            super().on_run_progress(run)
            if run.epoch == 1 and run.batch == 5:
                signal.raise_signal(signal.SIGINT)

    whole, out, run = (str(tmp_path / f"{name}.safetensors") for name in ("whole", "out", "run"))
    assert cli.main([*TRAIN, "--out", whole]) == 0
    keep = [*TRAIN, "--out", out, "--checkpoint", run]
    monkeypatch.setattr(commands, "ModelCheckpoint", Interrupted)
    assert cli.main(keep) == 130
    assert "on the command line with --resume" in capsys.readouterr().err
    monkeypatch.setattr(commands, "ModelCheckpoint", ModelCheckpoint)
    assert cli.main(keep) == 1
    assert "has not ended: of 3 epochs, it got to batch 6 of epoch 2." in capsys.readouterr().err
    assert cli.main([*keep, "--resume"]) == 0
    assert "resuming from" in capsys.readouterr().out
    for a, b in zip(Sequential.load(whole).get_weights(), Sequential.load(out).get_weights(), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("wrong", [["--resume"], ["--checkpoint", "m.safetensors"]])
def test_options_that_do_not_fit_are_wrong_usage(wrong, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        cli.main([*TRAIN, "--out", "m.safetensors", *wrong])
    assert "--checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("first", [False, True], ids=["twins first", "textbook first"])
def test_going_on_with_another_plan_is_said_since_it_ends_alike_up_to_rounding_only(path, first, capsys):
    whole, model = small(), small()
    fit(whole)
    with use_numba(not first):
        cut(path, 5)
    assert capsys.readouterr().err == ""
    with use_numba(first):
        fit(model, ModelCheckpoint(path, resume=True))
    (line,) = capsys.readouterr().err.splitlines()
    plans = "Embedding by FastEmbedding, Dropout, LSTM by FastLSTM, Dense, Adam by FastAdam"
    assert line.startswith(f"{path} was trained with other arithmetic: plan was ")
    assert plans in line
    assert "Embedding, Dropout, LSTM, Dense, Adam" in line
    assert line.endswith("up to rounding, not bit for bit")
    for a, b in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_what_differs_in_the_arithmetic_is_named_in_one_line_and_nothing_where_nothing_does(path, monkeypatch, capsys):
    cut(path, 5)
    then = checkpoint.arithmetic()
    assert {"versions", "BLAS", "NumPy's instructions", "CPU"} == then.keys()
    monkeypatch.setattr(checkpoint, "arithmetic", lambda: then | {"BLAS": "openblas Z80"})
    with pytest.raises(CutError):
        fit(small(), ModelCheckpoint(path, resume=True), Cut(1))
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{path} was trained with other arithmetic: BLAS was {then['BLAS']}, now openblas Z80; so" in line
    monkeypatch.undo()
    fit(small(), ModelCheckpoint(path, resume=True))
    assert capsys.readouterr().err == ""


def test_a_checkpoint_of_the_first_edition_goes_on(path, capsys):
    shutil.copy(Path(__file__).parent / "first_edition" / "checkpoint.safetensors", path)
    whole, model = small(), small(1)
    fit(whole)
    fit(model, ModelCheckpoint(path, resume=True))
    for a, b in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert capsys.readouterr().err == ""


def test_a_run_with_a_frozen_layer_is_not_resumed_without(path):
    model = small()
    model.layers[0].trainable = False
    fit(model, ModelCheckpoint(path), epochs=1)
    with pytest.raises(ValueError, match=r"layers was Embedding\(20, 4\) \(frozen\), .*now Embedding\(20, 4\), "):
        fit(small(), ModelCheckpoint(path, resume=True))
