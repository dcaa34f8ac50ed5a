"""Masked forward passes of one fixed shape: coalitions become masks by one indexing, absent places take the filling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xai_ray.games.arguments import Arguments
from xai_ray.games.passes.backend import Array, Backend
from xai_ray.games.removals.filling import Filling
from xai_ray.types import Coalitions, Floats


class Masker:
    """Holds the input, the labels and the fixed fillings on the device."""

    def __init__(self, backend: Backend, arguments: Arguments, filling: Filling, batch: int) -> None:
        self._backend, self._batch, self._size = backend, batch, filling.size
        self._labels = [backend.put(i.layout.labels) for i in arguments.inputs]
        self._inputs = [backend.put_input(at, i.array) for at, i in enumerate(arguments.inputs)]
        self._all = [part[None] for part in self.put_fillings(filling.rows)]

    def put_fillings(self, fillings: tuple[Array, ...]) -> list[Any]:
        """Fillings on the device, one array an input."""
        return [self._backend.put_input(at, part) for at, part in enumerate(fillings)]

    def over_all(self, coalitions: Coalitions) -> Callable[[], Floats]:
        """Outputs (c, K, m) with every filling, begun; the call waits for them. A K above the batch needs c = 1 and goes
        through in chunks of one shape.
        """
        chunk = min(self._batch, self._size)
        if chunk == self._size:
            return self.outputs(coalitions, self._all)
        # The last chunk is filled up with its last row, so that every forward pass has the same shape.
        starts = range(0, self._size, chunk)
        cuts = [self._backend.put(np.minimum(np.arange(at, at + chunk), self._size - 1)) for at in starts]
        return _joined([self.outputs(coalitions, [part[:, cut] for part in self._all]) for cut in cuts], self._size)

    def over_drawn(self, coalitions: Coalitions, fillings: tuple[Array, ...]) -> Callable[[], Floats]:
        """Outputs (c, b, m) with each coalition's own b fillings, shape (c, b, *input), begun."""
        samples = fillings[0].shape[1]
        parts = self.put_fillings(fillings)
        if len(coalitions) * samples <= self._batch:
            return self.outputs(coalitions, parts)
        starts = range(0, samples, self._batch)
        cuts = [self._backend.put(np.minimum(np.arange(at, at + self._batch), samples - 1)) for at in starts]
        return _joined([self.outputs(coalitions, [part[:, cut] for part in parts]) for cut in cuts], samples)

    def probe(self, coalitions: Coalitions) -> Floats:
        """Outputs (c, m) with the first filling only."""
        return self.outputs(coalitions, [part[:, :1] for part in self._all])()[:, 0]

    def outputs(self, coalitions: Coalitions, fillings: list[Any]) -> Callable[[], Floats]:
        """One forward pass, begun: outputs (c, K, m). Each filling has shape (1 or c, K, *input)."""
        c, size = len(coalitions), int(fillings[0].shape[1])
        with self._backend.scope():
            present = self._backend.present(coalitions)
            masked = [
                self._backend.where(present[:, labels][:, None], whole, filling).reshape((c * size, *whole.shape))
                for labels, whole, filling in zip(self._labels, self._inputs, fillings, strict=True)
            ]
            flat = self._backend.begin(masked)
        return lambda: flat().reshape(c, size, -1)


def _joined(chunks: list[Callable[[], Floats]], count: int) -> Callable[[], Floats]:
    """The first `count` fillings of all chunks."""
    return lambda: np.concatenate([chunk() for chunk in chunks], axis=1)[:, :count]
