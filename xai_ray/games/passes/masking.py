"""Masked forward passes of one fixed shape: coalitions become masks by one indexing, absent places take the filling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xai_ray.games.arguments import Arguments
from xai_ray.games.passes.averaging import Averaging
from xai_ray.games.passes.backend import Array, Backend
from xai_ray.games.passes.together import read_together
from xai_ray.games.removals.filling import Filling
from xai_ray.types import Coalitions, Floats, Ints


class Masker:
    """Holds the input, the labels and the fixed fillings on the device."""

    def __init__(self, backend: Backend, arguments: Arguments, filling: Filling, batch: int) -> None:
        self._backend, self._batch, self._size = backend, batch, filling.size
        self._labels = [backend.put(told_apart(i.layout.labels)) for i in arguments.inputs]
        self._inputs = [backend.put_input(at, i.array) for at, i in enumerate(arguments.inputs)]
        self._all = [part[None] for part in self.put_fillings(filling.rows)]
        given = [i.array for i in arguments.inputs]
        short = len(given) == 1 and given[0].ndim == 1 and np.issubdtype(given[0].dtype, np.floating)
        self._blends = short and self._size > 1 and _finite(backend, self._inputs[0], self._all[0])

    def put_fillings(self, fillings: tuple[Array, ...]) -> list[Any]:
        """Fillings on the device, one array an input."""
        return [self._backend.put_input(at, part) for at, part in enumerate(fillings)]

    def over_all(self, coalitions: Coalitions) -> Callable[[], Floats]:
        """Outputs (c, K, m) with every filling, begun; the call waits for them. A K above the batch needs c = 1 and goes
        through in chunks of one shape.
        """
        if self._batch >= self._size:
            return self.outputs(coalitions, self._all)
        return _joined([self.outputs(coalitions, fillings) for fillings in self._chunks()], self._size)

    def means(self, coalitions: Coalitions, block: int, averaging: Averaging) -> Floats:
        """Means over all fillings (c, m') of whole blocks, as of `over_all`, formed where the outputs are; only they come home."""
        backend = self._backend
        chunks = [self._all] if self._batch >= self._size else self._chunks()
        with backend.scope():
            present = backend.present(coalitions)
            starts = range(0, len(coalitions), block)
            passes = (self._raw(present[start : start + block], chunks) for start in starts)
            return read_together(backend, passes, len(coalitions), lambda outputs: backend.means(outputs, averaging))

    def _raw(self, present: Any, chunks: list[list[Any]]) -> Any:
        """Outputs (c, K, m) with all fillings, where they are."""
        passes = [
            self._backend.raw(self._masked(present, chunk)).reshape(len(present), chunk[0].shape[1], -1)
            for chunk in chunks
        ]
        return passes[0] if len(passes) == 1 else self._backend.joined(passes, 1)[:, : self._size]

    def _chunks(self) -> list[list[Any]]:
        """The fillings, a batch at a time."""
        # The last chunk is filled up with its last row, so that every forward pass has the same shape.
        starts = range(0, self._size, self._batch)
        cuts = [self._backend.put(np.minimum(np.arange(at, at + self._batch), self._size - 1)) for at in starts]
        return [[part[:, cut] for part in self._all] for cut in cuts]

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
            flat = self._backend.begin(self._masked(self._backend.present(coalitions), fillings))
        return lambda: flat().reshape(c, size, -1)

    def _masked(self, present: Any, fillings: list[Any]) -> list[Any]:
        """Inputs of a pass (c * K, *input)."""
        backend = self._backend
        if self._blends and len(fillings[0]) == 1:
            mask, kept = backend.parted(present[:, self._labels[0]], self._inputs[0][None])
            return [backend.blend(mask[:, None], kept[:, None], fillings[0]).reshape((-1, *self._inputs[0].shape))]
        return [
            backend.where(present[:, labels][:, None], whole, filling).reshape((-1, *whole.shape))
            for labels, whole, filling in zip(self._labels, self._inputs, fillings, strict=True)
        ]


def told_apart(labels: Ints) -> Ints:
    """Labels of places with length 1 along axes on which all are the same, as channels of a picture are."""
    for axis in range(labels.ndim) if labels.ndim > 1 else ():
        first = labels.take([0], axis)
        labels = first if (labels == first).all() else labels
    return labels


def _finite(backend: Backend, *parts: Any) -> bool:
    """Whether these are finite real numbers in the type that the model takes."""
    return all(np.isfinite(backend.home(part)).all() for part in parts)


def _joined(chunks: list[Callable[[], Floats]], count: int) -> Callable[[], Floats]:
    """The first `count` fillings of all chunks."""
    return lambda: np.concatenate([chunk() for chunk in chunks], axis=1)[:, :count]
