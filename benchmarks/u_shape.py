"""The representation bottleneck: strength J^(m) of multi-order interactions by context size, exact, of small trained models.

Deng, Ren, Zhang, Zhang (ICLR 2022): J^(m) is high at m = 0 and m = n - 2 and lowest in between. J^(m) = mean over inputs and pairs of
|I^(m)(i,j|x)|, divided by its mean over m; log-odds of the label, removed parts replaced by the mean. Inputs that a model gets wrong are
left out, as in the paper.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import xai_ray as xr
from xai_ray.coalitions.exhaustive import unpack
from xai_ray.indices import Question, exact, normalised_strength

INPUTS = 20


def strength(games: list[xr.ModelGame]) -> Any:
    """Mean over games of J^(m), shape (n-1,), not normalised, from all 2^n values of each."""
    n = games[0].n_players
    rows = unpack(np.arange(1 << n), n)
    context = np.full(len(rows), -1, dtype=np.int64)
    return np.mean([exact(game.values(rows, context), Question("J")).values[0, :, 0] for game in games], axis=0)


def _trained(net: Any, x: Any, y: Any, epochs: int) -> Any:
    import torch

    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimiser.step()
    return net.eval()


def digits_cnn(inputs: int) -> tuple[list[xr.ModelGame], float]:
    """Two convolutions on scikit-learn's digits; 16 patches of 2 x 2; images standardised, so the mean is 0."""
    import torch
    from sklearn.datasets import load_digits
    from torch import nn

    data: Any = load_digits()
    images = ((data.images - data.images.mean()) / data.images.std()).astype(np.float32)[:, None]
    x, y = torch.from_numpy(images), torch.from_numpy(data.target)
    net = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(24 * 16, 32), nn.ReLU(), nn.Linear(32, 10),
    )  # fmt: skip
    _trained(net, x[:1400], y[:1400], 30)
    with torch.inference_mode():
        right = (net(x[1400:]).argmax(dim=1) == y[1400:]).numpy()
    chosen = 1400 + np.flatnonzero(right)[:inputs]
    games = [
        xr.ModelGame(
            net, images[at], players=xr.Patches(4, 4), removal=xr.Zeros(),
            behaviour=xr.LogOdds(int(y[at])), batch=4096,
        )
        for at in chosen
    ]  # fmt: skip
    return games, float(right.mean())


def _mlp(rows: Any, labels: Any, inputs: int) -> tuple[list[xr.ModelGame], float]:
    import torch
    from torch import nn

    order = np.random.default_rng(0).permutation(len(rows))
    rows, labels = rows[order], labels[order]
    cut = int(0.7 * len(rows))
    rows = ((rows - rows[:cut].mean(axis=0)) / rows[:cut].std(axis=0)).astype(np.float32)
    x, y = torch.from_numpy(rows), torch.from_numpy(labels)
    layers: list[Any] = [nn.Linear(rows.shape[1], 100), nn.ReLU()]
    for _ in range(3):
        layers += [nn.Linear(100, 100), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Linear(100, int(labels.max()) + 1))
    _trained(net, x[:cut], y[:cut], 60)
    with torch.inference_mode():
        right = (net(x[cut:]).argmax(dim=1) == y[cut:]).numpy()
    chosen = cut + np.flatnonzero(right)[:inputs]
    games = [
        xr.ModelGame(
            net, rows[at].astype(np.float64), players=xr.Columns(), removal=xr.Constant(0.0),
            behaviour=xr.LogOdds(int(y[at])), batch=4096,
        )
        for at in chosen
    ]  # fmt: skip
    return games, float(right.mean())


def wine_mlp(inputs: int) -> tuple[list[xr.ModelGame], float]:
    """An MLP of five layers on the 13 columns of wine."""
    from sklearn.datasets import load_wine

    data: Any = load_wine()
    return _mlp(data.data, data.target, inputs)


def tumour_mlp(inputs: int) -> tuple[list[xr.ModelGame], float]:
    """An MLP of five layers on the first 12 columns of breast cancer."""
    from sklearn.datasets import load_breast_cancer

    data: Any = load_breast_cancer()
    return _mlp(data.data[:, :12], data.target, inputs)


MODELS: dict[str, Callable[[int], tuple[list[xr.ModelGame], float]]] = {
    "CNN, digits": digits_cnn,
    "MLP, wine": wine_mlp,
    "MLP, breast cancer": tumour_mlp,
}


def u_shape(inputs: int = INPUTS) -> list[dict[str, Any]]:
    """Trains each model, enumerates its games, and says where J^(m) is least."""
    import torch

    out: list[dict[str, Any]] = []
    for name, build in MODELS.items():
        torch.manual_seed(0)
        torch.set_num_threads(1)
        games, accuracy = build(inputs)
        curve = normalised_strength(strength(games)[:, None])[:, 0]
        least = int(curve.argmin())
        out.append(
            {
                "model": name,
                "accuracy": round(accuracy, 4),
                "inputs": len(games),
                "players": games[0].n_players,
                "J": [round(float(j), 3) for j in curve],
                "least at m": least,
                "ends above the least": [
                    round(float(curve[0] / curve[least]), 2),
                    round(float(curve[-1] / curve[least]), 2),
                ],
            }
        )
    return out
