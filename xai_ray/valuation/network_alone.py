"""Torch networks trained one coalition at a time by a plain loop: what the batched engine is to reproduce."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from xai_ray.games.digest import described_model
from xai_ray.types import Coalitions, Floats, Ints
from xai_ray.valuation.data import LabelledData, NumericData
from xai_ray.valuation.engine import held_classes, one_hot, prefixes_one_by_one, without_absent
from xai_ray.valuation.network import Network
from xai_ray.valuation.networks import batches, check_outputs, diverged_error, made, optimiser_of
from xai_ray.valuation.newton import members_told


class LoneNetworkEngine:
    """A coalition of one class predicts it everywhere, without training."""

    name = "torch networks, one at a time"
    tile = 1
    chains = False
    itself = True

    def __init__(self, network: Network, data: LabelledData | NumericData) -> None:
        self._network, self._classes = network, len(data.classes) if isinstance(data, LabelledData) else 0
        self._held = one_hot(data.labels, self._classes) if isinstance(data, LabelledData) else None
        kind = getattr(torch, network.precision)
        self._rows = torch.tensor(data.rows, dtype=kind, device=network.device)
        self._test_rows = torch.tensor(data.test_rows, dtype=kind, device=network.device)
        targets = data.labels if isinstance(data, LabelledData) else data.targets.astype(network.precision)
        self._targets = torch.tensor(targets, device=network.device)
        self._model = made(network)
        check_outputs(self._model, self._test_rows, self._classes or 1)
        self.described = described_model(self._model, np.zeros(0))

    def decisions(self, coalitions: Coalitions) -> Floats:
        """Shape (c, m, C) or (c, m, 1)."""
        found = np.stack([self._one(row) for row in coalitions])
        return found if self._held is None else without_absent(found, held_classes(coalitions, self._held))

    def prefixes(self, order: Ints, lengths: Ints) -> Iterator[tuple[int, Floats]]:
        """One training a prefix."""
        return prefixes_one_by_one(self, order, lengths)

    def _one(self, member: Coalitions) -> Floats:
        several = member.any() if self._held is None else held_classes(member[None], self._held).sum() > 1
        if not several:
            return np.zeros((len(self._test_rows), max(self._classes, 1)))
        model = copy.deepcopy(self._model)
        optimiser = optimiser_of(self._network, list(model.parameters()))
        everyone, step = np.arange(len(member)), 0
        for step, batch in enumerate(batches(self._network, len(member))):
            points = everyone if batch is None else batch
            loss = self._loss(model, points[member[points]])
            if not torch.isfinite(loss):
                raise diverged_error(members_told(np.flatnonzero(member)), step, self._network)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            found = model(self._test_rows).to(torch.float64).cpu().numpy()
        if not np.isfinite(found).all():
            raise diverged_error(members_told(np.flatnonzero(member)), step, self._network)
        return found

    def _loss(self, model: nn.Module, points: Ints) -> torch.Tensor:
        if not len(points):
            # No point of this coalition in the batch: the gradient is 0.
            return 0.0 * torch.stack([value.sum() for value in model.parameters()]).sum()
        found, targets = model(self._rows[points]), self._targets[points]
        if self._held is None:
            return nn.functional.mse_loss(found[:, 0], targets)
        return nn.functional.cross_entropy(found, targets)
