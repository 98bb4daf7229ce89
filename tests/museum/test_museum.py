"""A museum of bugs: each is planted in a copy of the library, and found by the test that is named for it.

exhibits.py says what is planted, README.md where it was met.
"""

import importlib.util
import inspect
import itertools
import re
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from exhibits import EXHIBITS

import minilstm

LIBRARY, TESTS, HERE = Path(minilstm.__file__).parent, Path(__file__).parents[1], Path(__file__).parent
FOUND = (AssertionError, ExceptionGroup, pytest.fail.Exception)  # a group is several examples that Hypothesis found


@pytest.mark.parametrize("bug", EXHIBITS)
def test_the_bug_is_found_by_the_test_that_is_named_for_it(bug, tmp_path):
    with library(tmp_path, EXHIBITS[bug].edits), pytest.raises(FOUND):
        run(EXHIBITS[bug].found_by)


@pytest.mark.parametrize("test", sorted({exhibit.found_by for exhibit in EXHIBITS.values()}))
def test_the_named_test_passes_where_there_is_no_bug(test, tmp_path):
    with library(tmp_path):
        run(test)


@pytest.mark.parametrize("bug", [bug for bug, exhibit in EXHIBITS.items() if exhibit.unseen_by])
def test_a_gradient_check_does_not_see_that_the_function_is_the_wrong_one(bug, tmp_path):
    with library(tmp_path, EXHIBITS[bug].edits):
        run(EXHIBITS[bug].unseen_by)


def test_the_catalogue_lists_every_exhibit_with_the_test_that_finds_it():
    rows = [line.split("|") for line in (HERE / "README.md").read_text(encoding="utf-8").splitlines()]
    listed = {row[1].strip(): row[3].strip().strip("`") for row in rows if len(row) == 5 and "`test_" in row[3]}
    assert listed == {bug: re.search(r"::(\w+)", exhibit.found_by)[1] for bug, exhibit in EXHIBITS.items()}


@contextmanager
def library(folder, edits=()):
    """Put a copy of the library, with ``edits`` made, in the place of the real one."""
    shutil.copytree(LIBRARY, folder / "minilstm", ignore=shutil.ignore_patterns("*.nb?"))
    for name, right, wrong in edits:
        file = folder / "minilstm" / name
        source = file.read_text(encoding="utf-8")
        assert source.count(right) == 1, f"{name} has changed: {right!r} is not there once; plant the bug anew"
        file.write_text(source.replace(right, wrong), encoding="utf-8")
    real = forget()
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        forget()
        sys.modules.update(real)


def forget():
    """Take minilstm out of the modules that Python has loaded, and return what was taken."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "minilstm"}


def run(test):
    """Run a test by its name in pytest; without a case in brackets, run all of its cases."""
    file, name, case = re.fullmatch(r"(\w+)\.py::(\w+)(?:\[(.+)\])?", test).groups()
    spec = importlib.util.spec_from_file_location(f"{file}_of_the_museum", TESTS / f"{file}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, name)
    marks = [mark.args[1] for mark in getattr(function, "pytestmark", [])]
    fixtures = {"rng": np.random.default_rng(0)} if "rng" in inspect.signature(function).parameters else {}
    for values in [(case,)] if case else itertools.product(*marks):
        function(*(values[0] if values and isinstance(values[0], tuple) else values), **fixtures)
