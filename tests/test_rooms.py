"""The rooms of the house: every file belongs to one, imports only what its room may import, and keeps to its budget."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "minilstm"

ROOMS = {  # what belongs to it, and what it may import besides itself
    "arguments": (["arrays.py", "tools/convert.py", "tools/validate.py", "tools/report.py", "version.py"], []),
    "ground floor": (
        ["activations.py", "initializers.py", "losses.py", "optimizers.py", "gradcheck.py", "layers/*.py"],
        ["arguments", "Keras's arguments"],
    ),
    "data": (["data/*.py"], ["ground floor", "arguments", "fast, in one word"]),
    "callbacks": (
        ["runs/callbacks.py", "runs/run.py", "runs/nonfinite.py"],
        ["data", "ground floor", "arguments", "Keras's arguments"],
    ),
    "upper floor": (
        ["model.py", "training.py"],
        ["ground floor", "data", "callbacks", "arguments", "Keras's arguments", "fast, in one word"],
    ),
    "fast, in one word": (["fast/__init__.py"], []),
    "fast": (["fast/*.py"], ["ground floor", "arguments", "fast, in one word"]),
    "runs": (["runs/*.py"], ["upper floor", "ground floor", "data", "callbacks", "arguments"]),
    "explain": (["explain/*.py"], ["upper floor", "ground floor", "data", "callbacks", "runs", "arguments", "keras"]),
    "Keras's arguments": (["keras/__init__.py", "keras/arguments.py"], []),
    "keras": (["keras/*.py"], ["*"]),
    "tools": (["tools/*.py", "__main__.py", "__init__.py"], ["*"]),
}
LAZILY = {"upper floor": ["runs"], "fast, in one word": ["fast"], "data": ["fast"]}  # save and load; choosing a twin

BUDGETS = {  # all lines of Python, blank ones too
    "the lesson": (["ground floor", "upper floor"], 2200),
    "fast": (["fast", "fast, in one word"], 1400),
    "data": (["data"], 1800),
    "runs": (["runs", "callbacks"], 1200),
    "explain": (["explain"], 1300),
    "tools": (["tools", "arguments"], 2000),
    "keras": (["keras", "Keras's arguments"], 300),
}


def files():
    """Every file by its path within the package."""
    return {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}


def room_of(file):
    """The first room that the file belongs to."""
    matches = [room for room, (patterns, _) in ROOMS.items() if any(Path("/", file).match(f"/{p}") for p in patterns)]
    assert matches, f"{file} belongs to no room: put it into one, or give it one in {__file__}"
    return matches[0]


def lines(paths):
    """Count the lines, blank ones too."""
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def imports(file, path):
    """List what a file of the package imports, as file names, and whether lazily, within a function."""
    known, tree = files(), ast.parse(path.read_text(encoding="utf-8"))
    lazy = {id(node) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for node in ast.walk(f)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            place = "/".join((name or "").split(".")[1:]) if (name or "").split(".")[0] == "minilstm" else None
            for candidate in () if place is None else (f"{place}.py", f"{place}/__init__.py".lstrip("/")):
                leaf = candidate in known and (not candidate.endswith("__init__.py") or candidate == "fast/__init__.py")
                if leaf and candidate != file:
                    yield candidate, id(node) in lazy


@pytest.mark.parametrize("file", files())
def test_a_file_imports_only_what_its_room_may_import(file):
    room = room_of(file)
    allowed = ROOMS[room][1]
    for other, lazily in imports(file, files()[file]):
        theirs = room_of(other)
        fine = theirs == room or theirs in allowed or "*" in allowed or (lazily and theirs in LAZILY.get(room, ()))
        assert fine, f"{file}, of the room '{room}', imports {other}, of the room '{theirs}'; it may import {allowed}"


def test_no_files_import_each_other_in_a_circle():
    graph = {file: {other for other, lazily in imports(file, path) if not lazily} for file, path in files().items()}
    while free := [file for file, needs in graph.items() if not needs]:
        graph = {file: needs - set(free) for file, needs in graph.items() if file not in free}
    assert not graph, f"these import each other in a circle: {', '.join(graph)}"


@pytest.mark.parametrize("budget", BUDGETS)
def test_a_room_keeps_to_its_budget(budget):
    rooms, limit = BUDGETS[budget]
    inside = {file: path for file, path in files().items() if room_of(file) in rooms}
    counts = {file: lines([path]) for file, path in inside.items()}
    table = "\n".join(f"{n:6}  {file}" for file, n in sorted(counts.items(), key=lambda item: -item[1]))
    total = sum(counts.values())
    assert total <= limit, f"{budget} has {total} lines, {limit} are allowed; take some out\n{table}"


def test_no_file_is_longer_than_one_reads_at_a_time():
    for file, path in files().items():
        limit = 700 if file == "fast/kernels.py" else 400
        length = len(path.read_text(encoding="utf-8").splitlines())
        assert length <= limit, f"{file} has {length} lines, more than {limit}: it holds more than one concept"
    assert lines(files().values()) < 10_000


@pytest.mark.parametrize(
    ("limit", "names"), [(700, ["engine.js"]), (1300, ["page.js", "page.css", "page.html"])], ids=["engine", "page"]
)
def test_the_javascript_of_the_explorer_page_keeps_to_its_budget(limit, names):
    assert lines(PACKAGE / "explain" / name for name in names) <= limit
