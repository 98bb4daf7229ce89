"""What runs: the one place that decides between a layer as it is written and its twin."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

from minilstm.fast import enabled, kernels, verified
from minilstm.fast.embedding import FastEmbedding
from minilstm.fast.lstm import FastBidirectional, FastLSTM
from minilstm.fast.optimizers import OPTIMIZER_TWINS, FastOptimizer
from minilstm.fast.threads import threads
from minilstm.fast.twin import Twin
from minilstm.fast.windows import FastConv1D, FastGlobalMaxPooling1D, FastMaxPooling1D
from minilstm.layers import LSTM, Bidirectional, Conv1D, Embedding, GlobalMaxPooling1D, MaxPooling1D
from minilstm.layers.base import Layer

TWINS: dict[type[Layer], type[Twin]] = {
    Embedding: FastEmbedding,
    LSTM: FastLSTM,
    Bidirectional: FastBidirectional,
    Conv1D: FastConv1D,
    MaxPooling1D: FastMaxPooling1D,
    GlobalMaxPooling1D: FastGlobalMaxPooling1D,
}
"""The layers that have a twin. The others are fast as they are written."""

ROOTS: dict[str, verified.Roots] = {
    **{
        kind.__name__: [(kind, "forward"), (kind, "backward"), (kind, "out_lengths"), *twin.reaches]
        for kind, twin in TWINS.items()
    },
    **{kind.__name__: [(kind, "step"), (kind, "norm"), (kind, "update")] for kind in OPTIMIZER_TWINS},
    "number_words": [("minilstm.data.text", "number_words")],
}
"""What each twin stands in for; :mod:`minilstm.fast.verified` finds what that reaches."""


def choose(layers: Sequence[Layer], optimizer: Any = None) -> tuple[list[Any], Any, Callable[[], Any]]:
    """Choose a runner for each layer and for the optimiser, and what maps a function over the shards of a batch."""
    runners = [runner(layer) for layer in layers]
    stepper = optimizer_runner(optimizer)
    for twin, following in zip(runners, [*runners[1:], None], strict=True):
        if isinstance(twin, Twin):
            twin.connect(following, stepper)
    parallel = any(isinstance(twin, Twin) for twin in runners)  # the rest stays where a debugger sees it
    return runners, stepper, threads if parallel else lambda: contextlib.nullcontext(map)


def runner(layer: Layer) -> Any:
    """Give the twin of a layer, or the layer itself where it has none, or anything of it is not as it was verified.

    It must be of the very class that was verified: a subclass is somebody's own layer.
    """
    twin = TWINS.get(type(layer))
    if twin is None or not as_verified(type(layer).__name__, layer):
        return layer
    helpers = {owner for owner, _ in twin.reaches}
    if any(isinstance(part, kind) and type(part) is not kind for part in vars(layer).values() for kind in helpers):
        return layer  # an attribute of the layer is of a class of somebody's own
    return twin(layer, runner)


def optimizer_runner(optimizer: Any) -> Any:
    """Give the twin of an optimiser, or the optimiser itself."""
    twin: type[FastOptimizer] | None = OPTIMIZER_TWINS.get(type(optimizer))
    return optimizer if twin is None or not as_verified(type(optimizer).__name__, optimizer) else twin(optimizer)


def function_runner(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the kernel of a function, or the function itself."""
    return getattr(kernels, name) if as_verified(name) else function


def as_verified(name: str, instance: Any = None) -> bool:
    """Tell whether the textbook is what the twin was verified against; where it is not, say so once."""
    if not enabled():
        return False
    methods = [key for key in getattr(instance, "__dict__", ()) if callable(getattr(type(instance), key, None))]
    changed = f"{name}.{methods[0]}" if methods else verified.changed(name, ROOTS[name])
    if changed:
        say_once(changed, name)
    return not changed


@functools.cache
def say_once(changed: str, name: str) -> None:
    """Tell the person at the keyboard that what they edited is what runs."""
    print(
        f"minilstm: {changed} is not as its fast twin was verified, so {name} runs as it is written, in plain NumPy; "
        "check its gradients with python -m minilstm gradcheck",
        file=sys.stderr,
        flush=True,
    )
