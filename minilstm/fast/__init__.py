"""Twins of the textbook functions: the same results up to rounding, several times faster.

You need not read anything here to understand an LSTM. What you read in ``layers/`` is the specification: every twin is
compared with it in ``tests/test_twins.py``, and runs only while the textbook is the one that it was compared with
(``verified.py``). A direct call such as ``LSTM(8).forward(x)`` always runs the textbook; ``fit``, ``predict`` and
``evaluate`` run the twins, unless they are switched off: by ``MINILSTM_FAST=0`` in the environment, or by
``with textbook():``.

    plan.py        which layers have a twin, and whether it runs
    verified.py    what each twin was compared with, and whether anything of it was edited since
    rows.py        each distinct word of a batch is computed once
    lstm.py        LSTM and Bidirectional;  windows.py: convolution and pooling;  embedding.py;  optimizers.py
    kernels.py     the loops, compiled by numba (compiled.py)
    threads.py     the shards of a batch share the cores
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

OFF = ("0", "off", "no", "false")
_on = all(os.environ.get(name, "1").lower() not in OFF for name in ("MINILSTM_FAST", "MINILSTM_NUMBA"))
_on &= os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"  # what is not compiled is slower than the textbook


def enabled() -> bool:
    """Tell whether twins may run."""
    return _on


class use_numba:  # noqa: N801 - reads as a statement
    """Run the twins (True) or the textbook (False) from now on, in all threads; or within a ``with`` block.

    There is one switch for the whole process: do not change it from several threads at once.
    """

    def __init__(self, on: bool) -> None:
        global _on
        if not isinstance(on, bool):
            raise TypeError(f"use_numba takes True or False, got {on!r}")
        self.before, _on = _on, on

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        global _on
        _on = self.before


def textbook() -> use_numba:
    """Switch the twins off, from now on or within a ``with`` block, to debug or time what you read."""
    return use_numba(False)


Map = Callable[..., Iterable[Any]]
"""Applies a function to every shard of a batch: ``map``, or that of a pool of threads."""


class Plan(NamedTuple):
    """What one call of fit, evaluate or predict runs."""

    layers: Sequence[Any]  # as they are written
    optimizer: Any  # None where nothing is trained
    runners: Sequence[Any]  # for each layer the layer itself or a twin, which has the same interface
    stepper: Any  # the optimiser itself or a twin
    workers: Callable[[], AbstractContextManager[Map]]  # maps a function over the shards of a batch

    def __str__(self) -> str:  # each layer, and its twin if that runs in its place
        pairs = zip((*self.layers, self.optimizer), (*self.runners, self.stepper), strict=True)
        return ", ".join(" by ".join(dict.fromkeys([type(a).__name__, type(b).__name__])) for a, b in pairs)


def choose_plan(layers: Sequence[Any], optimizer: Any = None) -> Plan:
    """Choose what runs: twins where there are any and they are switched on, else the layers as they are written."""
    if enabled():
        from minilstm.fast.plan import choose  # only now, since it loads numba

        return Plan(layers, optimizer, *choose(layers, optimizer))
    return Plan(layers, optimizer, layers, optimizer, lambda: contextlib.nullcontext(map))
