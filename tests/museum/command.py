"""``python -m minilstm museum``: list the bugs of this folder, plant one or all of them, and watch a test find it.

Bugs are planted in a temporary copy, where pytest runs the test named for each; your own files are only read.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from minilstm.tools.cli import import_file

ROOT = Path(__file__).parents[2]  # of the repository
LINES = 24  # at most, to show how a test failed
OPTIONS = "-n 0 -p no:cacheprovider --maxfail=1 --tb=short --color=no -o verbosity_assertions=1"  # of pytest
# Next to the copy's tests, this keeps them from running on another minilstm that is installed.
CONFTEST = "import minilstm, os\nassert os.path.samefile(minilstm.__path__[0], 'minilstm'), minilstm.__file__\n"


def museum(options: Namespace) -> int:
    """List all bugs, or plant one or all; return the exit code. Raise a ModuleNotFoundError without pytest."""
    if options.name and options.all:
        options.wrong("NAME and --all were both given, expected one of them")
    exhibits = read_exhibits()
    try:
        name = choose(" ".join(options.name), exhibits) if options.name else None
    except LookupError as error:
        print(f"minilstm museum: {error}", file=sys.stderr)
        return 2
    if not name and not options.all:
        return show_list(exhibits)
    if importlib.util.find_spec("pytest") is None:
        raise ModuleNotFoundError("this command needs pytest to run the tests: pip install -e '.[dev]'")
    return show_one(name, exhibits[name]) if name else show_all(exhibits)


def show_list(exhibits: dict[str, Any]) -> int:
    """Print the name of each bug and the test that finds it, grouped by the file in which it is planted."""
    first, width = next(iter(exhibits)), max(map(len, exhibits))
    print(f'{len(exhibits)} bugs and the tests that find them. Look at one: python -m minilstm museum "{first}"')
    for file, names in groupby(exhibits, lambda name: exhibits[name].edits[0][0]):
        print(f"\nin minilstm/{file}")
        for name in names:
            print(f"  {name:<{width}}  {exhibits[name].found_by}")
    return 0


def show_one(name: str, exhibit: Any) -> int:
    """Print the change and how the test fails; return 0 if it fails, else 1."""
    with repository_copy() as folder:
        print(f"{name}\n")
        for path, texts in edit(folder, exhibit).items():
            right, wrong = (text.splitlines() for text in texts)
            print(*difflib.unified_diff(right, wrong, path, f"{path}, with the bug", lineterm="", n=2), sep="\n")
        print(f"\nrunning tests/{exhibit.found_by} on a copy with this bug ...\n", flush=True)
        found, seconds, message = find(folder, exhibit)
    print(textwrap.indent(message, "    "))
    print(f"\n{'found: the test fails' if found else 'NOT FOUND'}, after {seconds:.1f} s")
    if exhibit.unseen_by:
        print(f"the gradient check tests/{exhibit.unseen_by} does not see it: forward and backward agree")
    return 0 if found else 1


def show_all(exhibits: dict[str, Any]) -> int:
    """Plant all bugs, one after the other, and print a line for each; return 0 if all are found, else 1."""
    width, total = max(map(len, exhibits)), 0
    with repository_copy() as folder:
        for name, exhibit in exhibits.items():
            try:
                found, seconds, message = find(folder, exhibit)
            except ValueError as error:  # this bug cannot be planted, but the others can
                found, seconds, message = False, 0.0, str(error)
            result = "found by" if found else "NOT FOUND by"
            print(f"{name:<{width}}  {seconds:4.1f} s  {result} {exhibit.found_by}", flush=True)
            if not found:
                print(f"minilstm museum: {name}: {message}", file=sys.stderr, flush=True)
            total += found
    print(f"{total} of {len(exhibits)} bugs found")
    return 0 if total == len(exhibits) else 1


def read_exhibits() -> dict[str, Any]:
    """Import the exhibits, by name."""
    return import_file(Path(__file__).with_name("exhibits.py")).EXHIBITS


def choose(text: str, names: Iterable[str]) -> str:
    """Find the one name that equals or contains ``text``, ignoring case; raise a LookupError if there is not one."""
    folded = {name.casefold(): name for name in names}
    part = text.casefold()
    matches = [part] if part in folded else [name for name in folded if part in name]
    if len(matches) == 1:
        return folded[matches[0]]
    problem = f"{len(matches)} bugs have {text!r} in their names" if matches else f"no bug is named {text!r}"
    close = [repr(folded[name]) for name in matches or difflib.get_close_matches(part, folded, cutoff=0.4)]
    listed = " or ".join(close[:5] + ["..."] * (len(close) > 5)) or "one of those that museum lists without a name"
    raise LookupError(f"{problem}; expected {listed}")


@contextmanager
def repository_copy() -> Iterator[Path]:
    """Copy the library, its tests and their settings to a temporary folder, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="minilstm_museum_") as place:
        folder = Path(place)
        for part in ("minilstm", "tests"):  # with what numba compiled, but without bytecode, which edits would outdate
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("*.pyc"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
        yield folder


def edit(folder: Path, exhibit: Any) -> dict[str, tuple[str, str]]:
    """Return each file's text without and with the bug; raise a ValueError if the line to change is gone."""
    texts: dict[str, tuple[str, str]] = {}
    for name, right, wrong in exhibit.edits:
        path = f"minilstm/{name}"
        before, after = texts.get(path) or [(folder / path).read_text(encoding="utf-8")] * 2
        if after.count(right) != 1:
            raise ValueError(f"{path} has changed: {right!r} does not occur exactly once")
        texts[path] = before, after.replace(right, wrong)
    return texts


def find(folder: Path, exhibit: Any) -> tuple[bool, float, str]:
    """Plant a bug in the copy, run its test, and restore the copy; raise a ValueError as :func:`edit` does.

    Returns whether the bug was found, the time in seconds, and how the test failed or why the bug was not found.
    """
    texts, start = edit(folder, exhibit), time.perf_counter()
    command = [sys.executable, "-m", "pytest", *OPTIONS.split(), f"tests/{exhibit.found_by}"]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": ""}
    try:
        for path, (_, wrong) in texts.items():
            (folder / path).write_text(wrong, encoding="utf-8")
        ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8")
    finally:
        for path, (right, _) in texts.items():
            (folder / path).write_text(right, encoding="utf-8")
    why = failure(ran.stdout.replace(f"{folder}{os.sep}", ""))
    otherwise = "the test passes" if ran.returncode == 0 else (ran.stderr + ran.stdout).strip()
    return ran.returncode == 1 and bool(why), time.perf_counter() - start, why or otherwise


def failure(output: str) -> str:
    """Extract the failing line and its message from pytest's output; empty if no test failed."""
    section = re.search(r"(?ms)^_+ .* _+\n(.*?)^(?:-+ Captured|=+ )", output)
    text = re.split(r"(?:\nE *)*\nE +Full diff", section[1])[0] if section else ""
    text = re.sub(r"(?m)^[E |]+\+ {3,}(?:where|and) .*\n|^ +\+-.*\n", "", text)  # repetitions
    lines = re.sub(r"(?m)^(?:E   | +\| )(.*)", lambda said: said[1].replace("\\n", "\n"), text).rstrip().splitlines()
    calls = (n for n, line in enumerate(lines) if re.match(r"(\S+\.py:\d+:| *File .*,) in test_", line))
    lines = lines[max(calls, default=0) :]
    return "\n".join(lines[:LINES] + ["..."] * (len(lines) > LINES))
