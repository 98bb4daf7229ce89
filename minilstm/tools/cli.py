"""The command line: ``python -m minilstm gradcheck``."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minilstm import __version__, use_numba
from minilstm.gradcheck import CENTRAL_LIMIT, COMPLEX_LIMIT, HEADER, Report, check_layer
from minilstm.layer import Layer
from minilstm.tools.gradcases import check_all

EXAMPLES = """\
examples:
  python -m minilstm gradcheck
      every layer in every mode, every loss and six whole models
  python -m minilstm gradcheck my_layers.py:Swish
      a layer of your own: a class that needs no arguments, a function that makes a layer, or a layer
  python -m minilstm gradcheck my_package.layers:small_gru --shape 2 6 3
      the same from an installed module, on a batch of 2 rows, 6 steps and 3 features
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0 all right, 1 a gradient is wrong, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m minilstm", description="LSTM text classifiers from scratch, to learn from."
    )
    parser.add_argument("--version", action="version", version=f"minilstm {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    check = commands.add_parser(
        "gradcheck",
        help="prove backward passes against numerical derivatives",
        description="Compare hand-written gradients with complex-step and central-difference derivatives.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("layers", nargs="*", metavar="WHERE:NAME", help="your own layers (default: all of minilstm)")
    check.add_argument(
        "--shape", nargs="+", type=int, default=[4, 5, 3], metavar="N", help="of their input (default: 4 5 3)"
    )
    check.add_argument("--no-complex-step", action="store_true", help="for layers that are not complex-safe")
    options = parser.parse_args(arguments)
    if len(options.shape) not in (2, 3) or min(options.shape) < 1:
        check.error(f"--shape is {' '.join(map(str, options.shape))}, expected B D or B T D, each at least 1")
    try:
        layers = [make_layer(where) for where in options.layers]
    except (ValueError, TypeError) as error:
        print(f"gradcheck: {error}", file=sys.stderr)
        return 2
    try:
        return gradcheck(layers, options.shape, not options.no_complex_step)
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception:  # a mistake in a layer of the reader's: show where
        traceback.print_exc()
        print("gradcheck: the check could not be carried out, see above", file=sys.stderr)
        return 2


def gradcheck(layers: Sequence[Layer], shape: Sequence[int], complex_step: bool) -> int:
    """Print the table for the layers given, or for all of minilstm; return the exit code.

    All of minilstm is checked twice: the plain functions, which are there to be read, and the kernels.
    """
    checks = []
    for title, on in [("plain NumPy functions", False), ("numba kernels", True)][: 1 if layers else 2]:
        print(f"{title}\n{HEADER}")
        with use_numba(on):
            for report in own_layers(layers, shape, complex_step) if layers else check_all():
                print("\n".join(report.lines()), flush=True)
                checks += report.checks
        print()
    wrong = sum(not check.ok for check in checks)
    by_complex_step = [check.complex_step for check in checks if check.complex_step is not None]
    print(
        f"{len(checks) - wrong} of {len(checks)} gradients right; worst relative error "
        f"{max(by_complex_step, default=0):.1e} by complex step (limit {COMPLEX_LIMIT:.0e}), "
        f"{max(check.central for check in checks):.1e} by central differences (limit {CENTRAL_LIMIT:.0e})"
    )
    return 1 if wrong else 0


def own_layers(layers: Sequence[Layer], shape: Sequence[int], complex_step: bool) -> Iterable[Report]:
    """Check layers on random numbers; with a time axis, on padded rows too."""
    x = np.random.default_rng(0).standard_normal(shape)
    for layer in layers:
        yield check_layer(layer, x, complex_step=complex_step)
        if len(shape) == 3:
            B, T, _ = shape
            yield check_layer(layer, x, np.linspace(T, 0, B).astype(np.int64), complex_step=complex_step)


def make_layer(where: str) -> Layer:
    """Import FILE.py:NAME or MODULE:NAME, and call it unless it is a layer already."""
    source, _, name = where.rpartition(":")
    if not source or not name:
        raise ValueError(f"{where!r} names no layer, expected FILE.py:NAME or MODULE:NAME, as my_layers.py:Swish")
    try:
        module = load(source)
    except Exception as error:  # whatever goes wrong in the reader's file
        raise ValueError(f"cannot import {source!r}: {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        raise ValueError(f"{source!r} has no {name!r}; look at its spelling")
    thing = getattr(module, name)
    try:
        layer = thing() if callable(thing) else thing
    except Exception as error:
        raise TypeError(
            f"{where}() fails: {type(error).__name__}: {error}; name what can be called without arguments"
        ) from error
    if not isinstance(layer, Layer):
        raise TypeError(f"{where} is a {type(layer).__name__}, expected a minilstm.Layer, or what makes one")
    return layer


def load(source: str) -> Any:
    """Import a module by name, or a file by path."""
    if not source.endswith(".py"):
        return importlib.import_module(source)
    spec = importlib.util.spec_from_file_location(Path(source).stem, source)
    if spec is None or spec.loader is None:
        raise ImportError(f"{source} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
