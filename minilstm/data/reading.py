"""Files as bytes and as text: compressed or not, in any encoding, with the line ends of any system."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

COMPRESSED: dict[re.Pattern[bytes], Callable[[IO[bytes]], Any]] = {
    re.compile(rb"\x1f\x8b"): gzip.open,
    re.compile(rb"BZh[1-9]1AY&SY"): bz2.open,
    re.compile(rb"\xfd7zXZ\0"): lzma.open,
}
"""How the files of three formats begin, and what decompresses them."""

DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""What reading a damaged compressed file raises; an OSError then has no ``errno``."""


def decompressed(file: IO[bytes]) -> IO[bytes]:
    """Return a file that reads the content of ``file``, which is at its beginning: itself, unless it is compressed."""
    head = file.read(10)
    file.seek(0)
    return next((opener(file) for mark, opener in COMPRESSED.items() if mark.match(head)), file)


def unpack(path: str, data: bytes) -> tuple[str, bytes]:
    """Decompress the content of a file: the ending of its name, without that of the compression, and the bytes.

    Raises:
        ValueError: it is damaged, or a zip archive that does not hold exactly one file.
    """
    name = re.sub(r"\.(gz|bz2|xz)$", "", path.lower())
    try:
        if name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                members = [m for m in archive.namelist() if not m.endswith("/") and not hidden(Path(m))]
                if len(members) != 1:
                    raise ValueError(f"{path} holds {len(members)} files, expected one: unpack it and pass the folder")
                name, data = members[0].lower(), archive.read(members[0])
        elif any(mark.match(data) for mark in COMPRESSED):
            data = decompressed(io.BytesIO(data)).read()
    except (*DAMAGED, RuntimeError) as error:  # the last for a password
        raise ValueError(f"{path} cannot be decompressed: {error}") from error
    return Path(name).suffix, data


def hidden(path: Path) -> bool:
    """Tell whether a path is hidden, or one of those that macOS adds to archives."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def decode(path: str, data: bytes, encoding: str = "utf-8") -> str:
    r"""Decode the content of a text file, with or without a byte order mark; every line ends in \n then.

    Raises:
        ValueError: the encoding is unknown, or not that of the file, or the file is not text.
    """
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1  # in what follows the byte order mark
        wrong = f"byte 0x{error.object[error.start]:02x} is not {encoding.upper()}"
        remedy = "save the file as UTF-8, or give its encoding, such as --encoding cp1252 or utf-16"
        raise ValueError(f"{path}:{line}: {wrong}; {remedy}") from error
    except (LookupError, ValueError) as error:  # the latter for encodings of anything but files, such as punycode
        raise ValueError(f"encoding {encoding!r:.60} is unknown; try 'utf-8', 'cp1252' or 'utf-16'") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        remedy = "save the file as UTF-8, or give its encoding, such as --encoding utf-16-le"
        raise ValueError(f"{path}:{line}: a NUL byte, so this is not text, or it is UTF-16; {remedy}")
    return unix_lines(text)


def lines(text: str) -> Iterator[str]:
    r"""Yield the lines of a text, each with its \n, without a copy of the whole text."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def unix_lines(text: str) -> str:
    r"""End every line in \n, so that no \r becomes part of a word."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
