"""The command line, ``python -m minilstm COMMAND``; :func:`make_parser` has the commands.

Exit codes: 0 success; 1 failure, such as unreadable data, no network, a wrong gradient or a bug that no test found;
2 wrong usage, a layer that gradcheck cannot run, or museum without a clone; 130 interrupted with Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from minilstm.data.labels import printable
from minilstm.explain.commands import add_commands
from minilstm.gradcheck import check_layer
from minilstm.layers.base import Layer
from minilstm.tools import architectures, commands, settings, startup
from minilstm.tools.gradcases import check_all
from minilstm.tools.report import CENTRAL_LIMIT, COMPLEX_LIMIT, HEADER, Check, Report
from minilstm.version import __version__

ROOT = Path(__file__).parents[2]  # of the repository

TRAIN = """\
DATA is one of
  imdb                 5,000 IMDB reviews, from $MINILSTM_DATA or downloaded once (84 MB)
  aclImdb_v1.tar.gz    the same, from your own archive or unpacked folder
  builtin              made-up reviews; no network needed
  reviews.csv          your own, also .tsv, with columns "text" and "label", or those that the options name
  reviews.jsonl        an object with "text" and "label" on each line, or .json, a list of them
  reviews/             a folder with a sub-folder of .txt files for each label
  -                    standard input: a table or JSON
Files are in UTF-8, and may be compressed (.gz, .bz2, .xz, .zip). There must be at least two labels. A tenth of the
texts of each label is held out. The weights at the end of training are kept, unless those of an earlier epoch do better
on the held-out texts by more than the standard error. Texts may be in any language.

examples:
  python -m minilstm train builtin --out model.safetensors
  python -m minilstm train imdb --model bidirectional --epochs 5 --out imdb.safetensors
  python -m minilstm train mails.csv --text-column body --label-column folder --out mails.safetensors
  python -m minilstm train imdb --out imdb.safetensors --checkpoint run.safetensors --resume
      if it is interrupted or killed, run the same command again to resume
"""

EVALUATE = """\
DATA is as for train; for imdb and builtin, the test part is used. The labels must be those of the model.

examples:
  python -m minilstm evaluate model.safetensors builtin
  python -m minilstm evaluate mails.safetensors more_mails.csv --json
"""

PREDICT = """\
The output has a line for each text: the label, a tab, and its probability; with --json, an object with the
probabilities of all labels.

examples:
  python -m minilstm predict model.safetensors 'The plot was dull, but the music was superb.'
  python -m minilstm predict model.safetensors --file reviews.txt --json
  python -m minilstm predict mails.safetensors --file new_mails.csv --text-column body
  cat reviews.txt | python -m minilstm predict model.safetensors
  python -m minilstm predict model.safetensors reviews.csv --out predictions.csv
      read one file, and write each text with its label and the probabilities of all labels to another
"""

GRADCHECK = """\
examples:
  python -m minilstm gradcheck
      every layer in every mode, every loss and six whole models
  python -m minilstm gradcheck my_layers.py:Swish
      your own layer: a class that needs no arguments, a function that makes a layer, or a layer
  python -m minilstm gradcheck my_package.layers:small_gru --shape 2 6 3
      the same from an installed module, on a batch of 2 rows, 6 steps and 3 features
"""

MUSEUM = """\
Each bug comes from a real project or is a classic, and each is found by a named test: see tests/museum/README.md. Bugs
are planted in a temporary copy; your files are not changed. This needs a clone of the repository.

examples:
  python -m minilstm museum
      list all bugs
  python -m minilstm museum "three gates share one bias"
      show the change, and how the test fails; part of the name is enough if it is unique
  python -m minilstm museum --all
      plant all bugs, one after the other; the exit code is 1 if one is not found
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
            stream.reconfigure(errors=errors)  # a character that the terminal cannot show must not end the program
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
        print(f"minilstm {options.command}: {printable(str(error)) or 'not enough memory'}", file=sys.stderr)
        return 1
    return code


def is_interrupt(error: BaseException | None) -> bool:
    """Tell whether Ctrl-C caused an error: from a numba kernel, it comes as the cause of a SystemError."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """End the program with the message."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def make_parser() -> Parser:
    """Make the parser of all commands. The options that it returns have a function to ``run``."""
    parser = Parser(prog="python -m minilstm", description="LSTM text classifiers from scratch, to learn from.")
    parser.add_argument("--version", action="version", version=f"minilstm {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(run: Callable[[argparse.Namespace], int], text: str, more: str) -> Parser:
        about, layout = f"{text[0].upper()}{text[1:]}.", argparse.RawDescriptionHelpFormatter
        added = subparsers.add_parser(run.__name__, help=text, description=about, epilog=more, formatter_class=layout)
        added.set_defaults(run=run, wrong=added.error)
        return added

    train = command(commands.train, "train a model on labelled texts and save it", TRAIN)
    add_data(train)
    train.add_argument("--out", required=True, metavar="FILE", help="the model file; its name must end in .safetensors")
    train.add_argument("--model", choices=architectures.NAMES, default="lstm", help="architecture (default: lstm)")

    def add(option: str, kind: Callable[[str], Any], text: str, default: Any = None) -> None:
        key = option.replace("-", "_")
        usual = default or ", ".join(f"{data} {values[key]}" for data, values in settings.SETTINGS.items())
        train.add_argument(f"--{option}", type=kind, default=default, metavar="N", help=f"{text} (default: {usual})")

    add("epochs", number(int, 1), "passes over the texts; fewer if you have many texts of your own")
    add("vocab-size", number(int, 2), "vocabulary size; for your own texts, half their number")
    add("maxlen", number(int, 1), "maximum text length in tokens; the last ones are kept")
    add("embedding-dims", number(int, 1), "embedding size", 32)
    add("hidden-dims", number(int, 1), "LSTM units", 64)
    add("word-dropout", number(float, 0, 1), "fraction of tokens dropped in training; more if there are few texts")
    add("dropout", number(float, 0, 1), "dropout rate before the last layer")
    add("batch-size", number(int, 1), "batch size", 32)
    add("learning-rate", number(float, 1e-12), "RMSprop learning rate at its peak")
    balanced = "repeat the texts of rare labels, so that all labels count equally"
    train.add_argument("--class-weights", choices=["balanced"], help=balanced)

    train.add_argument("--checkpoint", metavar="FILE", help="checkpoint file for resuming")
    add("save-every", number(int, 1), "batches between two saves of --checkpoint", commands.SAVE)
    train.add_argument("--resume", action="store_true", help="resume the run in --checkpoint, if there is one")

    evaluate = command(commands.evaluate, "evaluate a model on labelled texts", EVALUATE)
    evaluate.add_argument("model", metavar="MODEL", help="a file that train saved")
    add_data(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")

    predict = command(commands.predict, "classify texts", PREDICT)
    predict.add_argument("model", metavar="MODEL", help="a file that train saved")
    text = "a text, or, with --out, a file of texts (default: standard input, one text per line)"
    predict.add_argument("text", nargs="*", metavar="TEXT", help=text)
    predict.add_argument("--file", metavar="FILE", help="read texts from a file: a table, JSON, or one text per line")
    add_format(predict)
    form = predict.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a JSON object for each text")
    form.add_argument("--out", metavar="FILE", help="write texts and predictions to this .csv or .jsonl file")

    add_commands(command, number(int, 1))

    example = f"example:\n  {parser.prog}"
    inspect = command(commands.inspect, "show what is in a model file", f"{example} inspect model.safetensors")
    inspect.add_argument("model", metavar="MODEL", help="a model file or checkpoint")

    check = command(gradcheck, "check gradients against numerical derivatives", GRADCHECK)
    check.add_argument("layers", nargs="*", metavar="WHERE:NAME", help="your own layers (default: all of minilstm)")
    shape = "shape of their input (default: 4 5 3)"
    check.add_argument("--shape", nargs="+", type=int, default=[4, 5, 3], metavar="N", help=shape)
    check.add_argument("--no-complex-step", action="store_true", help="for layers that are not complex-safe")

    bugs = command(museum, "plant a known bug in a copy of the library and watch a test find it", MUSEUM)
    bugs.add_argument("name", nargs="*", metavar="NAME", help="a bug, or a part of its name (default: list all)")
    bugs.add_argument("--all", action="store_true", help="plant all bugs, and report which were found")

    fetch = "download the IMDB reviews (84 MB) to $MINILSTM_CACHE or the system's cache folder, and print their path"
    command(commands.download, fetch, f"{example} download")
    return parser


def add_data(parser: Parser) -> None:
    """Add the options that select the texts."""
    parser.add_argument("data", metavar="DATA", help="imdb, builtin, or your own file or folder")
    add_format(parser)
    parser.add_argument("--label-column", default="label", metavar="NAME", help="column of labels (default: label)")
    parser.add_argument("--reviews", type=number(int, 4), metavar="N", help="texts of imdb or builtin (default: 5000)")
    parser.add_argument("--seed", type=number(int, 0), default=0, metavar="N", help="random seed (default: 0)")


def add_format(parser: Parser) -> None:
    """Add the options that describe the file format."""
    parser.add_argument("--text-column", default="text", metavar="NAME", help="column with the texts (default: text)")
    parser.add_argument("--delimiter", metavar="CHAR", help="column separator, such as ';' or tab (default: detect)")
    parser.add_argument("--encoding", default="utf-8", metavar="NAME", help="encoding, such as cp1252 (default: utf-8)")


def number(kind: type[int] | type[float], low: float, high: float = 1e9) -> Callable[[str], float]:
    """Make a type for the command line: numbers of a kind, at least ``low`` and below ``high``."""

    def parse(text: str) -> float:
        with contextlib.suppress(ValueError):
            if low <= (value := kind(text)) < high:
                return value
        noun = "an integer" if kind is int else "a number"
        raise argparse.ArgumentTypeError(f"must be {noun} >= {low:g} and < {high:g}, got {text:.40}")

    return parse


def gradcheck(options: argparse.Namespace) -> int:
    """Check the layers that the options name, or all of minilstm; print a table and return the exit code."""
    if len(options.shape) not in (2, 3) or min(options.shape) < 1:
        options.wrong(f"--shape is {' '.join(map(str, options.shape))}, expected B D or B T D, each at least 1")
    try:
        layers = [make_layer(where) for where in options.layers]
    except (ValueError, TypeError) as error:
        print(f"minilstm gradcheck: {error}", file=sys.stderr)
        return 2
    checks: list[Check] = []
    print(HEADER)
    try:
        for report in own_layers(layers, options.shape, not options.no_complex_step) if layers else check_all():
            print("\n".join(report.lines()), flush=True)
            checks += report.checks
    except (BrokenPipeError, SystemError):
        raise
    except Exception:  # a mistake in the reader's own layer: show where
        traceback.print_exc()
        print("minilstm gradcheck: the check failed with the error above", file=sys.stderr)
        return 2
    wrong = sum(not check.ok for check in checks)
    by_complex_step = [check.complex_step for check in checks if check.complex_step is not None]
    print(
        f"\n{len(checks) - wrong} of {len(checks)} gradients right; worst relative error "
        f"{max(by_complex_step, default=0):.1e} by complex step (limit {COMPLEX_LIMIT:.0e}), "
        f"{max(check.central for check in checks):.1e} by central differences (limit {CENTRAL_LIMIT:.0e})"
    )
    return 1 if wrong else 0


def own_layers(layers: Sequence[Layer], shape: Sequence[int], complex_step: bool) -> Iterable[Report]:
    """Check layers on random numbers; if these have a time axis, also on padded rows."""
    x = np.random.default_rng(0).standard_normal(shape)
    for layer in layers:
        yield check_layer(layer, x, complex_step=complex_step)
        if len(shape) == 3:
            B, T, _ = shape
            yield check_layer(layer, x, np.linspace(T, 0, B).astype(np.int64), complex_step=complex_step)


def make_layer(where: str) -> Layer:
    """Import FILE.py:NAME or MODULE:NAME, and call it unless it is a layer."""
    source, _, name = where.rpartition(":")
    if not source or not name:
        raise ValueError(f"{where!r} does not name a layer, expected FILE.py:NAME or MODULE:NAME: my_layers.py:Swish")
    try:
        module = import_file(source) if source.endswith(".py") else importlib.import_module(source)
    except Exception as error:  # whatever goes wrong in the reader's file
        raise ValueError(f"cannot import {source!r}: {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        raise ValueError(f"{source!r} has no {name!r}; check the spelling")
    try:
        layer = thing() if callable(thing := getattr(module, name)) else thing
    except Exception as error:
        remedy = "give the name of something that can be called without arguments"
        raise TypeError(f"{where}() fails: {type(error).__name__}: {error}; {remedy}") from error
    if not isinstance(layer, Layer):
        raise TypeError(f"{where} is of type {type(layer).__name__}, expected a minilstm.Layer or what makes one")
    return layer


def import_file(path: str | Path) -> Any:
    """Import a Python file by its path."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None  # as the name ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def museum(options: argparse.Namespace) -> int:
    """List the bugs of tests/museum, or plant one or all; only a clone of the repository has them."""
    path = ROOT / "tests" / "museum" / "command.py"
    if path.exists():
        return import_file(path).museum(options)
    print(f"minilstm museum: {path} does not exist: this command needs a clone of the repository", file=sys.stderr)
    return 2
