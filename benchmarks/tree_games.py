"""Games of boosted trees with 30, 60 and 100 columns whose answers are known exactly.

v(S) is the mean prediction over a few reference rows when the columns of S come from the explained row and the others from the
reference row (interventional removal). For one reference row a leaf is reached exactly when S contains a set A of columns and
misses a set R: v is a sum of conjunctions, and with a = |A|, r = |R| and B the beta function (Shapley, SII and Shapley-Taylor are
mixtures over the keep-rate q with densities 1, 1 and 2(1 - q)):

    SV_i     B(a, r + 1) for i in A, -B(a + 1, r) for i in R
    SII_ij   B(a - 1, r + 1) both in A, B(a + 1, r - 1) both in R, -B(a, r) one in each
    STII_ij  2 B(a - 1, r + 2), 2 B(a + 1, r), -2 B(a, r + 1)

The Shapley values are checked against interventional TreeSHAP of the package `shap` when a game is built.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import beta
from stored_games import Floats, Masks, save

ROWS, TREES, DEPTH, REFERENCES = 1500, 120, 4, 5
SIZES = (30, 60, 100)


def correlated_data(n: int, seed: int) -> tuple[Floats, Floats]:
    """Columns with correlation 0.6^|i - j| and a response with main effects, products, thresholds and a saturating part."""
    rng = np.random.default_rng(seed)
    lags = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    x = rng.normal(size=(ROWS, n)) @ np.linalg.cholesky(0.6**lags).T
    active = rng.permutation(n)[: n // 2]
    y = x[:, active] @ (rng.normal(size=len(active)) / np.sqrt(len(active)))
    for i, j in rng.choice(active, size=(n // 4, 2)):
        y += rng.normal() * (x[:, i] * x[:, j] if rng.random() < 0.5 else (x[:, i] > 0) * (x[:, j] > 0))
    y += 2 * np.tanh(x[:, active[:5]].sum(axis=1)) + 0.3 * rng.normal(size=ROWS)
    # The trees read float32; rounding first makes every comparison the same on all sides.
    return x.astype(np.float32).astype(np.float64), y


def leaf_conjunctions(model: Any, row: Floats, reference: Floats) -> tuple[Masks, Masks, Floats]:
    """Of a fitted GradientBoostingRegressor: `inside`, `outside` (L, n) and `weights` (L,) of the leaves that some S reaches."""
    n = len(row)
    found: list[tuple[frozenset[int], frozenset[int], float]] = []
    for stage in model.estimators_[:, 0]:
        tree = stage.tree_
        todo: list[tuple[int, frozenset[int], frozenset[int]]] = [(0, frozenset(), frozenset())]
        while todo:
            node, inside, outside = todo.pop()
            if tree.children_left[node] < 0:
                found.append((inside, outside, model.learning_rate * float(tree.value[node, 0, 0])))
                continue
            column, cut = int(tree.feature[node]), tree.threshold[node]
            for child, left in ((tree.children_left[node], True), (tree.children_right[node], False)):
                goes, other = (row[column] <= cut) == left, (reference[column] <= cut) == left
                if goes and other:
                    todo.append((child, inside, outside))
                elif goes and column not in outside:
                    todo.append((child, inside | {column}, outside))
                elif other and column not in inside:
                    todo.append((child, inside, outside | {column}))
    inside, outside = np.zeros((len(found), n), dtype=bool), np.zeros((len(found), n), dtype=bool)
    for k, (a, r, _) in enumerate(found):
        inside[k, list(a)] = True
        outside[k, list(r)] = True
    return inside, outside, np.array([weight for _, _, weight in found])


def answers(inside: Masks, outside: Masks, weights: Floats) -> dict[str, Floats]:
    """Exact SV (n,), SII and STII (one entry a pair, lexicographic) of a sum of conjunctions."""
    a, r = inside.sum(axis=1), outside.sum(axis=1)
    A, R = inside.astype(np.float64), outside.astype(np.float64)
    value = A.T @ (weights * _beta(a, r + 1)) - R.T @ (weights * _beta(a + 1, r))

    def pairs(both_in: Floats, both_out: Floats, apart: Floats) -> Floats:
        mixed = (A * (weights * apart)[:, None]).T @ R
        square = (A * (weights * both_in)[:, None]).T @ A + (R * (weights * both_out)[:, None]).T @ R - mixed - mixed.T
        return square[np.triu_indices(A.shape[1], 1)]

    return {
        "SV": value,
        "SII": pairs(_beta(a - 1, r + 1), _beta(a + 1, r - 1), _beta(a, r)),
        "STII": 2 * pairs(_beta(a - 1, r + 2), _beta(a + 1, r), _beta(a, r + 1)),
    }


def _beta(x: npt.NDArray[np.int64], y: npt.NDArray[np.int64]) -> Floats:
    """The beta function, zero where an argument is not positive (no such player or pair exists then)."""
    return np.where((x > 0) & (y > 0), beta(np.maximum(x, 1), np.maximum(y, 1)), 0.0)


def tree_game(n: int, seed: int, trees: int = TREES) -> tuple[dict[str, npt.NDArray[Any]], Any, Floats, Floats]:
    """Arrays of the game, and the model, row and references they come from."""
    from sklearn.ensemble import GradientBoostingRegressor

    x, y = correlated_data(n, seed)
    model: Any = GradientBoostingRegressor(
        n_estimators=trees, max_depth=DEPTH, max_features=0.4, subsample=0.7, random_state=seed
    ).fit(x, y)
    row, references = x[0], x[1 : 1 + REFERENCES]
    parts = [leaf_conjunctions(model, row, reference) for reference in references]
    inside, outside = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    weights = np.concatenate([part[2] for part in parts]) / REFERENCES
    base = float(model.init_.constant_.ravel()[0])
    inside, outside = np.vstack([inside, np.zeros(n, bool)]), np.vstack([outside, np.zeros(n, bool)])
    weights = np.append(weights, base)
    return (
        {"inside": inside, "outside": outside, "weights": weights, **answers(inside, outside, weights)},
        model,
        row,
        references,
    )


def tree_shap(model: Any, row: Floats, references: Floats) -> Floats:
    """Shapley values by interventional TreeSHAP."""
    shap: Any = import_module("shap")
    explainer = shap.TreeExplainer(model, data=references, feature_perturbation="interventional")
    return np.asarray(explainer.shap_values(row[None], check_additivity=False), dtype=np.float64).reshape(-1)


def build(folder: Path, n: int, seed: int = 0) -> None:
    """Write `trees<n>`. Raises ArithmeticError when the closed form and TreeSHAP disagree."""
    arrays, model, row, references = tree_game(n, seed)
    away = float(np.abs(arrays["SV"] - tree_shap(model, row, references)).max())
    if away > 1e-5 * float(np.abs(arrays["SV"]).max()):
        raise ArithmeticError(f"trees{n}: closed form and TreeSHAP differ by {away:.3g}")
    facts: dict[str, object] = {
        "description": f"{TREES} boosted trees of depth {DEPTH} on {n} correlated columns, "
        f"columns replaced by those of {REFERENCES} reference rows",
        "conjunctions": len(arrays["weights"]),
        "largest_difference_from_tree_shap": away,
    }
    save(folder, f"trees{n}", arrays, facts)
