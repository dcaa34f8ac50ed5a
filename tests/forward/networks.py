"""Small modules whose first operation on the input is one linear layer, and some of which it is not."""

from __future__ import annotations

import torch
from torch import nn


def perceptron(columns: int, hidden: int = 12, outputs: int = 3, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = (nn.Linear(columns, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
    return nn.Sequential(*layers).eval()


def standardised(columns: int, seed: int = 0) -> nn.Module:
    """Batch normalisation with its own statistics in front."""
    first = nn.BatchNorm1d(columns)
    generator = torch.Generator().manual_seed(seed)
    first.running_mean = torch.randn(columns, generator=generator)
    first.running_var = torch.rand(columns, generator=generator) + 0.5
    return nn.Sequential(first, perceptron(columns, seed=seed)).eval()


class Written(nn.Module):
    """A module of its own: scales its input, and uses the first layer twice behind it."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.register_buffer("middle", torch.randn(columns))
        self.first, self.gate, self.last = nn.Linear(columns, 8, bias=False), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.first((x - self.middle) / 2.0)
        return self.last(torch.tanh(hidden) * torch.sigmoid(self.gate(hidden)))


class Skipping(Written):
    """The input goes past the first layer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(x)) + x.sum(dim=1, keepdim=True)


class Branching(Written):
    """What is done depends on the input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(x)) if x.sum() > 0 else self.last(self.first(-x))


class Mixing(Written):
    """Columns meet before the first layer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(torch.softmax(x, dim=1)))


class Swapping(Written):
    """Columns change places before the first layer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(x.flip(1)))


class Centring(Written):
    """Rows of a batch meet before the first layer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(x - x.mean(dim=0)))
