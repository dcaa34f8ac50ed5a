"""Small numpy games for the engines; importable in workers by name."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xai_ray.errors import UnknownName
from xai_ray.types import Coalitions, Ints, Values


@dataclass(frozen=True)
class SumOfProducts:
    """Two outputs: sum_i w_i x_i + sum_i c_i x_i x_{i+1}, and its square; `seconds` of sleep a call of `values`."""

    n_players: int = 7
    block: int = 4
    seconds: float = 0.0
    n_outputs: int = 2
    stochastic: bool = False
    digest: str = "00"

    @property
    def player_names(self) -> tuple[str, ...]:
        return tuple(f"p{i}" for i in range(self.n_players))

    @property
    def output_names(self) -> tuple[str, ...]:
        return ("sum", "square")

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        assert len(coalitions) == len(context)
        assert len(coalitions) % self.block == 0
        time.sleep(self.seconds)
        weights = np.arange(1, self.n_players + 1) / 7
        x = coalitions.astype(np.float64)
        first = (x * weights).sum(axis=1) + (x[:, :-1] * x[:, 1:] * weights[1:]).sum(axis=1) / 3
        return np.stack([first, first**2], axis=1)


@dataclass(frozen=True)
class SlotSensitive(SumOfProducts):
    """Its values depend in the last bits on the slot of the row in the batch, as those of a forward pass may."""

    block: int = 5

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        slots = np.arange(len(coalitions)) % self.block
        return SumOfProducts.values(self, coalitions, context) + slots[:, None] * 2.0**-50 + context[:, None] * 0.125


@dataclass(frozen=True)
class NanAt(SumOfProducts):
    """NaN in output 1 of the coalitions with this code."""

    code: int = 0

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        out = SumOfProducts.values(self, coalitions, context)
        out[coalitions @ (1 << np.arange(self.n_players)) == self.code, 1] = np.nan
        return out


@dataclass(frozen=True)
class Returns(SumOfProducts):
    """Returns something that is no array of the right shape and type."""

    what: str = "float32"

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        out = SumOfProducts.values(self, coalitions, context)
        return {"float32": out.astype(np.float32), "list": out.tolist(), "short": out[:-1], "flat": out[:, 0]}[
            self.what
        ]


@dataclass(frozen=True)
class Raises(SumOfProducts):
    """Raises for the coalitions with this code: `unknown name`, `value error`, or `once` (until the file exists)."""

    how: str = "value error"
    code: int = 0
    marker: str = ""

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        if (coalitions @ (1 << np.arange(self.n_players)) == self.code).any():
            if self.how == "unknown name":
                raise UnknownName("thing", "ab", ["abc"])
            if self.how == "value error":
                raise ValueError("the weights are odd")
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if not Path(self.marker).exists():
                Path(self.marker).touch()
                raise ValueError("the first time only")
        return SumOfProducts.values(self, coalitions, context)
