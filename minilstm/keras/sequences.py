"""Keras's ``pad_sequences``: sequences of any length become the rows of one array."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minilstm.arrays import Array
from minilstm.tools.convert import as_array, as_sequence
from minilstm.tools.validate import check_choice, check_positive


def pad_sequences(
    sequences: Sequence[Sequence[float]],
    maxlen: int | None = None,
    dtype: DTypeLike = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float = 0,
) -> NDArray[Any]:
    """Put each of N sequences in a row of an array (N, maxlen) of ``dtype``, truncated or padded with ``value``.

    ``maxlen=None`` takes the length of the longest. ``padding="pre"`` pads before the sequence, so that an LSTM ends
    on a word, "post" after it. ``truncating="pre"`` removes the start of a long sequence, "post" its end.

    Raises:
        ValueError: ``maxlen`` is less than 1, ``padding`` or ``truncating`` is neither "pre" nor "post", or a number
            does not fit ``dtype``.
        TypeError: a sequence is text or a single number.
    """
    check_choice("padding", padding, "pre", "post")
    check_choice("truncating", truncating, "pre", "post")
    if maxlen is not None:
        check_positive("pad_sequences", maxlen=maxlen)
    if not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"value must be a number, got {value!r:.40}")
    rows = [_numbers(n, sequence) for n, sequence in enumerate(as_sequence("sequences", sequences))]
    length = max(map(len, rows), default=0) if maxlen is None else maxlen
    try:
        info = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else np.finfo(dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(f"dtype is {dtype!r:.40}, expected an integer or floating-point type") from error
    integer = info if isinstance(info, np.iinfo) else None
    if integer and (not integer.min <= value <= integer.max or value != int(value)):
        raise ValueError(f"value={value!r} is not a number of {integer.dtype}: give a dtype")
    padded = np.full((len(rows), length), value, dtype)  # (N, maxlen)
    for row, sequence in zip(padded, rows, strict=True):
        kept = sequence[-length:] if truncating == "pre" else sequence[:length]
        if integer and kept.size and not (integer.min <= kept.min() <= kept.max() <= integer.max):
            span = f"{kept.min()} to {kept.max()}"
            raise ValueError(f"sequences range from {span}, too far for {integer.dtype}: give a dtype")
        if integer and (kept != np.floor(kept)).any():
            raise ValueError(f"sequences hold fractions, which {integer.dtype} would truncate: give dtype='float32'")
        if padding == "pre":
            row[length - len(kept) :] = kept
        else:
            row[: len(kept)] = kept
    return padded


def _numbers(n: int, sequence: Any) -> Array:
    """Convert sequence number n to an array, or raise an error naming it."""
    if isinstance(sequence, (str, Mapping, Set)) or not hasattr(sequence, "__len__"):
        remedy = "pass a list of lists of ids, as Tokenizer.texts_to_sequences returns"
        raise TypeError(f"sequences[{n}] must be a list of numbers, got {sequence!r:.40}: {remedy}")
    row = as_array(f"sequences[{n}]", sequence)
    if row.ndim != 1:
        raise ValueError(f"sequences[{n}] has shape {row.shape}, expected a list of numbers")
    if row.size and row.dtype.kind not in "fiub":
        raise TypeError(f"sequences must hold numbers, got {row.dtype}: see Tokenizer.texts_to_sequences")
    return row
