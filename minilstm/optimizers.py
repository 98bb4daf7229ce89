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

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from minilstm.arrays import Array, Arrays
from minilstm.keras.arguments import Hinted
from minilstm.tools.validate import alias, by_name, check_gradients, check_settings


@dataclass(eq=False)
class Optimizer(metaclass=Hinted):
    """Base class of all optimisers.

    Attributes:
        learning_rate: η, the size of a step.
        global_clipnorm: the largest norm that the gradient may have, or None for no limit.
        iterations: t, the number of steps made.
        state: what is carried from step to step, by the names in ``slots``, such as ``{"v": {"lstm.W": ..., ...}}``.
    """

    learning_rate: float
    global_clipnorm: float | None = field(default=None, kw_only=True)
    slots: ClassVar[tuple[str, ...]] = ()
    lr = alias("learning_rate")  # its older name in Keras

    def __post_init__(self) -> None:
        vars(self).update(check_settings(vars(self)))
        self.iterations = 0
        self.state: dict[str, Arrays] = {slot: {} for slot in self.slots}

    def fresh(self) -> Self:
        """Copy the settings without the state, so that two models never share one."""
        other = copy.copy(self)
        other.__post_init__()
        return other

    def norm(self, grads: Mapping[str, Array]) -> float:
        """Compute the length of all gradients laid end to end; where a sum overflows in their dtype, in float64."""
        total = 0.0
        for g in grads.values():
            square = float(np.vdot(g, g))
            total += square if math.isfinite(square) else float(np.sum(np.square(g, dtype=np.float64)))
        return math.sqrt(total)

    def step(self, params: Arrays, grads: Mapping[str, Array], norm: float | None = None) -> None:
        """Move every parameter, in place, by its gradient of the same name, whose ``norm`` may be known already."""
        check_gradients(params, grads)
        scale = self.clip(grads, norm)
        self.iterations += 1
        for name, p in params.items():
            slots = [self.state[slot].setdefault(name, np.zeros_like(p)) for slot in self.slots]
            self.update(p, grads[name] * scale if scale < 1 else grads[name], *slots)

    def clip(self, grads: Mapping[str, Array], norm: float | None) -> float:
        """Compute the factor, at most 1, that brings the norm down to ``global_clipnorm``."""
        if self.global_clipnorm is None:
            return 1.0
        return min(1.0, self.global_clipnorm / max(self.norm(grads) if norm is None else norm, 1e-30))

    def update(self, p: Array, g: Array, *slots: Array) -> None:
        """Move p and its slots, in place, by the gradient g of p."""
        raise NotImplementedError(f"{type(self).__name__}.update is missing: it moves p and its slots in place")


@dataclass(eq=False)
class SGD(Optimizer):
    """(1): stochastic gradient descent, with momentum μ if wanted."""

    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    slots: ClassVar[tuple[str, ...]] = ("m",)

    def update(self, p: Array, g: Array, *slots: Array) -> None:
        """Make one step of (1)."""
        (m,) = slots
        m *= self.momentum
        m -= self.learning_rate * g
        p += self.momentum * m - self.learning_rate * g if self.nesterov else m


@dataclass(eq=False)
class RMSprop(Optimizer):
    """(2): every number gets a step of its own size, from the running mean of its squared gradient."""

    learning_rate: float = 0.001
    rho: float = 0.9
    epsilon: float = 1e-7
    slots: ClassVar[tuple[str, ...]] = ("v",)

    def update(self, p: Array, g: Array, *slots: Array) -> None:
        """Make one step of (2)."""
        (v,) = slots
        v *= self.rho
        v += (1 - self.rho) * g * g
        p -= self.learning_rate * g / np.sqrt(v + self.epsilon)


@dataclass(eq=False)
class Adam(Optimizer):
    """(3): as RMSprop, with the running mean of the gradient too, and both corrected for having started at 0."""

    learning_rate: float = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    slots: ClassVar[tuple[str, ...]] = ("m", "v")

    def update(self, p: Array, g: Array, *slots: Array) -> None:
        """Make one step of (3)."""
        m, v = slots
        m *= self.beta_1
        m += (1 - self.beta_1) * g
        v *= self.beta_2
        v += (1 - self.beta_2) * g * g
        p -= self.rate() * m / (np.sqrt(v) + self.epsilon)

    def rate(self) -> float:
        """Compute η_t."""
        t = self.iterations
        return self.learning_rate * (1 - self.beta_2**t) ** 0.5 / (1 - self.beta_1**t)


OPTIMIZERS: dict[str, Callable[[], Optimizer]] = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam}


def get_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """Find an optimiser by its Keras name, with default settings; an Optimizer passes through."""
    return by_name("optimizer", optimizer, OPTIMIZERS, Optimizer)
