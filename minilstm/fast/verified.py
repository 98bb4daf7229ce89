"""What each twin was verified against, and whether that is still what you read and what runs.

A twin replaces the methods of a class, and everything in the lesson that these reach: functions, methods and constants,
found by following the names that their code uses. ``verified.json``, written by ``verify.py``, holds a digest of each.
Where one differs, because you edited the file or put another function in its place, the twin does not run.

A digest is taken of the syntax tree, so comments, docstrings, annotations and layout do not count, and it is the same
in every version of Python. It represents the running function only if that is what the file says, so the function's
bytecode is compared with that of the file as well.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.resources
import importlib.util
import json
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

Roots = list[tuple[Any, str]]
"""Where to begin: a class or the name of a module, and the name of something in it."""

RECORDS = importlib.resources.files(__package__).joinpath("verified.json")
PACKAGE = "minilstm"
NOT_LESSON = tuple(f"{PACKAGE}.{room}" for room in ("fast", "tools", "runs"))
OTHERS = {"numpy", "typing", *sys.stdlib_module_names}  # packages that are not followed
CONSTANTS = (bool, int, float, str, bytes, tuple, list, dict)
# fields of syntax trees that have no effect on a run, or that only some versions of Python have
IGNORED = ("annotation", "returns", "type_comment", "type_params", "kind", "ctx")


def changed(name: str, roots: Roots) -> str | None:
    """Name the first function or constant that is not as the twin ``name`` was verified; None where all are."""
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
    """Add a value, found under the name ``where``, as a method of ``owner`` if it is one, and everything it reaches.

    What each name in a function refers to counts too, so two functions that swap places are noticed, and so is
    another module under the name ``np``; and so do the values of its defaults.
    """
    value = unwrapped(value)
    module = getattr(value, "__module__", None) or type(value).__module__
    if isinstance(value, CONSTANTS):
        key = where.removeprefix(f"{PACKAGE}.")
        if key not in found:
            found[key] = "replaced"
            found[key] = hashed(described(value, found))
    elif isinstance(value, ModuleType) or module.partition(".")[0] in OTHERS or module.startswith(NOT_LESSON):
        return
    elif isinstance(value, type):
        for name, method in vars(value).items():
            function = unwrapped(method)
            if isinstance(function, FunctionType) and not function.__code__.co_filename.startswith("<"):
                follow(f"{module}.{value.__qualname__}.{name}", function, value, found)
    else:
        digest, names = known(value.__code__, module) if isinstance(value, FunctionType) else ("", ())
        key = (f"{module}.{value.__qualname__}" if digest else where).removeprefix(f"{PACKAGE}.")
        if key in found:
            return
        found[key] = "replaced"
        if digest:
            facts = [digest, described([value.__defaults__, value.__kwdefaults__], found)]
            for name in names:
                if name in value.__globals__ and not name.startswith("__"):
                    other = value.__globals__[name]
                    facts.append(f"{name}={getattr(other, '__module__', '')}.{getattr(other, '__qualname__', '')}")
                    facts.append(other.__name__ if isinstance(other, ModuleType) else "")
                    follow(f"{module}.{name}", other, None, found)
                if owner is not None and isinstance(getattr(owner, name, None), (FunctionType, property)):
                    follow(f"{owner.__module__}.{owner.__qualname__}.{name}", getattr(owner, name), owner, found)
            found[key] = hashed(" ".join(facts))


def unwrapped(value: Any) -> Any:
    """Return the function in a property or a staticmethod, or the value itself."""
    return value.fget if isinstance(value, property) else getattr(value, "__func__", value)


def described(value: Any, found: dict[str, str]) -> str:
    """Write a constant as text, the functions in it by name, and follow these."""
    if isinstance(value, FunctionType):
        follow(f"{value.__module__}.{value.__qualname__}", value, None, found)
        return value.__qualname__
    if isinstance(value, (dict, tuple, list)):
        parts = value.items() if isinstance(value, dict) else value
        return f"({', '.join(described(part, found) for part in parts)})"
    return repr(value)


@functools.cache
def known(code: CodeType, module: str) -> tuple[str, tuple[str, ...]]:
    """Return the digest of a function, empty unless the module's file has its bytecode, and the names that it uses."""
    codes: set[CodeType] = set()
    digests: dict[str, str] = {}
    with contextlib.suppress(ImportError, OSError, SyntaxError):  # deleted, or being written just now
        if module.partition(".")[0] == PACKAGE and (spec := importlib.util.find_spec(module)):
            loader: Any = spec.loader
            codes, digests = parsed(loader.get_source(module), loader.get_code(module))
    names = {name for part in codes_in(code) for name in part.co_names}
    return (digests.get(code.co_qualname, "") if placeless(code) in codes else ""), tuple(sorted(names))


@functools.cache
def parsed(source: str, code: CodeType) -> tuple[set[CodeType], dict[str, str]]:
    """Return the bytecode of all functions of a module, and their digests by name."""
    texts: dict[str, str] = {}
    for node in ast.parse(source).body:
        for function in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(function, ast.FunctionDef):
                name = f"{node.name}.{function.name}" if isinstance(node, ast.ClassDef) else function.name
                texts[name] = texts.get(name, "") + canonical(function)  # a property's getter and setter share a name
    return set(map(placeless, codes_in(code))), {name: hashed(text) for name, text in texts.items()}


def placeless(code: CodeType) -> CodeType:
    """Leave out on which lines the code is: a comment above it changes nothing."""
    parts = tuple(placeless(part) if isinstance(part, CodeType) else part for part in code.co_consts)
    return code.replace(co_firstlineno=1, co_linetable=b"", co_filename="", co_consts=parts)


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """Find all functions within some code, and the code itself."""
    yield code
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from codes_in(part)


def canonical(node: Any) -> str:
    """Write a syntax tree as text, the same in every version of Python, without what has no effect on a run."""
    if isinstance(node, list):
        kept = (part for part in node if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)))
        return f"[{','.join(map(canonical, kept))}]"  # a constant alone is a docstring
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [(name, value) for name, value in ast.iter_fields(node) if name not in IGNORED and value not in (None, [])]
    return f"{type(node).__name__}({','.join(f'{name}={canonical(value)}' for name, value in fields)})"


def hashed(text: str) -> str:
    """Shorten a text to 12 digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
