"""Callbacks: what happens beside the training, at the end of an epoch or of a batch.

``fit`` calls the methods below on every callback it is given, in order. The names are Keras's; any object that has
some of them will do. ``logs`` holds the numbers so far: loss, accuracy, and at the end of an epoch val_loss and
val_accuracy where there is validation data, and grad_norm, the mean length of the gradient before clipping. A callback
ends the training with ``self.model.stop_training = True``.

A callback that is a context manager is entered before all that and left after it, whatever happens. One that has
``state()``, which returns dicts, lists, arrays, numbers and text, and ``restore(state)`` is part of a checkpoint.
Besides, ``fit`` tells ``on_run_begin(run)`` and ``on_run_progress(run)``, when all callbacks have heard of a batch or
an epoch, to those who have to know the run itself: :class:`minilstm.ModelCheckpoint`.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from typing import Any, Self

import numpy as np
from tqdm import tqdm

from minilstm.arrays import Array
from minilstm.tools.hints import Hinted
from minilstm.tools.validate import check_choice, check_number

Logs = dict[str, float]


class Callback(metaclass=Hinted):
    """Base of all callbacks: every method there is, doing nothing.

    Attributes:
        model: the model in training.
        params: what is known beforehand: epochs, steps (batches in an epoch), verbose.
    """

    model: Any  # a Sequential
    params: dict[str, int]

    def set_model(self, model: Any) -> None:
        """Take notice of the model, before anything else."""
        self.model = model

    def set_params(self, params: dict[str, int]) -> None:
        """Take notice of the size of the work."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called once, at the start."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called once, at the end."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before epoch number ``epoch``, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after it and after its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before batch number ``batch`` of the epoch, counted from 0."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after it; ``logs`` holds the means of the epoch so far."""


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
        """Enter those that are context managers."""
        with contextlib.ExitStack() as stack:
            for callback in self.callbacks:
                if hasattr(callback, "__exit__"):
                    stack.enter_context(callback)
            self.entered = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        """Leave them, the last one first."""
        self.entered.__exit__(*error)


class History(Callback):
    """The numbers of every epoch, as ``fit`` returns them.

    Attributes:
        epoch: the epochs that ended, counted from 0.
        history: a list for each number, one entry an epoch: ``history["val_accuracy"][-1]``.
    """

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the numbers."""
        self.epoch.append(epoch)
        for name, number in (logs or {}).items():
            self.history.setdefault(name, []).append(number)

    def state(self) -> dict[str, Any]:
        """Give the numbers so far."""
        return {"epoch": self.epoch, "history": self.history}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the numbers of an earlier run."""
        self.epoch, self.history = state["epoch"], state["history"]


class EarlyStopping(Callback):
    """Stop once ``monitor`` has not improved for ``patience`` epochs.

    Args:
        monitor: the number to watch, such as "val_loss" or "val_accuracy".
        min_delta: the least change that counts as an improvement.
        patience: how many epochs without improvement are allowed for.
        mode: "min" or "max": which way is better; "auto" takes "max" for an accuracy.
        restore_best_weights: put the weights of the best epoch back at the end.

    Attributes:
        best_epoch: the epoch of the best number, counted from 0.
        stopped_epoch: the epoch that training stopped after, 0 if it never did.

    Raises:
        ValueError: an unknown mode; during training, a ``monitor`` that is not among the logs.
    """

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
        """Compare, and stop where there was no progress for too long."""
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
        """Put the best weights back, if asked for."""
        if self.best_weights:
            self.model.set_weights(self.best_weights)

    def state(self) -> dict[str, Any]:
        """Give what was best, and when."""
        return {name: getattr(self, name) for name in ("best", "best_epoch", "stopped_epoch", "best_weights")}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what was best in an earlier run."""
        self.best, self.best_epoch, self.stopped_epoch = state["best"], state["best_epoch"], state["stopped_epoch"]
        self.best_weights = state["best_weights"]


class OneCycle(Callback):
    """Let the learning rate rise to what the optimiser has, and fall to nothing, once over the whole training.

    At the start weights are far off and gradients point anywhere, so steps grow from small. At the end they have to
    shrink, or the weights keep shaking around the place they have found. With q from 0 to 1, the share of the steps
    done, w = ``warmup`` and η the optimiser's own rate, to which it returns after each step::

        η q / w                                 while q < w
        η (1 + cos(π (q - w) / (1 - w))) / 2    from there on

    A run that is stopped early never gets to the small steps; one that goes on from a checkpoint with other ``epochs``
    follows the curve for those. Sources: Smith & Topin 2019 (one cycle), Loshchilov & Hutter 2017 (the cosine).

    Args:
        warmup: w, the share of the steps in which the rate rises.

    Raises:
        TypeError: ``warmup`` is not a number.
        ValueError: ``warmup`` outside [0, 1).
    """

    def __init__(self, warmup: float = 0.3) -> None:
        self.warmup = check_number("warmup", warmup, 0, 1, inclusive=True)

    def __enter__(self) -> Self:
        """Take note of the optimiser's own rate."""
        assert self.model.optimizer is not None  # fit has seen to it
        self.optimizer, self.peak = self.model.optimizer, self.model.optimizer.learning_rate
        return self

    def __exit__(self, *error: object) -> None:
        """Give it back, also where a step broke off."""
        self.optimizer.learning_rate = self.peak

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start at the first step."""
        self.done = 0

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Set the rate of this step, as in its middle."""
        q, w = (self.done + 0.5) / (self.params["epochs"] * self.params["steps"]), self.warmup
        share = q / w if q < w else (1 + math.cos(math.pi * (q - w) / (1 - w))) / 2
        self.optimizer.learning_rate = self.peak * share

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Count the step and give the optimiser its own rate back."""
        self.done, self.optimizer.learning_rate = self.done + 1, self.peak

    def state(self) -> dict[str, Any]:
        """Give how many steps were made."""
        return {"done": self.done}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.done = state["done"]


class Progress(Callback):
    """What one sees during training: a bar with the time left (``verbose`` 1), then a line for each epoch.

    The bar is drawn only where somebody looks at a terminal. A log file gets the lines alone.
    """

    def __init__(self, verbose: int) -> None:
        self.verbose = verbose
        self.bar = tqdm(disable=True)

    def __enter__(self) -> Self:
        """Draw nothing yet."""
        return self

    def __exit__(self, *error: object) -> None:
        """Take the bar away where training broke off."""
        self.bar.close()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Draw the bar."""
        self.start = time.perf_counter()
        self.bar = tqdm(
            desc=f"epoch {epoch + 1}/{self.params['epochs']}",
            total=self.params["steps"],
            unit=" batches",
            leave=False,
            disable=self.verbose != 1 or not sys.stderr.isatty(),
        )

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar."""
        self.bar.set_postfix(_readable(logs), refresh=False)
        self.bar.update(batch + 1 - self.bar.n)  # a run that goes on begins further on

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Replace the bar by a line."""
        self.bar.close()
        numbers = "  ".join(f"{name} {number}" for name, number in _readable(logs).items())
        seconds = time.perf_counter() - self.start
        print(f"epoch {epoch + 1}/{self.params['epochs']}  {seconds:5.1f} s  {numbers}", flush=True)


def _readable(logs: Logs | None) -> dict[str, str]:
    """Round for the screen."""
    return {name: f"{number:.4f}" for name, number in (logs or {}).items()}
