"""Shapley values of every row of a forest without evaluations: rows per CPU second beside shap's interventional trees; one JSON line
each.

    python benchmarks/closed_forms.py [--trees 100] [--background 100]

The forest predicts the tumour of the breast-cancer data from 30 columns; both sides answer the same marginal game of the same background
rows. Where they differ, a tree on which they do so is enumerated: all coalitions of the columns that the tree uses.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestRegressor

import xai_ray as xr
from xai_ray.zoo.tumour import tumour_data

# numba, which shap loads, looks for a package called as a file beside this one.
sys.path = [folder for folder in sys.path if Path(folder).resolve() != Path(__file__).resolve().parent]
import shap  # noqa: E402

LARGEST_ENUMERATED = 14
"""Columns of a tree up to which it is enumerated."""


def theirs(model, background, rows):
    masker = shap.maskers.Independent(background, max_samples=len(background))
    explainer = shap.TreeExplainer(model, masker, feature_perturbation="interventional")
    return explainer.shap_values(rows, check_additivity=False)


def timed(call):
    began = time.process_time()
    found = call()
    return found, time.process_time() - began


def enumerated(forest, background, row, far):
    """Largest error of both sides on the first small tree on which they differ by more than `far`; None if there is none."""
    for tree in forest.estimators_:
        used = np.unique(tree.tree_.feature[tree.tree_.feature >= 0])
        if len(used) > LARGEST_ENUMERATED:
            continue
        ours = xr.closed_form_values(tree.predict, row[None], background).values[0, :, 0]
        other = theirs(tree, background, row[None])[0]
        if np.abs(ours - other).max() <= far:
            continue
        rest = [c for c in range(len(row)) if c not in used]
        groups = {str(c): [int(c)] for c in used} | ({"rest": rest} if rest else {})
        game = xr.ModelGame(
            tree.predict, row, players=xr.ColumnGroups(groups), removal=xr.Marginal(background), behaviour=xr.Raw()
        )
        truth = xr.explain(game, budget="exact").values[: len(used)]
        return {"ours": float(np.abs(truth - ours[used]).max()), "shap": float(np.abs(truth - other[used]).max())}
    return None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--background", type=int, default=100)
    given = parser.parse_args()
    data = tumour_data()
    forest = RandomForestRegressor(given.trees, random_state=0, n_jobs=1)
    forest.fit(data.rows[data.train], data.labels[data.train].astype(float))
    background = data.rows[data.train[: given.background]]
    rng = np.random.default_rng(0)
    many = np.tile(data.rows, (18, 1))[:10_000]
    many = many + 1e-3 * data.rows.std(axis=0) * rng.normal(size=many.shape)
    xr.closed_form_values(forest.predict, many[:1], background), theirs(forest, background, many[:1])
    for rows in (data.rows[:1], data.rows, many):
        ours, seconds = timed(lambda rows=rows: xr.closed_form_values(forest.predict, rows, background))
        other, their_seconds = timed(lambda rows=rows: theirs(forest, background, rows))
        gap = np.abs(ours.values[:, :, 0] - other).max(axis=1)
        worst = int(gap.argmax())
        found = enumerated(forest, background, rows[worst], 1e-6) if gap[worst] > 1e-6 else None
        line = {
            "rows": len(rows),
            "rows per CPU second": round(len(rows) / seconds),
            "shap rows per CPU second": round(len(rows) / their_seconds),
            "largest difference": float(gap[worst]),
            "rows that differ by 1e-6": int((gap > 1e-6).sum()),
            "largest error of an enumerated tree": found,
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
