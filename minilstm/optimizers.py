"""Optimisers: how a gradient g becomes a step of the parameter p. η is the learning rate.

    (1) SGD      m ← μ m - η g;  p ← p + m, or with Nesterov's look ahead p ← p + μ m - η g
    (2) RMSprop  v ← ρ v + (1 - ρ) g²;  p ← p - η g / sqrt(v + ε)
    (3) Adam     m ← β₁ m + (1 - β₁) g,  v ← β₂ v + (1 - β₂) g²,
                 p ← p - η_t m / (sqrt(v) + ε)  with  η_t = η sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ) at step t

Sources: Sutskever et al. 2013 (1), Tieleman & Hinton 2012, lecture 6e (2), Kingma & Ba 2015, end of section 2 (3).
Defaults and the places of ε are Keras's.

**Clipping** (Pascanu, Mikolov & Bengio 2013): an LSTM's gradient can be huge for a single batch. If the norm of
all gradients together is above ``global_clipnorm``, all are scaled down to it, which keeps their direction.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from minilstm import kernels
from minilstm.layer import Array, Arrays
from minilstm.tools.checks import by_name, check_arrays, check_number, check_same
from minilstm.words import RowGradient

ALL = np.s_[...]  # as an index: every row


class Optimizer:
    """Base of all optimisers.

    Args:
        learning_rate: η, the size of a step.
        global_clipnorm: the largest norm that the gradient may have, or None for no limit.

    Attributes:
        iterations: t, how many steps were made.
        state: what is carried from step to step, such as ``{"v": {"lstm.W": ..., ...}}``.

    Raises:
        ValueError: η or ``global_clipnorm`` not above 0.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, learning_rate: float, global_clipnorm: float | None = None) -> None:
        self.learning_rate = check_number("learning_rate", learning_rate)
        self.global_clipnorm = None if global_clipnorm is None else check_number("global_clipnorm", global_clipnorm)
        self.iterations = 0
        self.state: dict[str, Arrays] = {slot: {} for slot in self.slots}

    def fresh(self) -> Optimizer:
        """Copy the settings without the state, so that two models never share one."""
        other = copy.copy(self)
        other.iterations, other.state = 0, {slot: {} for slot in self.slots}
        return other

    def step(self, params: Arrays, grads: Mapping[str, Array | RowGradient], norm: float | None = None) -> None:
        """Move every parameter, in place, by its gradient of the same name and shape, or a RowGradient.

        ``norm`` is the :func:`global_norm` of ``grads`` where it is known already.
        """
        check_same("grads", params, grads)
        split: dict[str, tuple[Any, Array]] = {}  # each gradient, and the rows that it is for
        for name, p in params.items():
            g = grads[name]
            at, g = g if isinstance(g, RowGradient) else (ALL, g)
            if p.dtype.kind not in "fc":
                raise TypeError(f"{name} is {p.dtype}, expected floating-point numbers; convert it with astype")
            check_arrays("gradients", p.dtype, **{name: (g, p.shape if at is ALL else (len(at), *p.shape[1:]))})
            split[name] = at, g
        scale = 1.0
        if self.global_clipnorm is not None:
            norm = global_norm(grads.values()) if norm is None else norm
            scale = min(1.0, self.global_clipnorm / max(norm, 1e-30))
        self.iterations += 1
        for name, p in params.items():
            for slot in self.slots:
                self.state[slot].setdefault(name, np.zeros_like(p))
            at, g = split[name]
            self.update(p, at, g * scale if scale < 1 else g, *(self.state[slot][name] for slot in self.slots))

    def update(self, p: Array, at: Any, g: Array, *slots: Array) -> None:
        """Move p and the slots, in place; g is the gradient of p[at], and that of all other rows is 0."""
        raise NotImplementedError


def global_norm(grads: Iterable[Array | RowGradient]) -> float:
    """Compute the length of all gradients laid end to end; where a sum overflows in their dtype, in float64."""
    total = 0.0
    for g in (g.rows if isinstance(g, RowGradient) else g for g in grads):
        square = float(np.vdot(g, g))
        total += square if math.isfinite(square) else float(np.sum(np.square(g, dtype=np.float64)))
    return math.sqrt(total)


class SGD(Optimizer):
    """(1): stochastic gradient descent, with momentum μ if wanted."""

    slots = ("m",)

    def __init__(
        self,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        global_clipnorm: float | None = None,
    ) -> None:
        super().__init__(learning_rate, global_clipnorm)
        self.momentum, self.nesterov = check_number("momentum", momentum, 0, 1, low_too=True), nesterov

    def update(self, p: Array, at: Any, g: Array, *slots: Array) -> None:
        """Make one step of (1)."""
        (m,) = slots
        m *= self.momentum
        m[at] -= self.learning_rate * g
        p += self.momentum * m if self.nesterov else m
        if self.nesterov:
            p[at] -= self.learning_rate * g


class RMSprop(Optimizer):
    """(2): every number gets a step of its own size, from the running mean of its squared gradient."""

    slots = ("v",)

    def __init__(
        self,
        learning_rate: float = 0.001,
        rho: float = 0.9,
        epsilon: float = 1e-7,
        global_clipnorm: float | None = None,
    ) -> None:
        super().__init__(learning_rate, global_clipnorm)
        self.rho, self.epsilon = check_number("rho", rho, 0, 1, low_too=True), check_number("epsilon", epsilon)

    def update(self, p: Array, at: Any, g: Array, *slots: Array) -> None:
        """Make one step of (2)."""
        (v,) = slots
        if at is not ALL:
            rmsprop_rows(p, v, at, g, self.learning_rate, self.rho, self.epsilon)
            return
        v *= self.rho
        v += (1 - self.rho) * g * g
        p -= self.learning_rate * g / np.sqrt(v + self.epsilon)


@kernels.twin(kernels.rmsprop_rows)
def rmsprop_rows(p: Array, v: Array, at: Array, g: Array, rate: float, rho: float, epsilon: float) -> None:
    """Make one step of (2), where g (N, D) is the gradient of the rows ``at`` (N,) of p (V, D), 0 that of others."""
    v *= rho
    v[at] += (1 - rho) * g * g
    p[at] -= rate * g / np.sqrt(v[at] + epsilon)


class Adam(Optimizer):
    """(3): as RMSprop, with the running mean of the gradient too, and both corrected for having started at 0."""

    slots = ("m", "v")

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        global_clipnorm: float | None = None,
    ) -> None:
        super().__init__(learning_rate, global_clipnorm)
        self.beta_1 = check_number("beta_1", beta_1, 0, 1, low_too=True)
        self.beta_2 = check_number("beta_2", beta_2, 0, 1, low_too=True)
        self.epsilon = check_number("epsilon", epsilon)

    def update(self, p: Array, at: Any, g: Array, *slots: Array) -> None:
        """Make one step of (3)."""
        m, v = slots
        m *= self.beta_1
        m[at] += (1 - self.beta_1) * g
        v *= self.beta_2
        v[at] += (1 - self.beta_2) * g * g
        t = self.iterations
        rate = self.learning_rate * (1 - self.beta_2**t) ** 0.5 / (1 - self.beta_1**t)
        p -= rate * m / (np.sqrt(v) + self.epsilon)


OPTIMIZERS: dict[str, Callable[[], Optimizer]] = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam}


def get_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """Find an optimiser by its Keras name, with default settings; an Optimizer passes through. Errors: ``by_name``."""
    return by_name("optimizer", optimizer, OPTIMIZERS, Optimizer)
