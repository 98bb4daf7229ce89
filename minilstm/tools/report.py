"""The tables of gradient checks: what was compared, how large the errors are, and where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minilstm.arrays import Array

COMPLEX_LIMIT, CENTRAL_LIMIT = 1e-12, 1e-7
"""The largest relative errors that count as right."""


class Check(NamedTuple):
    """The result for one array."""

    name: str
    entries: int
    largest: float  # the largest |gradient| in it; 0 would mean that nothing was checked
    complex_step: float | None  # worst relative error by complex step; None if f is not complex-safe
    central: float  # worst relative error by central differences
    kinks: int  # entries that central differences leave out
    place: str = ""  # where the gradient is wrong

    @property
    def ok(self) -> bool:
        """Whether both errors are within their limits and something was compared; NaN is never right."""
        compared = self.entries > (self.kinks if self.complex_step is None else 0)
        exact = self.complex_step is None or self.complex_step <= COMPLEX_LIMIT
        return compared and exact and self.central <= CENTRAL_LIMIT


def check_of(name: str, got: Array, exact: Array | None, central: Array, kinks: Array, gates: Sequence[str]) -> Check:
    """Compare the gradient of one array with those by complex step, if any, and by central differences."""
    if got.shape != central.shape:
        raise ValueError(f"the gradient of {name} has shape {got.shape}, expected {central.shape}")

    def error(got: Array, expected: Array) -> float:  # the largest difference, relative to the largest expected
        largest = float(np.max(np.abs(expected), initial=0))
        return float(np.max(np.abs(got - expected), initial=0)) / (largest or 1)

    right = np.where(kinks, got, central) if exact is None else exact
    place = wrong_place(got, right, CENTRAL_LIMIT if exact is None else COMPLEX_LIMIT, gates)
    by_complex_step = None if exact is None else error(got, exact)
    largest, by_differences = float(np.max(np.abs(got), initial=0)), error(got[~kinks], central[~kinks])
    return Check(name, got.size, largest, by_complex_step, by_differences, int(kinks.sum()), place)


class Report(NamedTuple):
    """The results for all arrays of a layer, a loss or a model. ``print`` it to see a table."""

    what: str
    checks: list[Check]
    alone: Sequence[Check] = ()  # if an LSTM's gradient is wrong: of a single step, where errors cannot spread

    @property
    def ok(self) -> bool:
        """Whether there was something to check, and every array passed."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    def __str__(self) -> str:
        return "\n".join([HEADER, *self.lines()])

    def __repr__(self) -> str:  # what a failing assert shows
        return str(self)

    def lines(self) -> list[str]:
        """Format this part of the table: a heading, a line for each array, and where and why one failed."""
        lines = [self.what]
        for c in self.checks:
            complex_step = "not safe" if c.complex_step is None else f"{c.complex_step:.1e}"
            lines.append(
                f"    {c.name:<13} {c.entries:>7} {c.largest:>9.1e} {complex_step:>13} {c.central:>9.1e} {c.kinks:>6}"
                f"  {'ok' if c.ok else 'WRONG'}"
            )
            if not c.ok and c.central <= CENTRAL_LIMIT:
                lines.append(
                    "        Central differences agree, so forward is perhaps not complex-safe: look for abs, max,\n"
                    "        comparisons or conversions to float; or check with complex_step=False."
                )
            elif not c.ok and c.place:
                lines.append(f"        {c.place}")
        lines += [f"    at one step alone, {c.name} is wrong {c.place}" for c in self.alone if "gates" in c.place]
        return lines


HEADER = (
    f"{'':<17} {'':>7} {'largest':>9} {'worst relative error':>23}\n"
    f"{'gradient of':<17} {'entries':>7} {'gradient':>9} {'complex step':>13} {'central':>9} {'kinks':>6}"
)


def wrong_place(got: Array, expected: Array, limit: float, gates: Sequence[str] = ()) -> str:
    """Describe where ``got`` is wrong: in which gates, if the last axis has a part for each, and the worst entry.

    Return "" if no entry differs by more than ``limit`` times the largest number expected.
    """
    error = np.abs(got - expected)
    wrong = ~(error <= limit * np.max(np.abs(expected), initial=0))
    if not wrong.any():
        return ""
    worst = np.unravel_index(np.argmax(np.where(np.isnan(error), np.inf, error)), error.shape)
    at = f"worst at [{', '.join(map(str, worst))}], got {got[worst]:.6g}, expected {expected[worst]:.6g}"
    if not gates or got.shape[-1] % len(gates):
        return f"{wrong.sum()} of {wrong.size} entries; {at}"
    parts = [gate for gate, part in zip(gates, np.split(wrong, len(gates), axis=-1), strict=True) if part.any()]
    return f"in the columns of the gates {', '.join(parts)} (of {', '.join(gates)}); {at}"


def summary(model: Any, print_fn: Callable[[str], Any] = print) -> None:
    """Print each layer of a model with its output shape and the number of its parameters.

    Raises:
        TypeError: ``print_fn``, which is called with each line, is not callable.
        ValueError: the shapes are not known yet.
    """
    if not callable(print_fn):
        raise TypeError(f"summary: print_fn is {print_fn!r}, expected a function that takes a line, such as print")
    if not model.shapes:
        raise ValueError("summary: the shapes are not known yet; begin with an Embedding, or call build(shape_in)")
    rows = [("layer (type)", "output shape", "parameters")]
    for layer, shape in zip(model.layers, model.shapes[1:], strict=True):
        count = sum(p.size for p in layer.params.values())
        rows.append((f"{layer.name} ({type(layer).__name__})", str((None, *shape)), f"{count:,}"))
    rows.append(("total", "", f"{sum(p.size for p in model.params.values()):,}"))
    widths = [max(len(row[k]) for row in rows) for k in range(3)]
    for row in rows:
        print_fn(f"{row[0]:<{widths[0]}}   {row[1]:<{widths[1]}}   {row[2]:>{widths[2]}}")
