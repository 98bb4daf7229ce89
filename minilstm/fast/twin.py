"""The base class of all twins of layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Cache = tuple[Any, ...]  # what backward needs


class Twin:
    """Computes what a layer computes, in its place; parameters, masks of dropout and lengths stay with the layer.

    Attributes:
        layer: the layer.
        takes_rows: whether ``forward`` takes UniqueRows too, and ``backward`` then returns them.
    """

    takes_rows = False

    def __init__(self, layer: Any, runner: Callable[[Any], Any]) -> None:
        self.layer = layer
        self.name, self.out_lengths = layer.name, layer.out_lengths

    def connect(self, following: Any, stepper: Any) -> None:
        """Take note of the runner that comes next in the plan, and of that of the optimiser."""


def takes_rows(runner: Any) -> bool:
    """Tell whether a runner is a twin that takes UniqueRows; a layer of your own is given arrays."""
    return isinstance(runner, Twin) and runner.takes_rows
