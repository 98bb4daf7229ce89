"""The types that the layers pass around, by name."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Arrays: TypeAlias = dict[str, Array]
Lengths: TypeAlias = npt.NDArray[np.int64] | None
"""The number of steps of each row of a batch, (B,); None where every row is full."""
Rng: TypeAlias = np.random.Generator | None
Shape: TypeAlias = tuple[int | None, ...]
"""The shape of one sample, without the batch axis; None where it varies: ``(None, D)``, ``(H,)``."""
