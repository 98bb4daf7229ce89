"""Tables and JSON become rows: a text, its label, and where they are."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minilstm.arrays import Array
from minilstm.data.files import replace_file
from minilstm.data.labels import shorten, sort_labels
from minilstm.data.reading import lines, unix_lines

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
LONGEST_FIELD = 2**31 - 1  # characters; Python's own limit for a field of a table is 131,072


class Row(NamedTuple):
    """A text, its label, and where they are, such as "reviews.csv:17"."""

    text: str
    label: str  # "" where labels are not wanted
    where: str


def read_table(path: str, text: str, columns: list[str], delimiter: str | None) -> list[Row]:
    """Read a table: a head, then a row for each text. ``columns`` are those of the text and, if wanted, the label."""
    skipped_lines = 0
    if sep := re.match("sep=(.)\n", text):  # Excel's way to name the delimiter
        text, delimiter, skipped_lines = text[sep.end() :], delimiter or sep[1], 1
    limit = csv.field_size_limit(LONGEST_FIELD)
    try:
        delimiter, spaces = _read_head(text, columns, delimiter)
        reader = csv.reader(lines(text), delimiter=delimiter, skipinitialspace=spaces, strict=True)
        return list(_rows(path, reader, skipped_lines, columns, DELIMITERS.get(delimiter, repr(delimiter))))
    finally:
        csv.field_size_limit(limit)


def _read_head(text: str, columns: list[str], delimiter: str | None) -> tuple[str, bool]:
    """Choose the delimiter with which the head has the columns, and tell whether a space follows it there."""
    heads = {}
    for candidate in [delimiter] if delimiter else DELIMITERS:
        heads[candidate] = next(filter(None, csv.reader(lines(text), delimiter=candidate)), [])
        if set(columns) <= {name.strip(' "') for name in heads[candidate]}:
            break
    else:
        candidate = max(heads, key=lambda candidate: len(heads[candidate]))
    return candidate, any(name.startswith(" ") for name in heads[candidate][1:])


def _rows(path: str, reader: Any, skipped_lines: int, columns: list[str], delimiter: str) -> Iterator[Row]:
    head: list[str] = []
    line = 1 + skipped_lines  # where the row begins, while reader.line_num is where it ends
    try:
        for fields in reader:
            where, line = f"{path}:{line}", reader.line_num + 1 + skipped_lines
            if not fields:
                continue
            if not head:
                head = [name.strip() for name in fields]
                at = [_find(name, head, where) for name in columns]
                continue
            if len(fields) != len(head):
                remedy = f"put a field that contains a {delimiter} in double quotes, with no space before them"
                raise ValueError(f"{where}: {len(fields)} fields, expected {len(head)} as in the head; {remedy}")
            yield Row(fields[at[0]], fields[at[1]] if len(at) > 1 else "", where)
    except csv.Error as error:
        raise ValueError(
            f"{path}:{line}: the row that begins here cannot be read ({error}); look for a quote that is not closed, "
            "or not doubled inside a quoted text"
        ) from error


def _find(column: str, head: list[str], where: str) -> int:
    if head.count(column) != 1:
        names = shorten([repr(name[:40]) for name in head])
        raise ValueError(
            f"{where}: {head.count(column) or 'no'} columns are named {column!r}, expected one in the head, the first "
            f"line, which has {names}; add a head if there is none, or choose columns with --text-column, "
            "--label-column and --delimiter"
        )
    return head.index(column)


def read_json(path: str, text: str, columns: list[str]) -> Iterator[Row]:
    """Read an object on each line, or a list of objects."""
    if text.lstrip()[:1] == "[":
        yield from (_take(thing, f"{path}, item {n}", columns) for n, thing in enumerate(_parse(text, path), start=1))
        return
    for n, line in enumerate(lines(text), start=1):
        if line.strip():
            yield _take(_parse(line, f"{path}:{n}"), f"{path}:{n}", columns)


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not JSON ({error}), expected one object on each line, or a list of them") from error


def _take(thing: Any, where: str, columns: list[str]) -> Row:
    """Take text and label out of a JSON object."""
    if not isinstance(thing, dict):
        raise ValueError(f"{where}: a JSON {type(thing).__name__}, expected an object such as {{'text': ...}}")
    row = []
    for kind, key in zip(("text", "label"), columns, strict=False):
        if key not in thing:
            names = shorten([repr(name[:40]) for name in thing]) or "none"
            remedy = "choose keys with --text-column and --label-column"
            raise ValueError(f"{where}: expected {key!r} with a {kind} among its keys, which are {names}; {remedy}")
        value = thing[key]
        if not isinstance(value, str | int if kind == "label" else str):
            wanted = "a string, an integer, true or false" if kind == "label" else "a string"
            raise ValueError(f"{where}: {key!r} is {json.dumps(value):.40}, expected {wanted}, or leave the object out")
        row.append(unix_lines(value) if isinstance(value, str) else json.dumps(value))
    return Row(row[0], row[1] if len(row) > 1 else "", where)


def write_answers(path: Path, labels: list[str], answers: list[dict[str, Any]]) -> None:
    """Write texts and predictions to a ``.jsonl`` file, or to a ``.csv`` file with a column for each label."""
    out = io.StringIO()
    if path.suffix == ".jsonl":
        out.writelines(json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers)
    else:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(["text", "label", "probability", *(f"p({label})" for label in labels)])
        table.writerows([*list(answer.values())[:3], *answer["probabilities"].values()] for answer in answers)
    replace_file(path, out.getvalue().encode("utf-8", "backslashreplace"))


def choose_labels(rows: Sequence[Row]) -> list[str]:
    """List the labels in order; raise a ValueError if there are too few labels, or too few texts of one."""
    counts = Counter(row.label for row in rows)
    for row in rows:
        if counts[row.label] == 1:
            raise ValueError(
                f"{row.where}: {row.label!r} occurs only once, expected at least 2 texts of each label, one for "
                "training and one for validation; is it misspelt?"
            )
    if len(counts) < 2:
        raise ValueError(f"all {len(rows)} texts are labelled {rows[0].label!r}, expected at least 2 labels")
    return sort_labels(counts)


def class_numbers(rows: Sequence[Row], labels: list[str]) -> Array:
    """Turn the labels of N rows into class numbers (N,); raise a ValueError if one is not among ``labels``."""
    number = {label: k for k, label in enumerate(labels)}
    for row in rows:
        if row.label not in number:
            known = shorten([repr(label) for label in labels])
            raise ValueError(f"{row.where}: label {row.label!r} is not one of the model's, which are {known}")
    return np.array([number[row.label] for row in rows])  # (N,)
