"""What runs: the one place that decides between a layer as it is written and its twin."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from minilstm.fast import enabled, kernels, verified
from minilstm.fast.compiled import say_once
from minilstm.fast.embedding import FastEmbedding
from minilstm.fast.lstm import FastBidirectional, FastLSTM
from minilstm.fast.optimizers import OPTIMIZER_TWINS
from minilstm.fast.threads import threads
from minilstm.fast.twin import Twin
from minilstm.fast.windows import FastConv1D, FastGlobalMaxPooling1D, FastMaxPooling1D
from minilstm.layers import LSTM, Bidirectional, Conv1D, Embedding, GlobalMaxPooling1D, MaxPooling1D
from minilstm.layers.base import Layer
from minilstm.layers.windows import Windows

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
    **{kind.__name__: [(kind, "forward"), (kind, "backward"), (kind, "out_lengths")] for kind in TWINS},
    **{kind.__name__: [(kind, "step"), (kind, "norm"), (kind, "update")] for kind in OPTIMIZER_TWINS},
    "number_words": [("minilstm.data.text", "number_words")],
}
"""What each twin replaces; :mod:`minilstm.fast.verified` finds what that reaches."""
for kind in (Conv1D, MaxPooling1D):  # they reach their windows through ``self``, where the names in code do not lead
    ROOTS[kind.__name__].append(("minilstm.layers.windows", "Windows"))


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
    """Return the twin of a layer, or the layer itself where it has none, or where anything was edited.

    The layer, and its windows if it has any, must be of the very class that was verified, not of a subclass.
    """
    twin = TWINS.get(type(layer))
    own_windows = type(getattr(layer, "windows", None)) not in (Windows, type(None))
    return layer if twin is None or own_windows or edited(type(layer).__name__, layer) else twin(layer, runner)


def optimizer_runner(optimizer: Any) -> Any:
    """Return the twin of an optimiser, or the optimiser itself."""
    twin = OPTIMIZER_TWINS.get(type(optimizer))
    return optimizer if twin is None or edited(type(optimizer).__name__, optimizer) else twin(optimizer)


def function_runner(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the kernel of a function, or the function itself."""
    return function if edited(name) else getattr(kernels, name)


def edited(name: str, instance: Any = None) -> bool:
    """Tell whether the textbook is not what the twin was verified against, and say so once; true if twins are off."""
    if not enabled():
        return True
    own = [f"{name}.{key}" for key in getattr(instance, "__dict__", ()) if callable(getattr(type(instance), key, None))]
    changed = next(iter(own), None) or verified.changed(name, ROOTS[name])
    if changed:
        say_once(
            f"{changed} is not as its fast twin was verified, so {name} runs as it is written, in plain NumPy; "
            "check its gradients with python -m minilstm gradcheck"
        )
    return bool(changed)
