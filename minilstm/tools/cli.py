"""The command line: ``python -m minilstm train``, ``evaluate``, ``predict``, ``gradcheck``, ``museum``, ``download``.

Exit codes: 0 all right; 1 the work failed: data or a model that cannot be read, no network, a wrong gradient, a bug
that no test found; 2 wrong usage, a layer that gradcheck cannot try, no clone for museum; 130 interrupted with Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import io
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minilstm.gradcheck import check_layer
from minilstm.layers.base import Layer
from minilstm.tools import architectures, commands, museum, startup
from minilstm.tools.gradcases import check_all
from minilstm.tools.report import CENTRAL_LIMIT, COMPLEX_LIMIT, HEADER, Report
from minilstm.tools.validate import check_number
from minilstm.version import __version__

TRAIN = """\
DATA is one of
  imdb                 5,000 IMDB reviews, from $MINILSTM_DATA or downloaded once (84 MB)
  aclImdb_v1.tar.gz    the same, from an archive or unpacked folder of your own
  builtin              made-up reviews, no network needed
  reviews.csv          your own, also .tsv, with columns "text" and "label", or as the options say
  reviews.jsonl        an object with "text" and "label" a line
  reviews/             a folder with one sub-folder of .txt files for each label
Files are UTF-8. There may be two labels or more; a tenth of the texts is held out to stop training in time.

examples:
  python -m minilstm train builtin --out model.safetensors
  python -m minilstm train imdb --model bidirectional --epochs 5 --out imdb.safetensors
  python -m minilstm train mails.csv --text-column body --label-column folder --out mails.safetensors
  python -m minilstm train imdb --out imdb.safetensors --checkpoint run.safetensors --resume
      whenever it was stopped or killed, the same line again goes on where it was
"""

EVALUATE = """\
DATA is as for train; of imdb and builtin, texts that are not for training are taken. Labels have to be the model's.

examples:
  python -m minilstm evaluate model.safetensors builtin
  python -m minilstm evaluate mails.safetensors more_mails.csv --json
"""

PREDICT = """\
A line says the label and its probability, with a tab between; with --json, an object those of all labels.

examples:
  python -m minilstm predict model.safetensors 'The plot was dull, but the music was superb.'
  python -m minilstm predict model.safetensors --file reviews.txt --json
  cat reviews.txt | python -m minilstm predict model.safetensors
"""

DOWNLOAD = """\
The folder is $MINILSTM_CACHE or, without one, where the system has such folders. 'train imdb' does the same by itself.

example:
  python -m minilstm download
"""

GRADCHECK = """\
examples:
  python -m minilstm gradcheck
      every layer in every mode, every loss and six whole models
  python -m minilstm gradcheck my_layers.py:Swish
      a layer of your own: a class that needs no arguments, a function that makes a layer, or a layer
  python -m minilstm gradcheck my_package.layers:small_gru --shape 2 6 3
      the same from an installed module, on a batch of 2 rows, 6 steps and 3 features
"""

MUSEUM = """\
Each bug was met in a project or is a classic, and one test of this library is named for it: tests/museum/README.md has
them all. A bug is planted in a temporary copy, so your files stay as they are. This needs a clone of the repository.

examples:
  python -m minilstm museum
      list all bugs
  python -m minilstm museum "three gates share one bias"
      show what is written wrong, and how the test fails
  python -m minilstm museum SHARE ONE
      capitals do not matter, and a part of the name will do if no other name has it
  python -m minilstm museum --all
      plant all bugs, one after the other; exit code 1 if one was not found
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    startup.listen()
    options, rest = make_parser().parse_known_args(arguments)
    if rest and (options.command != "predict" or any(word.startswith("-") for word in rest)):
        options.wrong(f"unrecognized arguments: {' '.join(rest)}")
    elif rest:
        options.text += rest  # argparse itself takes no texts after an option, as in "predict MODEL --json TEXT"
    for stream, errors in ((sys.stdin, "replace"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)  # whatever the terminal can show, a character is no reason to stop
    try:
        code: int = options.run(options)
        if sys.stdout:
            sys.stdout.flush()
    except (KeyboardInterrupt, SystemError) as error:
        if not is_interrupt(error):
            raise
        note = f"; {error}" if isinstance(error, KeyboardInterrupt) and str(error) else ""
        print(f"minilstm {options.command}: interrupted{note}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, MemoryError, ModuleNotFoundError) as error:
        print(f"minilstm {options.command}: {str(error) or 'not enough memory'}", file=sys.stderr)
        return 1
    return code


def is_interrupt(error: BaseException | None) -> bool:
    """Tell whether Ctrl-C is behind an error: out of a numba kernel, it comes as the cause of a SystemError."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands; what it returns knows what to ``run``."""
    parser = argparse.ArgumentParser(
        prog="python -m minilstm", description="LSTM text classifiers from scratch, to learn from."
    )
    parser.add_argument("--version", action="version", version=f"minilstm {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(run: Callable[[argparse.Namespace], int], text: str, more: str) -> argparse.ArgumentParser:
        added = subparsers.add_parser(
            run.__name__.removeprefix("run_"),
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=more,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(run=run, wrong=added.error)
        return added

    train = command(commands.train, "train a model on texts with labels, and save it", TRAIN)
    add_data(train)
    train.add_argument("--out", required=True, metavar="FILE", help="where to save: a name that ends in .safetensors")
    train.add_argument("--model", choices=architectures.NAMES, default="lstm", help="architecture (default: lstm)")

    def add(option: str, kind: Callable[[str], Any], text: str, default: Any = None) -> None:
        key = option.replace("-", "_")
        usual = default or ", ".join(f"{data} {settings[key]}" for data, settings in commands.SETTINGS.items())
        train.add_argument(f"--{option}", type=kind, default=default, metavar="N", help=f"{text} (default: {usual})")

    add("epochs", number(int, 1), "how often to go through the texts, at most")
    add("vocab-size", number(int, 2), "vocabulary size")
    add("maxlen", number(int, 1), "how many words of a text to read, the last ones")
    add("embedding-dims", number(int, 1), "embedding size", 32)
    add("hidden-dims", number(int, 1), "LSTM units", 64)
    add("dropout", number(float, 0, 1), "share of numbers hidden during training")
    add("batch-size", number(int, 1), "batch size", 32)
    add("learning-rate", number(float, 1e-12), "RMSprop learning rate")

    train.add_argument("--checkpoint", metavar="FILE", help="checkpoint file for resuming")
    add("save-every", number(int, 1), "batches between two saves of --checkpoint", commands.SAVE)
    train.add_argument("--resume", action="store_true", help="resume the run in --checkpoint, if there is one")

    evaluate = command(commands.evaluate, "evaluate a model on labelled texts", EVALUATE)
    evaluate.add_argument("model", metavar="MODEL", help="a file that train saved")
    add_data(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")

    predict = command(commands.predict, "classify texts", PREDICT)
    predict.add_argument("model", metavar="MODEL", help="a file that train saved")
    predict.add_argument("text", nargs="*", metavar="TEXT", help="(default: standard input, one text a line)")
    predict.add_argument("--file", metavar="FILE", help="read texts from here instead, one a line, in UTF-8")
    predict.add_argument("--json", action="store_true", help="print a JSON object for each text")

    check = command(run_gradcheck, "check gradients numerically against numerical derivatives", GRADCHECK)
    check.add_argument("layers", nargs="*", metavar="WHERE:NAME", help="your own layers (default: all of minilstm)")
    check.add_argument(
        "--shape", nargs="+", type=int, default=[4, 5, 3], metavar="N", help="of their input (default: 4 5 3)"
    )
    check.add_argument("--no-complex-step", action="store_true", help="for layers that are not complex-safe")

    bugs = command(museum.museum, "plant a bug that others have met in a copy, and watch a test find it", MUSEUM)
    bugs.add_argument("name", nargs="*", metavar="NAME", help="a bug, or a part of its name (default: list all)")
    bugs.add_argument("--all", action="store_true", help="plant all of them, and say which were found")

    command(commands.download, "fetch the IMDB reviews (84 MB) and print where they are", DOWNLOAD)
    return parser


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which texts."""
    parser.add_argument("data", metavar="DATA", help="imdb, builtin, or your own file or folder")
    parser.add_argument("--text-column", default="text", metavar="NAME", help="column of the texts (default: text)")
    parser.add_argument("--label-column", default="label", metavar="NAME", help="of the labels (default: label)")
    parser.add_argument("--reviews", type=number(int, 4), metavar="N", help="of imdb or builtin (default: 5000)")
    parser.add_argument("--seed", type=number(int, 0), default=0, metavar="N", help="repeats a run (default: 0)")


def number(kind: type[int] | type[float], low: float, high: float = 1e9) -> Callable[[str], float]:
    """Make a type for the command line: numbers from ``low`` on and below ``high``."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
            check_number("the number", value, low, high, inclusive=True)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        return value

    return parse


def run_gradcheck(options: argparse.Namespace) -> int:
    """Make the layers that the options name, and check them."""
    if len(options.shape) not in (2, 3) or min(options.shape) < 1:
        options.wrong(f"--shape is {' '.join(map(str, options.shape))}, expected B D or B T D, each at least 1")
    try:
        layers = [make_layer(where) for where in options.layers]
    except (ValueError, TypeError) as error:
        print(f"minilstm gradcheck: {error}", file=sys.stderr)
        return 2
    try:
        return gradcheck(layers, options.shape, not options.no_complex_step)
    except (BrokenPipeError, SystemError):
        raise
    except Exception:  # a mistake in a layer of the reader's: show where
        traceback.print_exc()
        print("minilstm gradcheck: the check could not be carried out, see above", file=sys.stderr)
        return 2


def gradcheck(layers: Sequence[Layer], shape: Sequence[int], complex_step: bool) -> int:
    """Print the table for the layers given, or for all of minilstm; return the exit code."""
    checks = []
    print(HEADER)
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
