"""What each twin was verified against, and whether that is still what you read and what runs.

A twin stands in for the methods of a class, and for everything in the lesson that these reach: functions, methods and
constants, found by following the names that their code uses. ``verified.json`` holds a digest of each. Where one
differs, because you edited the file or put another function in its place, the twin does not run.

A digest is taken of the syntax tree, so comments, docstrings, annotations and layout do not count, and it is the same
in every version of Python. It speaks for the running function only if that is what the file says, so the function's
bytecode is compared with that of the file as well.

    python -m minilstm.fast.verify

runs the tests of the twins, and where they pass, takes all digests again.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.resources
import importlib.util
import json
import sys
from collections.abc import Iterator, Sequence
from types import CodeType, FunctionType, ModuleType
from typing import Any

Roots = Sequence[tuple[Any, str]]
"""Where to begin: a class, or the name of a module, and the name of one of its functions."""

RECORDS = importlib.resources.files(__package__).joinpath("verified.json")
PACKAGE = "minilstm"
NOT_LESSON = tuple(f"{PACKAGE}.{room}" for room in ("fast", "tools", "runs"))
OTHERS = {"numpy", "typing", *sys.stdlib_module_names}  # packages that are not followed
# fields of syntax trees that have no effect on a run, or that only some versions of Python have
IGNORED = ("annotation", "returns", "type_comment", "type_params", "kind", "ctx")
CONSTANTS = (bool, int, float, str, bytes, tuple, list, dict)


def changed(name: str, roots: Roots) -> str | None:
    """Name the first function or constant that is not as the twin ``name`` was verified; None where all are.

    Cost: some 50 ms at the first call, while files are read; then less than 1 ms.
    """
    verified, now = records().get(name, {}), reach(roots)
    different = sorted((key for key in now if now[key] != verified.get(key)), key=lambda key: now[key] != "replaced")
    return next(iter(different or [key for key in verified if key not in now]), None)


@functools.cache
def records() -> dict[str, dict[str, str]]:
    """Read what the twins were verified against: for each twin, digests by name."""
    return json.loads(RECORDS.read_text(encoding="utf-8"))


def reach(roots: Roots) -> dict[str, str]:
    """Find all functions and constants of the lesson that the roots reach: their digests by name."""
    found: dict[str, str] = {}
    for owner, name in roots:
        if isinstance(owner, type):
            follow(f"{owner.__module__}.{owner.__qualname__}.{name}", getattr(owner, name), owner, found)
        else:
            follow(f"{owner}.{name}", getattr(sys.modules[owner], name), None, found)
    return found


def follow(where: str, value: Any, owner: type[Any] | None, found: dict[str, str]) -> None:
    """Add a value, which was found under the name ``where``, and everything it reaches."""
    value = value.fget if isinstance(value, property) else value
    module = getattr(value, "__module__", None) or type(value).__module__
    elsewhere = isinstance(value, ModuleType) or module.partition(".")[0] in OTHERS or module.startswith(NOT_LESSON)
    if elsewhere and not isinstance(value, CONSTANTS):
        return
    if isinstance(value, type):
        follow_class(value, found)
    elif isinstance(value, FunctionType):
        follow_function(where, value, owner, found)
    elif isinstance(value, CONSTANTS):
        key = short(where)
        if key not in found:
            found[key] = hashed(described(value))
            for part in functions_in(value):
                follow(f"{part.__module__}.{part.__qualname__}", part, None, found)
    else:
        found[short(where)] = "replaced"


def follow_class(kind: type[Any], found: dict[str, str]) -> None:
    """Add the methods of a class."""
    for name, value in vars(kind).items():
        function = getattr(value, "__func__", value)  # of a staticmethod
        function = function.fget if isinstance(function, property) else function
        where = f"{kind.__module__}.{kind.__qualname__}.{name}"
        generated = isinstance(function, FunctionType) and function.__code__.co_filename.startswith("<")
        if isinstance(function, FunctionType) and not generated and short(where) not in found:
            follow(where, function, kind, found)


def follow_function(where: str, function: FunctionType, owner: type[Any] | None, found: dict[str, str]) -> None:
    """Add a function and what the names in its code stand for: globals, and methods of its class.

    What each name stands for counts too, so two functions that change places are noticed, and so is another module
    under the name ``np``; and so do the values of its defaults.
    """
    digest, names = known(function.__code__, function.__module__)
    key = short(f"{function.__module__}.{function.__qualname__}") if digest else short(where)
    if key in found:
        return
    found[key] = "replaced"
    if not digest:
        return
    facts = [digest, described([function.__defaults__ or (), function.__kwdefaults__ or {}])]
    for name in names:
        if name in function.__globals__ and not name.startswith("__"):
            value = function.__globals__[name]
            facts.append(f"{name}={getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}")
            facts[-1] += value.__name__ if isinstance(value, ModuleType) else ""
            follow(f"{function.__module__}.{name}", value, None, found)
        if owner is not None and isinstance(getattr(owner, name, None), (FunctionType, property)):
            follow(f"{owner.__module__}.{owner.__qualname__}.{name}", getattr(owner, name), owner, found)
    found[key] = hashed(" ".join(facts))


def short(name: str) -> str:
    """Leave out the name of the package."""
    return name.removeprefix(f"{PACKAGE}.")


def described(value: Any) -> str:
    """Write a constant as text: functions by name, everything else as Python would."""
    if isinstance(value, FunctionType):
        return value.__qualname__
    if isinstance(value, dict):
        return f"{{{', '.join(f'{described(k)}: {described(v)}' for k, v in value.items())}}}"
    return f"({', '.join(map(described, value))})" if isinstance(value, (tuple, list)) else repr(value)


def functions_in(value: Any) -> Iterator[FunctionType]:
    """Find the functions in a table."""
    if isinstance(value, FunctionType):
        yield value
    elif isinstance(value, (dict, tuple, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from functions_in(part)


@functools.cache
def known(code: CodeType, module: str) -> tuple[str, tuple[str, ...]]:
    """Give the digest of a function by its bytecode, and the names that it uses; no digest unless its file has it."""
    codes, digests = read(module)
    return (digests.get(code.co_qualname, "") if placeless(code) in codes else ""), tuple(sorted(names_in(code)))


def names_in(code: CodeType) -> set[str]:
    """Collect the names of globals and attributes that some code uses, with the functions within it."""
    return {name for part in codes_in(code) for name in part.co_names}


def read(module: str) -> tuple[set[CodeType], dict[str, str]]:
    """Read the file of a module: the bytecode of its functions, and their digests by name."""
    spec = importlib.util.find_spec(module) if module.partition(".")[0] == PACKAGE else None
    loader: Any = spec.loader if spec else None
    try:
        source = loader.get_source(module) if hasattr(loader, "get_source") else None
        return parsed(source, loader.get_code(module)) if source else (set(), {})
    except (ImportError, OSError, SyntaxError):  # deleted, or being written just now: nothing can be verified
        return set(), {}


@functools.cache
def parsed(source: str, code: CodeType) -> tuple[set[CodeType], dict[str, str]]:
    """Take the source of a module and its bytecode apart."""
    texts: dict[str, str] = {}
    for name, node in functions_of(ast.parse(source)):
        texts[name] = texts.get(name, "") + canonical(node)  # the getter and the setter of a property share a name
    return set(map(placeless, codes_in(code))), {name: hashed(text) for name, text in texts.items()}


def placeless(code: CodeType) -> CodeType:
    """Leave out on which lines the code is: a comment above it changes nothing."""
    parts = tuple(placeless(part) if isinstance(part, CodeType) else part for part in code.co_consts)
    return code.replace(co_firstlineno=1, co_linetable=b"", co_filename="", co_consts=parts)


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """Find all functions within some code."""
    yield code
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from codes_in(part)


def functions_of(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Find all functions below a node, by their qualified names."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if not isinstance(child, ast.ClassDef):
                yield prefix + child.name, child
            inner = "." if isinstance(child, ast.ClassDef) else ".<locals>."
            yield from functions_of(child, prefix + child.name + inner)


def canonical(node: Any) -> str:
    """Write a syntax tree as text, the same in every version of Python, without what has no effect on a run."""
    if isinstance(node, list):
        return f"[{','.join(canonical(part) for part in node if not is_text(part))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [(name, value) for name, value in ast.iter_fields(node) if name not in IGNORED and value not in (None, [])]
    return f"{type(node).__name__}({','.join(f'{name}={canonical(value)}' for name, value in fields)})"


def is_text(node: Any) -> bool:
    """Tell whether a statement is a text alone, such as a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def hashed(text: str) -> str:
    """Shorten a text to 12 digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
