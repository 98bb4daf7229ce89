"""Callbacks are called in Keras's order with Keras's names; History, EarlyStopping and the progress lines."""

import errno
import functools
import io
import re
import sys
import types

import numpy as np
import pytest
from tqdm import tqdm

from minilstm import Callback, Dense, EarlyStopping, OneCycle, Sequential
from minilstm.optimizers import SGD
from minilstm.runs.callbacks import History

X = np.random.default_rng(0).standard_normal((20, 3))
Y = (X[:, 0] > 0).astype(int)


def model():
    m = Sequential([Dense(1, "sigmoid")], seed=0)
    m.compile(optimizer=SGD(0.5), metrics=["accuracy"])
    return m


def test_methods_are_called_in_order_with_the_numbers_so_far():
    calls = []

    class Spy(Callback):
        def on_train_begin(self, logs=None):
            calls.append("train begin")

        def on_epoch_begin(self, epoch, logs=None):
            calls.append(f"epoch {epoch} begin")

        def on_train_batch_begin(self, batch, logs=None):
            calls.append(f"batch {batch} begin")

        def on_train_batch_end(self, batch, logs=None):
            calls.append(f"batch {batch} end {sorted(logs)}")

        def on_epoch_end(self, epoch, logs=None):
            calls.append(f"epoch {epoch} end {sorted(logs)}")

        def on_train_end(self, logs=None):
            calls.append("train end")

    spy = Spy()
    m = model()
    m.fit(X, Y, batch_size=10, epochs=1, verbose=0, callbacks=[spy], validation_data=(X, Y))
    assert calls == [
        "train begin",
        "epoch 0 begin",
        "batch 0 begin",
        "batch 0 end ['accuracy', 'loss']",
        "batch 1 begin",
        "batch 1 end ['accuracy', 'loss']",
        "epoch 0 end ['accuracy', 'grad_norm', 'loss', 'val_accuracy', 'val_loss']",
        "train end",
    ]
    assert spy.model is m
    assert spy.params == {"epochs": 1, "steps": 2, "verbose": 0}


def test_any_object_with_some_of_the_methods_will_do():
    class Stop:
        def on_epoch_end(self, epoch, logs=None):
            m.stop_training = epoch == 1

    m = model()
    assert m.fit(X, Y, epochs=9, verbose=0, callbacks=[Stop()]).epoch == [0, 1]


def test_a_callback_that_is_a_context_manager_is_left_whatever_happens():
    calls = []

    class Managed(Callback):
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            calls.append(f"enter {self.name}")

        def __exit__(self, kind, *_):
            calls.append(f"leave {self.name} {kind and kind.__name__}")

        def on_train_batch_end(self, batch, logs=None):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        model().fit(X, Y, verbose=0, callbacks=[Managed("one"), Managed("two")])
    assert calls == ["enter one", "enter two", "leave two RuntimeError", "leave one RuntimeError"]


@pytest.mark.parametrize("wrong", [EarlyStopping, "early", 3])
def test_a_class_or_a_name_is_no_callback(wrong):
    with pytest.raises(TypeError, match="is not a callback; give objects that have methods"):
        model().fit(X, Y, verbose=0, callbacks=[wrong])


def test_history_holds_one_number_an_epoch_and_fit_returns_it():
    m = model()
    history = m.fit(X, Y, epochs=3, verbose=0)
    assert isinstance(history, History)
    assert history is m.history
    assert history.epoch == [0, 1, 2]
    assert {name: len(numbers) for name, numbers in history.history.items()} == {
        "loss": 3,
        "accuracy": 3,
        "grad_norm": 3,
    }


def play(stopping, numbers, monitor="val_loss"):
    """Hand the numbers to the callback, one an epoch, until it stops; return how many it took."""
    m = model()
    m.build((3,))
    m.stop_training = False
    stopping.set_model(m)
    stopping.on_train_begin()
    for epoch, number in enumerate(numbers):
        m.params["dense.b"][:] = epoch
        stopping.on_epoch_end(epoch, {monitor: number})
        if m.stop_training:
            break
    stopping.on_train_end()
    return epoch + 1, m


@pytest.mark.parametrize(
    ("settings", "numbers", "epochs"),
    [
        ({}, [3, 2, 2], 3),
        ({"patience": 2}, [3, 2, 2.5, 1, 1.5, 1.5, 0], 6),
        ({"min_delta": 0.5}, [3, 2.8, 2], 2),
        ({"monitor": "val_accuracy"}, [0.5, 0.6, 0.6], 3),
        ({"monitor": "score", "mode": "max"}, [1, 2, 3], 3),
        ({"monitor": "val_loss"}, [float("nan"), 1], 1),
    ],
)
def test_early_stopping_waits_for_patience_epochs_without_progress(settings, numbers, epochs):
    assert play(EarlyStopping(**settings), numbers, settings.get("monitor", "val_loss"))[0] == epochs


def test_early_stopping_puts_the_best_weights_back():
    stopping = EarlyStopping(patience=2, restore_best_weights=True)
    _, m = play(stopping, [3, 1, 2, 2, 2])
    assert m.params["dense.b"] == 1
    assert (stopping.best_epoch, stopping.stopped_epoch) == (1, 3)


def test_early_stopping_on_a_number_that_is_not_there_says_what_is():
    with pytest.raises(ValueError, match="'val_loss' is not among loss, accuracy, grad_norm; give fit validation_data"):
        model().fit(X, Y, verbose=0, callbacks=[EarlyStopping()])
    with pytest.raises(ValueError, match="mode='up' is unknown"):
        EarlyStopping(mode="up")
    with pytest.raises(TypeError, match="patience must be a number, got '2'"):
        EarlyStopping(patience="2")


def test_a_log_file_gets_a_line_for_each_epoch(capsys):
    model().fit(X, Y, epochs=2, verbose=1, validation_data=(X, Y))
    out, err = capsys.readouterr()
    lines = [line for line in out.splitlines() if line.startswith("epoch")]
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2")
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert f"  {name} 0." in lines[1]
    assert err == ""


def test_a_callback_may_add_text_to_the_line_of_an_epoch(capsys):
    class Note(Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["note"] = "hello"

    model().fit(X, Y, callbacks=[Note()])
    assert capsys.readouterr().out.endswith("  note hello\n")


def test_silent_means_silent(capsys):
    model().fit(X, Y, epochs=1, verbose=0)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_with_time_left_loss_and_accuracy(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr("minilstm.data.bars.tqdm", functools.partial(tqdm, mininterval=0))
    model().fit(X, Y, batch_size=1, epochs=1, verbose=1)
    assert "epoch 1/1" in screen.getvalue()
    assert "loss=" in screen.getvalue()
    assert "accuracy=" in screen.getvalue()
    assert "<00:0" in screen.getvalue()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_shows_the_accuracy_whole_within_80_columns(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr("minilstm.data.bars.tqdm", functools.partial(tqdm, mininterval=0, ncols=80))
    x = np.tile(X, (60, 1))  # 1,200 batches, as of 38,400 reviews
    model().fit(x, np.tile(Y, 60), batch_size=1, epochs=1, verbose=1)
    bars = sys.stderr.getvalue().split("\r")
    last = next(bar for bar in reversed(bars) if "accuracy" in bar)
    assert re.fullmatch(
        r"epoch 1/1 \|.{10,}\| 1\d{3}/1200 \[00:0\d<00:00, loss=\d\.\d{4}, accuracy=\d\.\d{4}\] *", last
    )
    assert max(map(len, bars)) <= 80


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [None, types.SimpleNamespace(write=len), closed()], ids=["None", "bare", "closed"])
def test_training_and_prediction_need_no_stderr(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr("minilstm.data.bars.tqdm", functools.partial(tqdm, mininterval=0))
    m = model()
    m.fit(X, Y, epochs=1, validation_data=(X, Y))
    assert m.predict(X).shape == (20, 1)


@pytest.mark.parametrize("error", [BrokenPipeError(errno.EPIPE, "closed"), OSError(errno.ENOSPC, "full"), ValueError])
def test_a_line_that_cannot_be_printed_does_not_end_the_training(monkeypatch, error):
    class Broken(io.StringIO):
        def write(self, text):
            raise error

    monkeypatch.setattr(sys, "stdout", Broken())
    assert model().fit(X, Y, epochs=3).epoch == [0, 1, 2]


def test_one_cycle_rises_in_a_line_and_falls_along_half_a_cosine():
    rates = []

    class Spy(Callback):
        def on_train_batch_begin(self, batch, logs=None):
            rates.append(self.model.optimizer.learning_rate)

    m = model()
    m.fit(X, Y, batch_size=5, epochs=5, verbose=0, callbacks=[OneCycle(warmup=0.2), Spy()])
    middles = (np.arange(20) + 0.5) / 20
    expected = np.where(middles < 0.2, middles / 0.2, (1 + np.cos(np.pi * (middles - 0.2) / 0.8)) / 2)
    np.testing.assert_allclose(rates, 0.5 * expected)


def test_after_one_cycle_the_optimiser_has_its_own_rate_back():
    m = model()
    for _ in range(2):
        m.fit(X, Y, verbose=0, callbacks=[OneCycle()])
        assert m.optimizer.learning_rate == 0.5


def test_the_optimiser_has_its_own_rate_back_too_where_a_step_broke_off():
    class Break(Callback):
        def on_train_batch_begin(self, batch, logs=None):
            raise RuntimeError

    m = model()
    with pytest.raises(RuntimeError):
        m.fit(X, Y, verbose=0, callbacks=[OneCycle(), Break()])
    assert m.optimizer.learning_rate == 0.5


@pytest.mark.parametrize("warmup", [-0.1, 1, float("nan"), "half"])
def test_one_cycle_without_a_way_down_is_refused(warmup):
    with pytest.raises((ValueError, TypeError), match="warmup"):
        OneCycle(warmup)


def test_training_goes_on_where_somebody_put_something_else_in_the_place_of_stdout(monkeypatch):
    lines = []
    monkeypatch.setattr(sys, "stdout", types.SimpleNamespace(write=lines.append))  # such as a tee without flush
    assert len(model().fit(X, Y, epochs=2).epoch) == 2
    assert "epoch 2/2" in "".join(lines)
