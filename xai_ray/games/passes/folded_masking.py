"""Masked forward passes of one fixed shape behind a folded first layer."""

from __future__ import annotations

import numpy as np
import torch

from xai_ray.games.arguments import Arguments
from xai_ray.games.passes.averaging import Averaging
from xai_ray.games.passes.backends import TorchBackend
from xai_ray.games.passes.first_layer import first_layer, not_foldable
from xai_ray.games.passes.folding import TOLERANCE, Folding
from xai_ray.games.passes.masking import Masker
from xai_ray.games.passes.reducing import mean_over_fillings
from xai_ray.games.passes.together import read_together
from xai_ray.games.removals.filling import Filling
from xai_ray.types import Coalitions, Floats, Ints


class FoldedMasker:
    """One input with fixed fillings. Contributions of fillings are held relative to those of the input, so that a pass
    begins with a single product: preactivation = W x + b + sum over absent i of W_i (z_ki - x_i).
    """

    def __init__(self, backend: TorchBackend, arguments: Arguments, filling: Filling, batch: int) -> None:
        if len(arguments.inputs) != 1:
            raise not_foldable(f"the model takes {len(arguments.inputs)} inputs")
        if filling.draw is not None:
            raise not_foldable("absent players are drawn anew for every coalition; take every background row")
        placed = arguments.inputs[0]
        self._backend, self._size = backend, filling.size
        with backend.scope():
            x = backend.put_input(0, placed.array)[None]
            first = first_layer(backend.model, x.expand(2, *x.shape[1:]))
            self._finish = backend.compiled(first.after)
            n = len(arguments.player_names)
            self._folding = Folding(first, placed.layout.labels, tuple(placed.array.shape), n)
            own = self._folding.rows(x)
            fillings = self._folding.fillings(backend.put_input(0, filling.rows[0])) - own.players[0][:, None]
            chunk = min(batch, filling.size)
            self._chunks = [self._cut(fillings, own.full, at, chunk) for at in range(0, filling.size, chunk)]

    def _cut(
        self, fillings: torch.Tensor, full: torch.Tensor, start: int, chunk: int
    ) -> tuple[int, torch.Tensor, torch.Tensor]:
        """How many fillings of a chunk count, their contributions (n, chunk h) and preactivations of the input."""
        stop = min(start + chunk, self._size)
        # The last chunk is filled up with its last row, so that every forward pass has the same shape.
        at = np.minimum(np.arange(start, start + chunk), stop - 1)
        part = fillings[:, torch.from_numpy(at)].reshape(len(fillings), -1)
        return stop - start, self._folding.settled(part), self._folding.settled(full[0].repeat(chunk))

    def check(self, plain: Masker, n_players: int) -> None:
        """SpecError when outputs for a few coalitions differ from those of plain passes by more than `TOLERANCE`."""
        drawn = np.random.default_rng(0).random((6, n_players)) < 0.5
        for row in np.concatenate([drawn, np.stack([np.ones(n_players, bool), np.zeros(n_players, bool)])]):
            got, want = self.over_all(row[None]), plain.over_all(row[None])()
            units = float(np.abs(got - want).max()) / (max(1.0, float(np.abs(want).max())) * self._folding.rounding)
            if not units <= TOLERANCE:
                raise not_foldable(f"outputs behind the folded layer differ from the model's by {units:.3g} roundings")

    def over_all(self, coalitions: Coalitions) -> Floats:
        """Outputs (c, K, m) of one block with every filling."""
        with self._backend.scope():
            return self._outputs(self._absent(coalitions)).cpu().double().numpy()

    def values(self, coalitions: Coalitions, block: int, averaging: Averaging, targets: Ints) -> Floats:
        """Values (c, len(targets)) of whole blocks. Means over fillings are formed on the device, block by block; only they
        come home, when all passes are through.
        """
        if averaging.order == "behaviour_then_mean" or self._backend.device.type == "mps":
            starts = range(0, len(coalitions), block)
            return np.concatenate([averaging.values(self.over_all(coalitions[s : s + block]), targets) for s in starts])
        with self._backend.scope():
            passes = (self._outputs(rows) for rows in self._absent(coalitions).split(block))
            read = lambda outputs: mean_over_fillings(outputs, *averaging.reading)  # noqa: E731
            means = read_together(self._backend, passes, len(coalitions), read)
        return averaging.scores(means, targets)

    def _absent(self, coalitions: Coalitions) -> torch.Tensor:
        return self._backend.put(~coalitions).to(self._folding.dtype)

    def _outputs(self, absent: torch.Tensor) -> torch.Tensor:
        """Outputs (c, K, m) on the device, of one block."""
        chunks = [self._pass(absent, *chunk) for chunk in self._chunks]
        return chunks[0] if len(chunks) == 1 else torch.cat(chunks, dim=1)

    def _pass(self, absent: torch.Tensor, count: int, part: torch.Tensor, full: torch.Tensor) -> torch.Tensor:
        preactivations = torch.addmm(full, absent, part).view(-1, self._folding.width)
        flat = self._backend.run(self._finish, preactivations)
        return flat.view(len(absent), -1, flat.shape[-1] if flat.ndim == 2 else 1)[:, :count]
