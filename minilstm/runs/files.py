"""One container for models and checkpoints: a safetensors file of which every byte counts.

safetensors keeps named arrays behind a header of JSON. Reading it runs no code, and other tools open it too. The
header's metadata has one entry, "minilstm", which is JSON again::

    {"sha256": "9f86d081...", "format": 1, "version": "0.1.0", "about": {...}}

The checksum is that of the whole file with 64 zeros in its own place, so one flipped bit anywhere is noticed. It tells
accidents, not attacks: anybody can compute it, and who uses what :func:`read` gives has to check it.

A file is written beside its place, and moved there in one step when all of it is on the disk. Whatever goes wrong, the
file that was there before stays whole. A process killed in between leaves a ``.minilstm-*.tmp`` behind, which nothing
reads and which may be deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from minilstm.arrays import Array, Arrays
from minilstm.data.files import replace_file
from minilstm.version import __version__

FORMAT = 1  # goes up when this version could not read what a later one writes
MARK = rb"{\"sha256\":\""  # what precedes the checksum, as it looks in a string within JSON
ZEROS = b"0" * 64
REMEDY = "expected a file that minilstm saved; take another copy, or save it again"


def write(path: str | os.PathLike[str], tensors: Mapping[str, Array], about: Mapping[str, Any]) -> None:
    """Write arrays and facts about them, in place of what was there. Cost: twice the size of the arrays in memory.

    Args:
        path: the file; where it is a symbolic link, what that points to is replaced.
        tensors: arrays by name, of any shape: floating-point and integers of up to 64 bits, and bool.
        about: what JSON holds: dicts with str keys, lists, str, finite numbers, bool and None.

    Raises:
        OSError: the file cannot be written. The one that was there is whole then.
        TypeError: something in ``about`` that JSON would lose or change.
        ValueError: ``path`` is a folder, an array of another dtype, or more than 100 MB in ``about``.
    """
    path = regular(path)
    entry = {"sha256": ZEROS.decode(), "format": FORMAT, "version": __version__, "about": about}
    try:
        text = json.dumps(entry, allow_nan=False, separators=(",", ":"))
        if json.loads(text)["about"] != about:
            raise TypeError("a tuple, or a key that is not a str")
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(
            f"{path} was not saved: what goes with the arrays, such as model.metadata, must be dicts with str keys, "
            f"lists, str, finite numbers, bool and None, but there is something else: {error}"
        ) from error
    try:
        data = safetensors.numpy.save({name: contiguous(a) for name, a in tensors.items()}, {"minilstm": text})
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} was not saved: safetensors does not take it: {error}") from error
    at = data.index(MARK) + len(MARK)
    try:
        replace_file(path, data[:at] + checksum(data, at) + data[at + 64 :])
    except OSError as error:
        wrong = (
            f"{error.strerror or error}; nothing was saved, what was there is as it was; see that the folder exists, "
            "has room and may be written to, or save elsewhere"
        )
        raise OSError(error.errno, wrong, str(path)) from error


def read(path: str | os.PathLike[str]) -> tuple[Arrays, dict[str, Any]]:
    """Read what :func:`write` wrote: the arrays, bit for bit, and ``about``. Cost: twice the file's size in memory.

    Raises:
        OSError: there is no such file, or it may not be read.
        ValueError: not all of the file is as it was written, or something else or a later version wrote it.
    """
    path = regular(path)
    data = path.read_bytes()
    at = data.find(MARK) + len(MARK)
    if at < len(MARK):
        raise ValueError(f"{path} is not a file of minilstm's, or it is damaged ({len(data)} bytes); {REMEDY}")
    if checksum(data, at) != data[at : at + 64]:
        raise ValueError(f"{path} is damaged: cut off or altered, since its checksum does not fit its bytes; {REMEDY}")
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        entry = json.loads(header["__metadata__"]["minilstm"])
        newer, about = entry["format"] > FORMAT, entry["about"]
        tensors = {} if newer else safetensors.numpy.load(data)
    except (KeyError, TypeError, ValueError, RecursionError, safetensors.SafetensorError) as error:
        raise ValueError(f"{path} is malformed: {type(error).__name__}: {error}; {REMEDY}") from error
    if newer:
        raise ValueError(
            f"{path} has format {entry['format']}, of minilstm {entry.get('version')}, but minilstm "
            f"{__version__} reads no format above {FORMAT}; install a later minilstm"
        )
    if not isinstance(about, dict):
        raise ValueError(f"{path} is malformed: about is a {type(about).__name__}, no dict; {REMEDY}")
    return tensors, about


def regular(path: str | os.PathLike[str]) -> Path:
    """Return the path, or raise a ValueError where it is a folder or a device."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path is {path!r}, expected the name of a file")
    path = Path(path)
    try:
        possible = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise ValueError(f"{str(path)!r} holds a character that no file's name can hold")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is a folder or a device, expected the name of a file")
    return path


def contiguous(array: Array) -> Array:
    """Lay an array out as safetensors takes it for granted: row by row, bytes in the order of this machine."""
    array = np.asarray(array)
    return np.asarray(array, array.dtype.newbyteorder("="), order="C")  # the shape of array, also ()


def checksum(data: bytes, at: int) -> bytes:
    """Compute the SHA-256, in 64 hexadecimal digits, of ``data`` with zeros where they belong, from ``at`` on."""
    digest = hashlib.sha256(data[:at] + ZEROS)
    digest.update(memoryview(data)[at + 64 :])
    return digest.hexdigest().encode()
