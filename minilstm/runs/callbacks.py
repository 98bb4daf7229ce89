"""Callbacks: code that ``fit`` calls at the start and end of the training, of each epoch and of each batch.

``fit`` calls the methods below on every callback in the list, in order. The names are Keras's; any object that has some
of these methods is a callback. ``logs`` holds the numbers so far: loss and accuracy; at the end of an epoch also
grad_norm, the mean norm of the gradient before clipping, and with validation data val_loss and val_accuracy. A callback
ends the training by setting ``self.model.stop_training = True``.

A callback that is a context manager is entered before the first of these calls and left after the last, whatever
happens. One that has ``state()``, which returns dicts, lists, arrays, numbers and text, and ``restore(state)`` is part
of a checkpoint. Callbacks that need the run itself, such as :class:`minilstm.ModelCheckpoint`, have
``on_run_begin(run)`` and ``on_run_progress(run)``; ``fit`` calls the latter once all callbacks have seen a batch or an
epoch.
"""

from __future__ import annotations

import contextlib
import math
import time
from typing import Any, Self

import numpy as np

from minilstm.arrays import Array
from minilstm.data.bars import progress_bar
from minilstm.keras.arguments import Hinted
from minilstm.tools.validate import check_choice, check_number

Logs = dict[str, float]


class Callback(metaclass=Hinted):
    """Base class of callbacks; its methods do nothing.

    Attributes:
        model: the model in training.
        params: the arguments of ``fit`` that are known beforehand: epochs, steps (batches per epoch), verbose.
    """

    model: Any  # a Sequential
    params: dict[str, int]

    def set_model(self, model: Any) -> None:
        """Called before all others, with the model."""
        self.model = model

    def set_params(self, params: dict[str, int]) -> None:
        """Called before the training, with what is known of it."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called once, before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called once, after the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before epoch number ``epoch``, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after an epoch and its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before batch number ``batch`` of the epoch, counted from 0."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch; ``logs`` holds the means over the epoch so far."""


class CallbackList:
    """All callbacks of a run, called as one: ``callbacks("on_epoch_end", epoch, logs)``."""

    def __init__(self, history: History, given: Any, progress: Any, model: Any, params: dict[str, int]) -> None:
        if given is not None and not isinstance(given, (list, tuple)):
            raise TypeError(f"callbacks is a {type(given).__name__}, expected a list; write callbacks=[...]")
        callbacks = [history, *(given or []), *([progress] if progress else [])]
        for callback in callbacks:
            if isinstance(callback, type) or not any(name.startswith("on_") for name in dir(callback)):
                raise TypeError(
                    f"callbacks: {callback!r} is not a callback; give objects that have methods such as "
                    "on_epoch_end(epoch, logs), for instance EarlyStopping(patience=2)"
                )
        self.callbacks = callbacks
        self("set_params", params)
        self("set_model", model)

    def __call__(self, method: str, *arguments: Any) -> None:
        """Call ``method`` on every callback that has it."""
        for callback in self.callbacks:
            if hasattr(callback, method):
                getattr(callback, method)(*arguments)

    def __enter__(self) -> Self:
        """Enter the callbacks that are context managers."""
        with contextlib.ExitStack() as stack:
            for callback in self.callbacks:
                if hasattr(callback, "__exit__"):
                    stack.enter_context(callback)
            self.entered = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        """Leave them in reverse order."""
        self.entered.__exit__(*error)


class StatefulCallback(Callback):
    """Base class of callbacks whose attributes named in ``keeps`` are part of a checkpoint."""

    keeps: tuple[str, ...]

    def state(self) -> dict[str, Any]:
        """Return these attributes."""
        return {name: getattr(self, name) for name in self.keeps}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue with those of an earlier run."""
        for name in self.keeps:
            setattr(self, name, state[name])


class History(StatefulCallback):
    """The numbers of every epoch, as ``fit`` returns them.

    Attributes:
        epoch: the epochs that ended, counted from 0.
        history: for each number a list with one entry per epoch: ``history["val_accuracy"][-1]``.
    """

    keeps = ("epoch", "history")

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Append the numbers of this epoch."""
        self.epoch.append(epoch)
        for name, number in (logs or {}).items():
            self.history.setdefault(name, []).append(number)


class EarlyStopping(StatefulCallback):
    """Stop once ``monitor`` has not improved for ``patience`` epochs.

    Args:
        monitor: the number to watch, such as "val_loss" or "val_accuracy".
        min_delta: the smallest change that counts as an improvement.
        patience: the number of epochs without improvement after which training stops.
        mode: "min" or "max", whichever is better; "auto" takes "max" for an accuracy.
        restore_best_weights: whether to restore the weights of the best epoch at the end.

    Attributes:
        best_epoch: the epoch with the best number, counted from 0.
        stopped_epoch: the epoch after which training stopped, 0 if it was not stopped.

    Raises:
        ValueError: an unknown mode; during training, a ``monitor`` that is not in the logs.
    """

    keeps = ("best", "best_epoch", "stopped_epoch", "best_weights")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        mode: str = "auto",
        restore_best_weights: bool = False,
    ) -> None:
        check_choice("mode", mode, "auto", "min", "max")
        if not isinstance(monitor, str):
            raise TypeError(f"EarlyStopping: monitor is {monitor!r}, expected the name of a number, such as 'val_loss'")
        self.monitor, self.patience = monitor, check_number("patience", patience, inclusive=True)
        self.min_delta = check_number("min_delta", min_delta, inclusive=True)
        self.sign = 1 if mode == "max" or (mode == "auto" and "acc" in monitor) else -1
        self.restore_best_weights = restore_best_weights

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget earlier runs."""
        self.best, self.best_epoch, self.stopped_epoch = -np.inf, 0, 0
        self.best_weights: list[Array] = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare with the best epoch, and stop where there was no improvement for too long."""
        if self.monitor not in (logs or {}):
            raise ValueError(
                f"EarlyStopping: {self.monitor!r} is not among {', '.join(logs or {})}; "
                "give fit validation_data, or monitor one of these"
            )
        number = self.sign * (logs or {})[self.monitor]
        if number > self.best + (self.min_delta if np.isfinite(self.best) else 0):
            self.best, self.best_epoch = number, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
        elif epoch - self.best_epoch >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Restore the best weights, if asked to."""
        if self.best_weights:
            self.model.set_weights(self.best_weights)


class OneCycle(StatefulCallback):
    """Raise the learning rate from 0 to that of the optimiser, then lower it to 0, once over the whole training.

    At the start the weights are far from good and gradients are erratic, so the steps start small and grow. At the end
    they shrink so that the weights settle. Let q in [0, 1] be the fraction of steps done, w = ``warmup`` and η the
    optimiser's own rate, to which it returns after each step; then the rate is::

        η q / w                                 while q < w
        η (1 + cos(π (q - w) / (1 - w))) / 2    after that

    A run that is stopped early never reaches the small steps. One that is resumed with other ``epochs`` follows the
    curve for those. Sources: Smith & Topin 2019 (one cycle), Loshchilov & Hutter 2017 (the cosine).

    Args:
        warmup: w, the fraction of steps in which the rate rises.

    Raises:
        TypeError: ``warmup`` is not a number.
        ValueError: ``warmup`` outside [0, 1).
    """

    keeps = ("done",)

    def __init__(self, warmup: float = 0.3) -> None:
        self.warmup = check_number("warmup", warmup, 0, 1, inclusive=True)

    def __enter__(self) -> Self:
        """Remember the optimiser's own rate."""
        assert self.model.optimizer is not None  # fit has seen to it
        self.optimizer, self.peak = self.model.optimizer, self.model.optimizer.learning_rate
        return self

    def __exit__(self, *error: object) -> None:
        """Restore it, also after an error."""
        self.optimizer.learning_rate = self.peak

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start with the first step."""
        self.done = 0

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Set the rate for this step: the curve at its middle."""
        q, w = (self.done + 0.5) / (self.params["epochs"] * self.params["steps"]), self.warmup
        factor = q / w if q < w else (1 + math.cos(math.pi * (q - w) / (1 - w))) / 2
        self.optimizer.learning_rate = self.peak * factor

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Count the step and restore the optimiser's own rate."""
        self.done, self.optimizer.learning_rate = self.done + 1, self.peak


class Progress(Callback, contextlib.AbstractContextManager["Progress"]):
    """What ``fit`` shows: a bar with the time left (``verbose`` 1, at a terminal only), then a line for each epoch."""

    def __init__(self, verbose: int) -> None:
        self.verbose = verbose
        self.bar = progress_bar(False)

    def __exit__(self, *error: object) -> None:
        """Remove the bar after an error."""
        self.bar.close()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Draw the bar."""
        self.start = time.perf_counter()
        self.bar = progress_bar(
            self.verbose == 1,
            desc=f"epoch {epoch + 1}/{self.params['epochs']}",
            total=self.params["steps"],
            bar_format="{desc} |{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]",  # within 80 columns
        )

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar."""
        self.bar.set_postfix(_readable(logs), refresh=False)
        self.bar.update(batch + 1 - self.bar.n)  # a resumed run begins further on

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Replace the bar by a line."""
        self.bar.close()
        numbers = "  ".join(f"{name} {number}" for name, number in _readable(logs).items())
        seconds = time.perf_counter() - self.start
        say(f"epoch {epoch + 1}/{self.params['epochs']}  {seconds:5.1f} s  {numbers}")


def say(text: str, file: Any = None) -> None:
    """Print a line, or nothing where it cannot be printed, as after ``| head -1``: training matters more."""
    with contextlib.suppress(Exception):  # somebody may have replaced stdout
        print(text, file=file, flush=True)


def _readable(logs: Logs | None) -> dict[str, str]:
    """Round for the screen."""
    return {name: number if isinstance(number, str) else f"{number:.4f}" for name, number in (logs or {}).items()}
