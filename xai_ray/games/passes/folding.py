"""First-layer folding: coalitions are multiplied by what each player adds to the first linear layer, once and for all.

With the layer W x + b, players as sets of columns, rows x and fillings z_1..z_K,

    preactivation(x, S, k) = b + sum over i in S of W_i x_i + sum over i not in S of W_i z_ki,

so a forward pass (`FirstLayer.after`) begins behind the layer: one product of the 0/1 matrix of absent players (c, n) with contributions
(n, K h). Masked inputs are never formed, a player of many columns costs as much as one, and the part of the fillings is
the same for all rows. The sums are formed in another order than the layer's own: values agree within `TOLERANCE`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from xai_ray.games.passes.first_layer import FirstLayer, not_foldable
from xai_ray.types import Ints

TOLERANCE = 256.0
"""Outputs of the folded and the plain pass differ by at most this many roundings (2^-23 in single precision) times the
largest absolute output, or 1.
"""
_LARGEST = 1 << 27
"""Numbers of the contributions of all fillings."""


@dataclass(frozen=True)
class RowParts:
    """What r rows add to the first layer."""

    always: torch.Tensor
    """Shape (r, h): the bias, and the columns that always stay."""
    players: torch.Tensor
    """Shape (r, n, h)."""

    @property
    def full(self) -> torch.Tensor:
        """Preactivations of the whole rows, shape (r, h)."""
        return self.always + self.players.sum(dim=1)


class Folding:
    """The first layer of one model for one layout of players, in double precision until it meets coalitions.

    `labels` are those of `Layout`, -1 where a column always stays; `shape` is that of one input without its batch axis.
    """

    def __init__(self, first: FirstLayer, labels: Ints, shape: tuple[int, ...], n_players: int) -> None:
        self.first, self.n_players, self.width = first, n_players, len(first.weight)
        self._device, own = first.weight.device, first.weight.dtype
        self.dtype = own if own.itemsize >= 4 else torch.float32
        """Type of products with coalitions, and of preactivations."""
        self.rounding = torch.finfo(own).eps
        # Not every accelerator has double precision.
        self._exact = first.weight.cpu().double()
        flat = torch.from_numpy(labels).expand(shape).reshape(-1)
        self._columns = [torch.nonzero(flat == player)[:, 0] for player in range(-1, n_players)]

    def rows(self, inputs: torch.Tensor) -> RowParts:
        """Contributions of rows (r, *input), float64 on the host."""
        # A module in front of the layer may write into its input.
        flat = self.first.before(inputs.clone()).cpu().double()
        parts = torch.stack([flat[:, at] @ self._exact[:, at].T for at in self._columns], dim=1)
        return RowParts(parts[:, 0] + self.first.bias.cpu().double(), parts[:, 1:])

    def fillings(self, inputs: torch.Tensor) -> torch.Tensor:
        """Contributions of fillings (K, *input) in place of players, float64 of shape (n, K, h) on the host."""
        if len(inputs) * self.n_players * self.width > _LARGEST:
            raise not_foldable(
                f"{len(inputs)} fillings of {self.n_players} players and {self.width} units are too many"
            )
        return self.rows(inputs).players.transpose(0, 1).contiguous()

    def settled(self, part: torch.Tensor) -> torch.Tensor:
        """A part on the device, in the type of products."""
        return part.to(self.dtype).to(self._device)

    def settled_rows(self, rows: RowParts) -> RowParts:
        """Parts of rows on the device, in the type of products."""
        return RowParts(self.settled(rows.always), self.settled(rows.players))

    def present(self, coalitions: torch.Tensor, rows: RowParts, which: torch.Tensor) -> torch.Tensor:
        """What rows `which` (c,) add for coalitions (c, n): (c, h)."""
        chosen = torch.bmm(coalitions.to(self.dtype)[:, None], rows.players[which])[:, 0]
        return rows.always[which] + chosen
