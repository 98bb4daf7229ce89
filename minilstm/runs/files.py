"""The container for models and checkpoints: a safetensors file, all of it covered by a checksum.

A safetensors file is a header of JSON followed by named arrays. Reading it runs no code, and other tools open it too.
The header's metadata has one entry, "minilstm", which is JSON again::

    {"sha256": "9f86d081...", "format": 1, "version": "0.1.0", "about": {...}}

The checksum is that of the whole file with 64 zeros in place of the checksum, so one flipped bit anywhere is noticed.
It detects accidents, not attacks: anybody can compute it, so callers must check what :func:`read` returns.

A file is written under another name in the same folder and moved into place once all of it is on the disk. Whatever
goes wrong, the earlier file stays whole. A process that is killed in between leaves a ``.minilstm-*.tmp``, which the
next save in that folder removes.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.numpy

from minilstm.arrays import Array, Arrays
from minilstm.data.files import replace_file
from minilstm.data.paths import regular
from minilstm.version import __version__

FORMAT = 1  # goes up when this version could not read what a later one writes
MARK = rb"{\"sha256\":\""  # what precedes the checksum, as it looks in a string within JSON
ZEROS = b"0" * 64
REMEDY = "expected a file that minilstm saved; take another copy, or save it again"
FOREIGN = (".h5", ".hdf5", ".keras", ".npz", ".onnx", ".pkl", ".pickle", ".pt", ".pth")


def write(path: str | os.PathLike[str], tensors: Mapping[str, Array], about: Mapping[str, Any]) -> None:
    """Write arrays and facts about them, replacing an earlier file. Cost: twice the size of the arrays in memory.

    Args:
        path: the file; the target of a symbolic link is replaced, not the link.
        tensors: arrays by name, of any shape: floats and integers of up to 64 bits, and bool.
        about: what JSON can hold: dicts with str keys, lists, str, finite numbers, bool and None.

    Raises:
        OSError: the file cannot be written. The earlier one stays whole.
        TypeError: something in ``about`` that JSON would lose or change.
        ValueError: ``path`` is a folder, an array has another dtype, or ``about`` exceeds 100 MB.
    """
    path = regular(path)
    if path.suffix.lower() in FOREIGN:
        message = f"{path} is written as a safetensors file, not as its name says; end the name in .safetensors"
        warnings.warn(message, stacklevel=4)  # at the call of model.save
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
    replace_file(path, data[:at] + checksum(data, at) + data[at + 64 :])


def read(path: str | os.PathLike[str]) -> tuple[Arrays, dict[str, Any]]:
    """Read what :func:`write` wrote: the arrays, bit for bit, and ``about``. Cost: twice the file's size in memory.

    Raises:
        OSError: the file does not exist or may not be read.
        ValueError: the file is not exactly as it was written, or something else or a later version wrote it.
    """
    path = regular(path)
    with path.open("rb") as file:  # which may be of any size, so its beginning is read first
        at = file.read(100).find(MARK) + len(MARK)
        if at < len(MARK):
            size = f"{path.stat().st_size} bytes"
            raise ValueError(f"{path} is not a file of minilstm's, or it is damaged ({size}); {REMEDY}")
        file.seek(0)
        data = file.read()
    if checksum(data, at) != data[at : at + 64]:
        raise ValueError(f"{path} is damaged: cut off or altered, since its checksum does not match; {REMEDY}")
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
        raise ValueError(f"{path} is malformed: about is a {type(about).__name__}, not a dict; {REMEDY}")
    return tensors, about


def contiguous(array: Array) -> Array:
    """Lay an array out as safetensors expects it: row by row, in the byte order of this machine."""
    array = np.asarray(array)
    return np.asarray(array, array.dtype.newbyteorder("="), order="C")  # the shape of array, also ()


def checksum(data: bytes, at: int) -> bytes:
    """Compute the SHA-256, as 64 hexadecimal digits, of ``data`` with its 64 bytes from ``at`` on read as zeros."""
    digest = hashlib.sha256(data[:at] + ZEROS)
    digest.update(memoryview(data)[at + 64 :])
    return digest.hexdigest().encode()
