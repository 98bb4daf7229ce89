"""The twins of the optimisers: where the result is the same, they move only the rows that a RowGradient names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minilstm import optimizers
from minilstm.arrays import Array, Arrays
from minilstm.fast import kernels
from minilstm.fast.rows import RowGradient
from minilstm.optimizers import SGD, Adam, RMSprop


class FastOptimizer:
    """Makes the steps of an optimiser, whose settings and state stay where they are."""

    # moves p and its slots, in place; g is the gradient of p[index], and that of all other rows is 0
    update_rows: Callable[..., None]  # (p, index, g, *slots)

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer

    def norm(self, grads: Mapping[str, Array | RowGradient]) -> float:
        """Compute the length of all gradients laid end to end."""
        return optimizers.global_norm(g.rows if isinstance(g, RowGradient) else g for g in grads.values())

    def step(self, params: Arrays, grads: Mapping[str, Array | RowGradient], norm: float) -> None:
        """Move every parameter, in place."""
        optimizer = self.optimizer
        optimizer.check(params, {n: params[n] if isinstance(g, RowGradient) else g for n, g in grads.items()})
        scale = optimizer.clip(grads, norm)
        optimizer.iterations += 1
        for name, p in params.items():
            g, slots = grads[name], [optimizer.state[s].setdefault(name, np.zeros_like(p)) for s in optimizer.slots]
            if isinstance(g, RowGradient):
                self.update_rows(p, g.index, g.rows * scale if scale < 1 else g.rows, *slots)
            else:
                optimizer.update(p, g * scale if scale < 1 else g, *slots)


class FastSGD(FastOptimizer):
    """SGD: without momentum only the rows named move; with momentum all do, because of earlier steps."""

    def update_rows(self, p: Array, index: Array, g: Array, *slots: Array) -> None:  # noqa: D102
        (m,), sgd = slots, self.optimizer
        m *= sgd.momentum
        m[index] -= sgd.learning_rate * g
        p += sgd.momentum * m if sgd.nesterov else m
        if sgd.nesterov:
            p[index] -= sgd.learning_rate * g


class FastRMSprop(FastOptimizer):
    """RMSprop: all running means decay, only the rows named move."""

    def update_rows(self, p: Array, index: Array, g: Array, *slots: Array) -> None:  # noqa: D102
        (v,), rms = slots, self.optimizer
        kernels.rmsprop_rows(p, v, index, g, rms.learning_rate, rms.rho, rms.epsilon)


class FastAdam(FastOptimizer):
    """Adam: all rows move, because of earlier steps."""

    def update_rows(self, p: Array, index: Array, g: Array, *slots: Array) -> None:  # noqa: D102
        (m, v), adam = slots, self.optimizer
        m *= adam.beta_1
        m[index] += (1 - adam.beta_1) * g
        v *= adam.beta_2
        v[index] += (1 - adam.beta_2) * g * g
        p -= adam.rate() * m / (v**0.5 + adam.epsilon)


OPTIMIZER_TWINS: dict[type[Any], type[FastOptimizer]] = {SGD: FastSGD, RMSprop: FastRMSprop, Adam: FastAdam}
