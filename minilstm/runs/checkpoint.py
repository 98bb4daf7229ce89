"""ModelCheckpoint: a run of ``fit`` that can be killed at any moment and resumed as if nothing had happened.

A checkpoint is a model file (:mod:`minilstm.runs.saving`) with an extra part, "training": the state of the optimiser,
the epoch and batch reached, the state of the random numbers then and at the start of the epoch, which decides the order
of its batches, the numbers of the epochs so far, the state of the other callbacks, a fingerprint of everything that the
run depends on, and what decides how numbers are rounded. The same computation in the same order gives the same numbers,
so a run that is resumed ends with the same weights, bit for bit, as one that was never killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np
from tqdm import tqdm

from minilstm.arrays import Array, Arrays
from minilstm.data.inputs import Samples
from minilstm.data.paths import lock_of, locked, unwritable
from minilstm.model import Sequential
from minilstm.runs import files, saving
from minilstm.runs.callbacks import Callback, say
from minilstm.runs.run import Run
from minilstm.tools.validate import check_positive
from minilstm.version import __version__

PLACE = {"epoch": int, "batch": int, "sums": np.ndarray, "norms": float, "logs": dict, "rng_state": dict}  # of a Run
KINDS = {
    "fingerprint": dict, "plan": str, "arithmetic": dict, "epochs": int, "done": bool, "stop": bool, "place": dict,
    "rng": dict, "optimizer": dict, "callbacks": list, "metadata": dict,
}  # fmt: skip


class ModelCheckpoint(Callback):
    """Keep a run of ``fit`` in a file, from which it can be resumed exactly where it was.

    After it was killed, run the same script again with ``resume=True``: it ends with the same weights and the same
    history, bit for bit, as a run that was not killed, provided the arithmetic is the same: the versions of NumPy and
    numba, the kind of CPU. ``epochs`` may be raised, also after the run has ended. The file is a model file too:
    ``Sequential.load`` returns the model of that moment, *before* EarlyStopping restores the best weights.

    On Ctrl-C the current batch is finished and the checkpoint saved before KeyboardInterrupt is raised; a second
    Ctrl-C interrupts at once. Other callbacks are part of the checkpoint if they have ``state()`` and
    ``restore(state)``, as EarlyStopping has; others start from the beginning.

    Args:
        path: the file, one for the whole run. It is written at the start, so that an unwritable path is noticed then.
            While the run lasts, no other run can use it.
        save_freq: "epoch", to save at the end of each epoch, or a number of batches after which to save as well. A
            save takes as long as writing model and optimiser to disk: some 20 ms for the models of the demos.
        resume: resume the run in the file, if it exists. Otherwise only a run that has ended is overwritten.

    Raises:
        OSError: the file cannot be written; the earlier one stays whole.
        TypeError: as :func:`minilstm.runs.saving.save`, for objects of your own classes, which no file can hold.
        ValueError: the file is in use, is not a checkpoint, or holds a run that has not ended (without ``resume``) or
            one with another model, other data or settings (with ``resume``); the message says which.
    """

    def __init__(self, path: str | os.PathLike[str], save_freq: str | int = "epoch", resume: bool = False) -> None:
        if isinstance(save_freq, str) and save_freq != "epoch":
            raise ValueError(f"ModelCheckpoint: save_freq={save_freq!r} is unknown; choose 'epoch' or an integer")
        if not isinstance(save_freq, str):
            check_positive("ModelCheckpoint", save_freq=save_freq)
        self.path, self.save_freq, self.resume = Path(path), save_freq, resume
        if found := re.search(r"\{\w+(:[^{}]*)?\}", str(path)):
            raise ValueError(
                f"ModelCheckpoint: path contains {found[0]}, but there is one file, which is replaced at each save; "
                "give a plain name, such as run.safetensors, and for a file per epoch call model.save in a callback"
            )

    def __enter__(self) -> Self:
        """Lock the file, and take over Ctrl-C in the main thread, unless it is ignored."""
        self.lock = contextlib.ExitStack()
        try:
            with unwritable(self.path):
                self.lock.enter_context(locked(lock_of(self.path)))
        except BlockingIOError as error:
            raise ValueError(
                f"{self.path} is in use by another run; wait until it ends, or give ModelCheckpoint another path"
            ) from error
        self.interrupted = False
        self.old = signal.getsignal(signal.SIGINT)
        self.listens = threading.current_thread() is threading.main_thread() and self.old not in (None, signal.SIG_IGN)
        if self.listens:
            signal.signal(signal.SIGINT, self.interrupt)
        return self

    def interrupt(self, *_: Any) -> None:
        """Remember Ctrl-C; a second one takes effect at once."""
        self.interrupted = True
        signal.signal(signal.SIGINT, self.old)

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        """Give back the lock and Ctrl-C; one that came when all was done and saved is not lost."""
        self.lock.close()
        if self.listens:
            signal.signal(signal.SIGINT, self.old)
        if self.interrupted and kind is None:
            raise KeyboardInterrupt

    def on_run_begin(self, run: Run) -> None:
        """Resume the run, or save its beginning."""
        if sum(isinstance(callback, ModelCheckpoint) for callback in run.call.callbacks) > 1:
            raise ValueError("callbacks holds more than one ModelCheckpoint, expected one: a run has one state")
        self.unsaved = 0  # batches since the last save
        self.arrays = saving.arrays(run.model)  # once: writing out what a tokenizer has learned takes long
        saving.rebuild(saving.describe(run.model), self.arrays)  # what could not be loaded is not saved
        self.fingerprint, self.arithmetic = fingerprint(run), arithmetic()
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
                    "resumes it; to start from the beginning, delete the file"
                )
        self.save(run)

    def on_run_progress(self, run: Run) -> None:
        """Save when it is time to, and always before an interruption by Ctrl-C."""
        self.unsaved += 1
        if self.interrupted or run.batch == 0 or self.unsaved == self.save_freq:
            self.save(run)
        if self.interrupted:
            tqdm.write(
                f"stopped by Ctrl-C at {progress(vars(run))}, and saved in {self.path}; to resume, run the same again "
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
            "arithmetic": self.arithmetic,
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
        """Return what a checkpoint holds in addition to the model."""
        if saving.TRAINING not in about:
            raise ValueError(f"{self.path} holds a model but not a checkpoint; give ModelCheckpoint a path of its own")
        try:
            training = {"plan": "", "arithmetic": {}, **unpack(about[saving.TRAINING], tensors)}  # older ones have none
            training["metadata"] = about.get("metadata")
            saving.parts("the checkpoint", training, KINDS)
            saving.parts("its place", training["place"], PLACE)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"{self.path} is malformed: {error}; {files.REMEDY}") from error
        return dict(training)

    def check(self, run: Run, training: dict[str, Any]) -> None:
        """Raise a ValueError unless the run in the file is the beginning of this one."""
        if wrong := changes(training["fingerprint"], self.fingerprint):
            wrong = changes(run.model.metadata | training["metadata"], run.model.metadata) + wrong  # such as the seed
            raise ValueError(
                f"{self.path} holds another run: {'; '.join(wrong)}. To resume it, give fit the same again; "
                "to start from the beginning, delete the file or give ModelCheckpoint another path"
            )
        place = training["place"]
        if (place["epoch"], place["batch"]) > (run.epochs, 0):
            raise ValueError(f"epochs is {run.epochs}, but the run in {self.path} got to {progress(place)}; raise it")

    def go_on(self, run: Run, about: dict[str, Any], tensors: Arrays, training: dict[str, Any]) -> None:
        """Restore run, model, optimiser, random numbers and callbacks."""
        place = training["place"]
        if self.params["verbose"]:
            say(f"resuming from {self.path}, at {progress(place)}")
        then = {"plan": training["plan"] or run.plan} | self.arithmetic | training["arithmetic"]
        if other := changes(then, {"plan": run.plan} | self.arithmetic):
            note = "so the results will agree with those of an uninterrupted run up to rounding, not bit for bit"
            say(f"{self.path} was trained with other arithmetic: {'; '.join(other)}; {note}", sys.stderr)
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
    """Describe how far a run has got."""
    if place["batch"]:
        return f"batch {place['batch']} of epoch {place['epoch'] + 1}"
    return f"the end of epoch {place['epoch']}" if place["epoch"] else "the beginning"


def stateful(run: Run) -> list[Any]:
    """List the callbacks that have a state to save."""
    return [c for c in run.call.callbacks if callable(getattr(c, "state", None)) and hasattr(c, "restore")]


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Describe the facts that differ."""
    return [f"{key} was {then.get(key)}, now {value}" for key, value in now.items() if then.get(key) != value]


def arithmetic() -> dict[str, str]:
    """List what decides how numbers are rounded, apart from the plan: libraries and CPU."""
    from llvmlite.binding import get_host_cpu_name  # only now, since these take long to load
    from threadpoolctl import threadpool_info

    versions = [f"{name} {metadata.version(name)}" for name in ("numpy", "scipy", "numba")]
    blas = {
        f"{lib['internal_api']} {lib.get('architecture')}" for lib in threadpool_info() if lib["user_api"] == "blas"
    }
    simd = np.show_config(mode="dicts").get("SIMD Extensions", {})
    return {
        "versions": ", ".join([f"minilstm {__version__}", *versions]),
        "BLAS": ", ".join(sorted(blas)),
        "NumPy's instructions": ", ".join(simd.get("found", [])),
        "CPU": get_host_cpu_name(),
    }


def fingerprint(run: Run) -> dict[str, str]:
    """List what a run depends on, apart from its initial state. Cost: a checksum over all data."""
    compiled = saving.describe(run.model)["compiled"]
    held_out = "none"
    if run.held_out is not None:
        rows, y = run.held_out
        held_out = f"{digest(rows)} with labels {digest(y)}"
    return {
        "layers": ", ".join(f"{layer}{'' if layer.trainable else ' (frozen)'}" for layer in run.model.layers),
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
    """Write a call as returned by :func:`minilstm.runs.saving.call` in Python."""
    return f"{call['class']}({', '.join(f'{name}={value!r}' for name, value in call['arguments'].items())})"


def digest(data: Samples | Array) -> str:
    """Return the number of samples and the beginning of their checksum."""
    arrays = [data.lengths, data.tokens if data.array is None else data.array] if isinstance(data, Samples) else [data]
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return f"{len(data)} (checksum {sha.hexdigest()[:12]})"


def optimizer_state(optimizer: Any) -> dict[str, Any]:
    """Return the settings of an optimiser, which a callback may have changed, and its state."""
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
    """Convert a value to JSON. Arrays go into ``arrays``; floats are kept bit for bit, also NaN and infinity."""
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


def check_replaceable(path: Path) -> None:
    """Raise a ValueError if the file is the checkpoint of a run that has not ended."""
    try:
        tensors, about = files.read(path)
    except (OSError, ValueError):  # it is not a checkpoint
        return
    if saving.TRAINING in about and not ModelCheckpoint(path).read(about, tensors)["done"]:
        raise ValueError(f"{path} holds a run that has not ended; save under another name, or delete the file first")


def save_or_rescue(model: Sequential, path: Path) -> None:
    """Save a trained model: if it cannot be saved at ``path``, then in a new folder for temporary files.

    Raises:
        OSError: the file cannot be written; the message says where the model was saved instead.
        ValueError: likewise, where the file holds a run that has not ended.
    """
    try:
        check_replaceable(path)
        saving.save(model, path)
    except (OSError, ValueError) as error:
        rescue = Path(tempfile.mkdtemp(prefix="minilstm-"), path.name)
        saving.save(model, rescue)
        kind = OSError if isinstance(error, OSError) else ValueError
        raise kind(f"{error}. The model is not lost: it was saved as {rescue}") from error
