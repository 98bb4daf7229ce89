"""Run: how far a training has got, so that it can be saved and resumed."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minilstm.arrays import Array
from minilstm.data.batching import batches
from minilstm.data.inputs import Samples
from minilstm.runs.callbacks import CallbackList


@dataclass
class Run:
    """A run of ``fit``: what it works on, and how far it has got."""

    model: Any  # a Sequential
    data: Samples
    y: Array  # (N, K)
    held_out: tuple[Samples, Array] | None
    batch_size: int
    epochs: int
    shuffle: bool
    call: CallbackList
    plan: str
    epoch: int = 0  # the current one, counted from 0
    batch: int = 0  # how many of its batches are done
    sums: Array = field(default_factory=lambda: np.zeros(3))  # over these batches, see sums_of
    norms: float = 0.0  # sum of the norms of their gradients
    logs: dict[str, float] = field(default_factory=dict)  # the numbers of the last epoch that ended
    rng_state: dict[str, Any] = field(default_factory=dict)  # of model.rng when the order of the batches was drawn

    @property
    def done(self) -> bool:
        """Whether nothing is left to do; stop requests take effect after the epoch."""
        return self.epoch >= self.epochs or (self.model.stop_training and self.batch == 0)

    def order(self) -> list[Array]:
        """List the remaining batches of the epoch, each as row numbers (B,)."""
        N, B, rng = len(self.data), self.batch_size, self.model.rng
        if not self.shuffle:
            return np.split(np.arange(N), range(B, N, B))[self.batch :]
        if self.batch:  # the order was drawn before the interruption: draw the same again
            rng = copy.deepcopy(rng)
            rng.bit_generator.state = self.rng_state
        self.rng_state = dict(rng.bit_generator.state)
        return list(batches(self.data.lengths, B, rng))[self.batch :]

    def add(self, sums: Array, norm: float) -> None:
        """Count a batch."""
        self.batch, self.sums, self.norms = self.batch + 1, self.sums + sums, self.norms + norm

    def next_epoch(self) -> None:
        """Start the next epoch."""
        self.epoch, self.batch, self.sums, self.norms = self.epoch + 1, 0, np.zeros(3), 0.0

    def __str__(self) -> str:
        """Name the current step."""
        return f"epoch {self.epoch + 1}, batch {self.batch + 1}"
