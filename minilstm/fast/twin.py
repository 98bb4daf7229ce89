"""The base class of all twins of layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from minilstm.arrays import Arrays, Lengths


class Twin:
    """Computes what a layer computes, in its place: keeps the contract of ``layers/base.py``, but for direct calls.

    Everything that is not slow stays with the layer itself: parameters, masks of dropout, lengths.

    Attributes:
        layer: the layer.
        takes_rows: whether ``forward`` takes UniqueRows too, and ``backward`` then returns them.
    """

    takes_rows = False
    reaches: ClassVar[tuple[tuple[Any, str], ...]] = ()  # methods that the layer calls on its attributes

    def __init__(self, layer: Any, runner: Callable[[Any], Any]) -> None:
        self.layer = layer

    @property
    def name(self) -> str:
        """The layer's."""
        return self.layer.name

    @property
    def params(self) -> Arrays:
        """The layer's."""
        return self.layer.params

    def connect(self, following: Any, stepper: Any) -> None:
        """Take note of the runner that comes next in the plan, and of that of the optimiser."""

    def out_lengths(self, lengths: Lengths) -> Lengths:
        """As the layer's."""
        return self.layer.out_lengths(lengths)


def takes_rows(runner: Any) -> bool:
    """Tell whether a runner is a twin that takes UniqueRows; a layer of your own is given arrays."""
    return isinstance(runner, Twin) and runner.takes_rows
