"""Builds the games of the accuracy benchmark: complete value tables of real models and data games, and boosted-tree games.

    python benchmarks/tables.py [--out benchmarks/.tables] [--games cat,wine_mlp]

Everything is seeded and comes with installed packages: nothing is downloaded. A game that is there already is kept.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tree_games
from stored_games import Floats, save

import xai_ray as xr
from xai_ray.coalitions.exhaustive import unpack
from xai_ray.indices import Question, exact

HERE = Path(__file__).parent
TABLES = HERE / ".tables"
Built = tuple[Floats, str]
"""Values (2^n,) and a one-line description."""


def table_of(game: xr.Game) -> Floats:
    """All 2^n values of a deterministic game with one output."""
    n = game.n_players
    return game.values(unpack(np.arange(1 << n), n), np.full(1 << n, -1, dtype=np.int64))[:, 0]


def _digit(at: int, kind: str) -> Built:
    model, images = _digits_net()
    background = xr.Mean(images[:500])
    game = xr.ModelGame(model, images[at], players=xr.Patches(4, 4), removal=background, behaviour=xr.LogOdds())
    return table_of(
        game
    ), f"small CNN on an 8 x 8 digit {kind}, 4 x 4 patches, mean image, log-odds of the predicted class"


def _digits_net() -> tuple[Any, Any]:
    """Two convolutions trained for 30 epochs on scikit-learn's digits, and the images (1797, 1, 8, 8)."""
    import torch
    from sklearn.datasets import load_digits
    from torch import nn

    data: Any = load_digits()
    images, labels = (data.images / 16.0).astype(np.float32)[:, None], torch.from_numpy(data.target)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(24 * 16, 32), nn.ReLU(), nn.Linear(32, 10),
    )  # fmt: skip
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    train = torch.from_numpy(images[:1400])
    for _ in range(30):
        for rows in torch.randperm(1400).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(train[rows]), labels[rows]).backward()
            optimiser.step()
    return model.eval(), images


def _surest(ambiguous: bool) -> int:
    """Number of the held-out digit with the largest, or the smallest, lead of the first class over the second."""
    import torch

    model, images = _digits_net()
    with torch.inference_mode():
        logits = model(torch.from_numpy(images[1400:])).sort(dim=1).values
    lead = logits[:, -1] - logits[:, -2]
    return 1400 + int(lead.argmin() if ambiguous else lead.argmax())


def _sure_digit() -> Built:
    return _digit(_surest(ambiguous=False), "of which it is sure")


def _torn_digit() -> Built:
    return _digit(_surest(ambiguous=True), "between two classes")


def _cat() -> Built:
    from skimage import data

    from xai_ray.zoo import efficientnet_lite0

    zoo = efficientnet_lite0()
    assert zoo.preprocess is not None
    x = zoo.preprocess(data.chelsea())
    game = xr.ModelGame(zoo.model, x, players=xr.Patches(3, 4), removal=xr.Blur(10.0), behaviour=xr.LogOdds())
    return table_of(
        game
    ), "EfficientNet-Lite0 on a photograph of a cat, 3 x 4 patches, blur, log-odds of the predicted class"


def _review(text: str) -> Built:
    from xai_ray.zoo import minilm_sentiment

    zoo = minilm_sentiment()
    game = xr.ModelGame(
        zoo.model, text, players=xr.Words(), removal=xr.MaskToken(), behaviour=xr.Logit(1), tokenizer=zoo.tokenizer
    )
    return table_of(game), f"MiniLM review classifier on {text!r}, words, mask token, logit of positive"


def _forest() -> Built:
    from sklearn.ensemble import RandomForestClassifier

    rows, labels, train, test = _tumours(14)
    forest = RandomForestClassifier(n_estimators=60, random_state=0, n_jobs=1).fit(rows[train], labels[train])
    game = xr.ModelGame(
        forest.predict_proba, rows[test[0]], players=xr.Columns(), removal=xr.Marginal(rows[train[:25]]),
        behaviour=xr.Probability(), outputs="probabilities", batch=8192,
    )  # fmt: skip
    return table_of(
        game
    ), "random forest on 14 columns of breast cancer, marginal over 25 rows, probability of the predicted class"


def _tumours(columns: int) -> tuple[Floats, Any, Any, Any]:
    from xai_ray.zoo.tumour import tumour_data

    data = tumour_data()
    return data.rows[:, :columns], data.labels, data.train, data.test


def _tumour_mlp() -> Built:
    from xai_ray.zoo import tumour_mlp

    zoo = tumour_mlp()
    assert zoo.rows is not None
    assert zoo.background is not None
    groups = {zoo.columns[i]: (zoo.columns[i], zoo.columns[i + 15]) for i in range(15)}
    game = xr.ModelGame(
        zoo.model, zoo.rows[0], players=xr.ColumnGroups(groups, zoo.columns),
        removal=xr.Marginal(zoo.background[:25]), behaviour=xr.LogOdds(), outputs=zoo.outputs,
    )  # fmt: skip
    return table_of(
        game
    ), "perceptron on breast cancer, 15 pairs of columns, marginal over 25 rows, log-odds of the predicted class"


def _wine_mlp() -> Built:
    from sklearn.datasets import load_wine
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data: Any = load_wine()
    order = np.random.default_rng(0).permutation(len(data.data))
    rows, labels = data.data[order], data.target[order]
    net = MLPClassifier((24, 24), alpha=0.01, max_iter=600, random_state=0)
    model = make_pipeline(StandardScaler(), net).fit(rows[40:], labels[40:])
    game = xr.ModelGame(
        model.predict_proba, rows[0], players=xr.Columns(), removal=xr.Marginal(rows[40:70]),
        behaviour=xr.Probability(), outputs="probabilities", batch=8192,
    )  # fmt: skip
    return table_of(game), "perceptron on 13 columns of wine, marginal over 30 rows, probability of the predicted class"


def _tumour_boosting() -> Built:
    from lightgbm import LGBMClassifier

    rows, labels, train, test = _tumours(14)
    model = LGBMClassifier(
        n_estimators=80, num_leaves=15, random_state=0, n_jobs=1, deterministic=True, force_row_wise=True, verbose=-1
    ).fit(rows[train], labels[train])

    def margin(x: Floats) -> Floats:
        return np.asarray(model.booster_.predict(x, raw_score=True))[:, None]

    game = xr.ModelGame(
        margin, rows[test[1]], players=xr.Columns(), removal=xr.Constant(rows[train].mean(axis=0)), behaviour=xr.Raw(0),
        batch=8192,
    )  # fmt: skip
    return table_of(game), "LightGBM on 14 columns of breast cancer, mean of each column, log-odds"


def _diabetes_boosting() -> Built:
    from sklearn.datasets import load_diabetes
    from sklearn.ensemble import GradientBoostingRegressor

    data: Any = load_diabetes()
    model = GradientBoostingRegressor(n_estimators=120, max_depth=4, subsample=0.7, random_state=0)
    model.fit(data.data[100:], data.target[100:])
    game = xr.ModelGame(
        lambda x: model.predict(x)[:, None], data.data[3], players=xr.Columns(),
        removal=xr.Marginal(data.data[100:140]), behaviour=xr.Raw(0), batch=8192,
    )  # fmt: skip
    return table_of(game), "gradient boosting on 10 columns of diabetes, marginal over 40 rows, predicted progression"


def _data_points() -> Built:
    """Accuracy of logistic regressions retrained on every subset of 14 training points."""
    x, y, train, test = _two_digits()
    chosen = train[:14]
    weights = fit_logistic(x[chosen], y[chosen], unpack(np.arange(1 << 14), 14), penalty=0.1)
    right = ((x[test] @ weights.T > 0) == (y[test] > 0)[:, None]).mean(axis=0)
    return right, "data game: accuracy of logistic regression retrained on subsets of 14 images of the digits 3 and 8"


def _data_groups() -> Built:
    """Mean log-likelihood, on held-out rows, of logistic regressions retrained on every union of 12 groups of 8 points."""
    x, y, train, test = _two_digits()
    noisy = y.copy()
    flipped = np.random.default_rng(1).random(len(y)) < 0.15
    noisy[flipped] *= -1
    chosen = train[:96]
    rows = np.repeat(unpack(np.arange(1 << 12), 12), 8, axis=1)
    weights = fit_logistic(x[chosen], noisy[chosen], rows, penalty=1.0)
    likelihood = -np.logaddexp(0, -(x[test] @ weights.T) * y[test][:, None]).mean(axis=0)
    return (
        likelihood,
        "data game: held-out log-likelihood of logistic regression on unions of 12 groups of 8 images, labels noisy",
    )


def _two_digits() -> tuple[Floats, Floats, Any, Any]:
    """Ten principal components and a constant for the digits 3 and 8, labels -1 and 1, training and held-out rows."""
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    kept = np.isin(data.target, (3, 8))
    x, y = data.data[kept] / 16.0, np.where(data.target[kept] == 8, 1.0, -1.0)
    x = x - x.mean(axis=0)
    x = x @ np.linalg.svd(x, full_matrices=False)[2][:10].T
    order = np.random.default_rng(0).permutation(len(y))
    return np.column_stack([x, np.ones(len(y))]), y, order[:150], order[150:]


def fit_logistic(x: Floats, y: Floats, kept: Any, penalty: float, steps: int = 12) -> Floats:
    """Ridge-penalised logistic regressions on the rows that each of `kept` (c, points) keeps, by Newton's method, shape (c, columns).

    The constant is penalised too, so that no rows at all give the weights zero.
    """
    w = np.zeros((len(kept), x.shape[1]))
    ridge = penalty * np.eye(x.shape[1])
    for start in range(0, len(kept), 1024):
        part = slice(start, start + 1024)
        mask = kept[part].astype(np.float64)
        for _ in range(steps):
            p = 1 / (1 + np.exp((w[part] @ x.T) * y))
            gradient = (mask * p * y) @ x - penalty * w[part]
            hessian = np.einsum("cp,pi,pj->cij", mask * p * (1 - p), x, x, optimize=True) + ridge
            w[part] += np.linalg.solve(hessian, gradient[..., None])[..., 0]
    return w


TABLE_GAMES: dict[str, Callable[[], Built]] = {
    "sure_digit": _sure_digit,
    "torn_digit": _torn_digit,
    "cat": _cat,
    "review_no": partial(_review, "No, it's not nearly as good as any of its influences."),
    "review_but": partial(_review, "Bisset delivers a game performance, but she cannot save the movie."),
    "forest": _forest,
    "tumour_mlp": _tumour_mlp,
    "wine_mlp": _wine_mlp,
    "tumour_boosting": _tumour_boosting,
    "diabetes_boosting": _diabetes_boosting,
    "data_points": _data_points,
    "data_groups": _data_groups,
}
"""Games with a complete table of 2^n values."""

TREE_GAMES = {f"trees{n}": n for n in tree_games.SIZES}


def build(folder: Path, name: str) -> None:
    """Write one game with its exact answers."""
    if name in TREE_GAMES:
        tree_games.build(folder, TREE_GAMES[name])
        return
    values, description = TABLE_GAMES[name]()
    save(folder, name, {"values": values, **exact_answers(values)}, {"description": description})


def exact_answers(values: Floats) -> dict[str, Floats]:
    """SV, and SII and STII of order 2, of a table (2^n,)."""
    found: dict[str, Floats] = {}
    for index, size in (("SV", 1), ("SII", 2), ("STII", 2)):
        answer = exact(values[:, None], Question(index))
        rows = [at for at, coalition in enumerate(answer.coalitions) if len(coalition) == size]
        found[index] = answer.values[rows, 0]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=TABLES)
    parser.add_argument("--games", help="names with commas; all by default")
    options = parser.parse_args()
    known = [*TREE_GAMES, *TABLE_GAMES]
    names = options.games.split(",") if options.games else known
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"unknown game {unknown[0]!r}; known: {', '.join(known)}")
    for name in names:
        if (options.out / f"{name}.npz").exists():
            print(f"{name}: there already", flush=True)
            continue
        began = time.perf_counter()
        build(options.out, name)
        print(f"{name}: {time.perf_counter() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
