"""ModelCheckpoint: a run of ``fit`` that can be killed at any moment and ends as if nothing had happened.

A checkpoint is a model file (:mod:`minilstm.runs.saving`) with more in it, under "training": what the optimiser
carries from step to step, where in which epoch the run stood, the random numbers at that moment and at the start of
the epoch, which decide the order of its batches, the numbers of the epochs so far, the state of the other callbacks,
which twins of ``fast/`` ran, and a fingerprint of all that the run depends on. What is computed from the same numbers
in the same order comes out the same, so the run that goes on ends bit for bit where the one that was never killed ends.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from tqdm import tqdm

from minilstm.arrays import Array, Arrays
from minilstm.data.inputs import Samples
from minilstm.runs import files, saving
from minilstm.runs.callbacks import Callback
from minilstm.runs.run import Run
from minilstm.tools.validate import check_positive

PLACE = {"epoch": int, "batch": int, "sums": np.ndarray, "norms": float, "logs": dict, "rng_state": dict}  # of a Run
KINDS = {
    "fingerprint": dict, "plan": str, "epochs": int, "done": bool, "stop": bool, "place": dict, "rng": dict,
    "optimizer": dict, "callbacks": list,
}  # fmt: skip


class ModelCheckpoint(Callback):
    """Keep a run of ``fit`` in a file, from which it can go on exactly where it was.

    Run the same script again, with ``resume=True``, after it was killed: it ends with the same weights and the same
    history, bit for bit, as a run that was not. ``epochs`` may be raised, also of a run that has ended. The file is a
    model file too: ``Sequential.load`` gives the model as it was at that moment, so *before* EarlyStopping puts the
    best weights back.

    On Ctrl-C the batch in work is finished and the checkpoint saved before KeyboardInterrupt is raised; a second
    Ctrl-C interrupts at once. Other callbacks are part of the checkpoint if they have ``state()`` and
    ``restore(state)``, as EarlyStopping has; those without start anew.

    Args:
        path: the file. It is written at the start, so a place that cannot be written to is noticed there.
        save_freq: "epoch", to save at the end of each epoch, or after how many batches to save besides. A save costs
            as long as writing model and optimiser to disk: some 20 ms for the models of the demos.
        resume: go on from the file if it exists. Without, one of a run that has ended is overwritten, no other.

    Raises:
        OSError: the file cannot be written; the earlier one stays whole.
        TypeError: as :func:`minilstm.runs.saving.save`, for parts of your own, which no file can hold.
        ValueError: the file holds something else than a checkpoint, a run that has not ended and ``resume`` is False,
            or, with ``resume``, a run with another model, other data or settings; the message says which.
    """

    def __init__(self, path: str | os.PathLike[str], save_freq: str | int = "epoch", resume: bool = False) -> None:
        if isinstance(save_freq, str) and save_freq != "epoch":
            raise ValueError(f"ModelCheckpoint: save_freq={save_freq!r} is unknown; choose 'epoch' or an integer")
        if not isinstance(save_freq, str):
            check_positive("ModelCheckpoint", save_freq=save_freq)
        self.path, self.save_freq, self.resume = Path(path), save_freq, resume

    def __enter__(self) -> Self:
        """Take over Ctrl-C, in the main thread, unless nobody wants to hear of it."""
        self.interrupted = False
        self.old = signal.getsignal(signal.SIGINT)
        self.listens = threading.current_thread() is threading.main_thread() and self.old not in (None, signal.SIG_IGN)
        if self.listens:
            signal.signal(signal.SIGINT, self.interrupt)
        return self

    def interrupt(self, *_: Any) -> None:
        """Take note of Ctrl-C; a second one takes effect at once."""
        self.interrupted = True
        signal.signal(signal.SIGINT, self.old)

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        """Give Ctrl-C back; one that came when all was done and saved is not lost."""
        if self.listens:
            signal.signal(signal.SIGINT, self.old)
        if self.interrupted and kind is None:
            raise KeyboardInterrupt

    def on_run_begin(self, run: Run) -> None:
        """Put the run where it stood, or save its beginning."""
        if sum(isinstance(callback, ModelCheckpoint) for callback in run.call.callbacks) > 1:
            raise ValueError("callbacks holds more than one ModelCheckpoint, expected one: a run has one state")
        self.unsaved = 0  # batches since the last save
        self.arrays = saving.arrays(run.model)  # once: writing out what a tokenizer has learned takes long
        saving.rebuild(saving.describe(run.model), self.arrays)  # what could not be loaded is not saved
        self.fingerprint = fingerprint(run)
        if self.path.exists():
            tensors, about = files.read(self.path)
            training = self.read(about, tensors)
            if self.resume:
                self.check(run, training)
                self.go_on(run, about, tensors, training)
                return
            if not training["done"]:
                raise ValueError(
                    f"{self.path} holds a run that has not ended: of {training['epochs']} epochs, it got to "
                    f"{progress(training['place'])}. ModelCheckpoint(..., resume=True), on the command line --resume, "
                    "goes on with it; delete the file to start anew"
                )
        self.save(run)

    def on_run_progress(self, run: Run) -> None:
        """Save where it is time to, and always before giving way to Ctrl-C."""
        self.unsaved += 1
        if self.interrupted or run.batch == 0 or self.unsaved == self.save_freq:
            self.save(run)
        if self.interrupted:
            tqdm.write(
                f"stopped by Ctrl-C at {progress(vars(run))}, and saved in {self.path}; to go on, do the same again "
                "with ModelCheckpoint(..., resume=True), on the command line with --resume",
                file=sys.stderr,
            )
            raise KeyboardInterrupt

    def save(self, run: Run) -> None:
        """Write the checkpoint."""
        arrays: Arrays = {}
        training = {
            "fingerprint": self.fingerprint,
            "plan": run.plan,
            "epochs": run.epochs,
            "done": run.done,
            "stop": run.model.stop_training,
            "place": {name: getattr(run, name) for name in PLACE},
            "rng": run.model.rng.bit_generator.state,
            "optimizer": optimizer_state(run.model.optimizer),
            "callbacks": [callback.state() for callback in stateful(run)],
        }
        about = saving.describe(run.model) | {saving.TRAINING: pack(training, arrays)}
        files.write(self.path, self.arrays | run.model.params | arrays, about)
        self.unsaved = 0

    def read(self, about: Mapping[str, Any], tensors: Arrays) -> dict[str, Any]:
        """Give what a file holds beside the model."""
        if saving.TRAINING not in about:
            raise ValueError(f"{self.path} holds a model but no checkpoint; give ModelCheckpoint a path of its own")
        try:
            training = {"plan": "", **unpack(about[saving.TRAINING], tensors)}  # older checkpoints have no plan
            saving.parts("the checkpoint", training, KINDS)
            saving.parts("its place", training["place"], PLACE)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"{self.path} is malformed: {error}; {files.REMEDY}") from error
        return dict(training)

    def check(self, run: Run, training: dict[str, Any]) -> None:
        """Raise a ValueError unless the run in the file is the beginning of this one."""
        pairs = {key: (training["fingerprint"].get(key), ours) for key, ours in self.fingerprint.items()}
        wrong = [f"{key} was {theirs}, now {ours}" for key, (theirs, ours) in pairs.items() if theirs != ours]
        if wrong:
            raise ValueError(
                f"{self.path} holds another run: {'; '.join(wrong)}. To go on with it, give fit the same again; "
                "to start anew, delete the file or give ModelCheckpoint another path"
            )
        place = training["place"]
        if (place["epoch"], place["batch"]) > (run.epochs, 0):
            raise ValueError(f"epochs is {run.epochs}, but the run in {self.path} got to {progress(place)}; raise it")

    def go_on(self, run: Run, about: dict[str, Any], tensors: Arrays, training: dict[str, Any]) -> None:
        """Put run, model, optimiser, random numbers and callbacks where they stood."""
        place = training["place"]
        if self.params["verbose"]:
            print(f"resuming from {self.path}, at {progress(place)}", flush=True)
        if training["plan"] not in ("", run.plan):
            print(
                f"{self.path} was trained by another plan ({training['plan']}) than now ({run.plan}), so the results "
                "will agree with those of one run up to rounding, not bit for bit",
                file=sys.stderr,
                flush=True,
            )
        if place["batch"]:  # for what a callback prepares there; what it changes is restored below
            run.call("on_epoch_begin", place["epoch"], {})
        try:
            weights = saving.rebuild(*saving.model_part(about, tensors)).params
            restore_optimizer(run.model.optimizer, training["optimizer"], weights)
            for name, p in run.model.params.items():
                p[...] = weights[name]
            for name in PLACE:
                setattr(run, name, place[name])
            run.model.rng.bit_generator.state = training["rng"]
            run.model.stop_training = training["stop"]
            for callback, state in zip(stateful(run), training["callbacks"], strict=True):
                callback.restore(state)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{self.path} is malformed: {error}; {files.REMEDY}") from error


def progress(place: Mapping[str, Any]) -> str:
    """Say how far a run has got."""
    if place["batch"]:
        return f"batch {place['batch']} of epoch {place['epoch'] + 1}"
    return f"the end of epoch {place['epoch']}" if place["epoch"] else "the beginning"


def stateful(run: Run) -> list[Any]:
    """List the callbacks that have a state to keep."""
    return [c for c in run.call.callbacks if callable(getattr(c, "state", None)) and hasattr(c, "restore")]


def fingerprint(run: Run) -> dict[str, str]:
    """Write down what a run depends on, apart from its start. Cost: a checksum over all data."""
    compiled = saving.describe(run.model)["compiled"]
    held_out = "none"
    if run.held_out is not None:
        rows, y = run.held_out
        held_out = f"{digest(rows)} with labels {digest(y)}"
    return {
        "layers": ", ".join(map(repr, run.model.layers)),
        "dtype": str(run.model.dtype),
        "optimizer": written(compiled["optimizer"]),
        "loss": written(compiled["loss"]),
        "metrics": str(compiled["metrics"]),
        "x": digest(run.data),
        "y": digest(run.y),
        "validation data": held_out,
        "batch_size": str(run.batch_size),
        "shuffle": str(bool(run.shuffle)),
        "callbacks with a state": ", ".join(type(callback).__name__ for callback in stateful(run)),
    }


def written(call: dict[str, Any]) -> str:
    """Write a call of :func:`minilstm.runs.saving.call` as in Python."""
    return f"{call['class']}({', '.join(f'{name}={value!r}' for name, value in call['arguments'].items())})"


def digest(data: Samples | Array) -> str:
    """Count samples, and give the beginning of their checksum."""
    arrays = [data.lengths, data.tokens if data.array is None else data.array] if isinstance(data, Samples) else [data]
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return f"{len(data)} (checksum {sha.hexdigest()[:12]})"


def optimizer_state(optimizer: Any) -> dict[str, Any]:
    """Give the settings of an optimiser, which a callback may have changed, and what it carries from step to step."""
    settings = saving.call(optimizer, saving.OPTIMIZERS)["arguments"]
    return {"settings": settings, "iterations": optimizer.iterations, "state": optimizer.state}


def restore_optimizer(optimizer: Any, state: dict[str, Any], params: Arrays) -> None:
    """Undo :func:`optimizer_state`, or raise a ValueError where the arrays do not fit the parameters."""
    for slot in optimizer.slots:
        for name, array in state["state"][slot].items():
            if array.shape != params[name].shape or array.dtype != params[name].dtype:
                raise ValueError(f"the optimiser's {slot} of {name} is {array.dtype} {array.shape}")
    for name in saving.argument_kinds(type(optimizer)):
        setattr(optimizer, name, state["settings"][name])
    optimizer.iterations, optimizer.state = state["iterations"], state["state"]


def pack(thing: Any, arrays: Arrays) -> Any:
    """Write a thing in terms of JSON. Arrays go into ``arrays``; floats are kept bit for bit, NaN and infinity too."""
    if isinstance(thing, np.ndarray):
        name = f"{saving.TRAINING}/{len(arrays)}"
        arrays[name] = thing
        return {"array": name}
    if isinstance(thing, (float, np.floating)):
        return {"float": float(thing).hex()}
    if isinstance(thing, dict):
        return {"dict": {key: pack(value, arrays) for key, value in thing.items()}}
    if isinstance(thing, (list, tuple)):
        return [pack(value, arrays) for value in thing]
    return thing.item() if isinstance(thing, np.generic) else thing


def unpack(packed: Any, arrays: Mapping[str, Array]) -> Any:
    """Undo :func:`pack`, with copies of the arrays."""
    if isinstance(packed, list):
        return [unpack(value, arrays) for value in packed]
    if not isinstance(packed, dict):
        return packed
    ((kind, value),) = packed.items()
    if kind == "array":
        return arrays[value].copy()
    return float.fromhex(value) if kind == "float" else {key: unpack(part, arrays) for key, part in value.items()}
