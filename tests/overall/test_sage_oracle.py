"""SAGE values against the package of the paper's authors, where it is installed: their permutation estimate, within its own error."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import xai_ray as xr
from xai_ray.games import LossGame, Marginal

DATA = load_iris()
MODEL = LogisticRegression(max_iter=500).fit(DATA.data, DATA.target)
ROWS, LABELS, BACKGROUND = DATA.data[::3], DATA.target[::3], DATA.data[1::8]


def game(y, **more):
    arguments = {"removal": Marginal(BACKGROUND), "loss": "cross_entropy", "outputs": "probabilities"}
    return LossGame(MODEL.predict_proba, ROWS, y, **arguments, **more)


@pytest.mark.parametrize("labels", [LABELS, None], ids=["labels", "output"])
def test_equals_the_authors_estimate(labels):
    sage = pytest.importorskip("sage")
    exact = xr.explain(game(labels), budget="exact").values
    imputer = sage.MarginalImputer(MODEL.predict_proba, BACKGROUND)
    theirs = sage.PermutationEstimator(imputer, "cross entropy", random_state=0)(
        ROWS, labels, batch_size=256, n_permutations=2048, detect_convergence=False, bar=False
    )
    assert np.abs((theirs.values - exact) / theirs.std).max() < 4.5
    ours = xr.explain(game(labels, rows=1), budget=2048 * 8 + 2, estimator="permutation")
    assert np.abs((ours.values - exact) / ours.std_errors).max() < 4.5
    assert ours.std_errors.max() < theirs.std.max()  # a permutation and its reverse, on the same row
