"""Small models and rows for dataset jobs. At module level, so that workers import them by name."""

from __future__ import annotations

import numpy as np
import torch

import xai_ray as xr


class Net(torch.nn.Module):
    """Tabular: `classes` logits from `columns` numbers."""

    def __init__(self, columns: int, classes: int, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.first = torch.nn.Parameter(torch.randn(columns, 16, generator=generator) / columns**0.5)
        self.last = torch.nn.Parameter(torch.randn(16, classes, generator=generator))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x @ self.first) @ self.last


class Pixels(torch.nn.Module):
    """Three logits of an image (c, 3, h, w)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        half = x.shape[-1] // 2
        return torch.stack([x.mean((1, 2, 3)), (x[..., :half] ** 2).mean((1, 2, 3)), x[:, 0].amax((1, 2))], dim=1)


def table(rows: int, columns: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, columns))


def tabular(rows: int = 12, columns: int = 8, classes: int = 1, **given: object) -> xr.RowsGame:
    settings = {
        "players": xr.Columns(),
        "removal": xr.Marginal(table(5, columns, 9)),
        "behaviour": xr.Raw() if classes == 1 else xr.LogOdds(),
    } | given
    return xr.RowsGame(Net(columns, classes).double(), table(rows, columns), **settings)  # pyright: ignore[reportArgumentType]
