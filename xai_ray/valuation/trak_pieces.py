"""TRAK as pieces: a checkpoint, trained on a random part of the points, is a piece, and there is no end of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from xai_ray.types import Ints
from xai_ray.valuation.asked import Asked
from xai_ray.valuation.draws import Purpose, orders
from xai_ray.valuation.losses import as_tensors
from xai_ray.valuation.network_runs import Setup, train
from xai_ray.valuation.pieces import Sums
from xai_ray.valuation.settings import TrakSettings
from xai_ray.valuation.trak import kernel_and_doubts


def part_size(n: int, fraction: float) -> int:
    """Points that the network of a checkpoint is trained on."""
    return max(1, round(fraction * n))


@dataclass
class TrakPieces:
    """The two factors of a checkpoint: what its kernel says of each point, and the doubt of its network about the point's label."""

    asked: Asked
    settings: TrakSettings
    _setup: Setup | None = field(default=None, repr=False)

    def sums(self, start: int, stop: int, between: Callable[[], None]) -> Sums:
        """Of checkpoint `start`, shape (n, 2, 1)."""
        if self._setup is None:
            self._setup = Setup(self.asked)
        setup, chosen, number = self._setup, self.settings, start
        model, members = copy.deepcopy(setup.model), torch.from_numpy(self.members(number, setup.n))
        part = (setup.train[0][members], setup.train[1][members])
        told = f"the {len(members)} points of checkpoint {number}"
        train(model, setup.loss, part, self.asked.network(), self.asked.seed, told=told)
        between()
        every, held = as_tensors(setup.train, "data", model), as_tensors(setup.held, "validation", model)
        found = kernel_and_doubts(
            model,
            every,
            held,
            number=number,
            dimensions=chosen.dimensions,
            ridge=chosen.ridge,
            seed=self.asked.seed,
        )
        return np.stack(found, axis=1)[:, :, None], {}

    def members(self, number: int, n: int) -> Ints:
        """The points of a checkpoint, ascending."""
        drawn = orders(self.asked.seed, Purpose.HALVES, np.array([number], dtype=np.int64), n)[0]
        return np.sort(drawn[: part_size(n, self.settings.fraction)])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_setup": None}
