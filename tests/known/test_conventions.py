"""Scores taken for probabilities and probabilities for scores: refused where the outputs show it."""

from __future__ import annotations

import numpy as np
import pytest

import xai_ray as xr
from xai_ray.errors import ModelOutputError, SpecError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 3)), RNG.integers(0, 2, 20)
SLOPES = RNG.normal(size=(3, 2))


def logits(rows):
    return rows @ SLOPES


def shares(rows):
    odds = np.exp(logits(rows))
    return odds / odds.sum(axis=1, keepdims=True)


def one(model, behaviour, **more):
    return xr.ModelGame(model, X[0], players=xr.Columns(), removal=xr.Zeros(), behaviour=behaviour, **more)


def whole(model, loss="cross_entropy", **more):
    return xr.LossGame(model, X, Y, removal=xr.Zeros(), loss=loss, **more)


@pytest.mark.parametrize("behaviour", [xr.LogOdds(), xr.Probability(), xr.LogProbability(), xr.Loss(1)])
def test_probabilities_that_nobody_named(behaviour):
    with pytest.raises(SpecError, match="add up to 1 in every row: say outputs='probabilities'"):
        one(shares, behaviour)
    one(shares, behaviour, outputs="probabilities")
    one(shares, behaviour, outputs="logits")
    one(logits, behaviour)


def test_probabilities_that_nobody_named_of_a_dataset():
    with pytest.raises(SpecError, match="say outputs='probabilities'"):
        whole(shares)
    whole(shares, outputs="logits")
    whole(logits)
    whole(shares, "squared_error", outputs="probabilities")


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error", "zero_one"])
@pytest.mark.parametrize(
    "model",
    [logits, lambda rows: 2 * shares(rows), lambda rows: 3 + logits(rows)[:, 0]],
    ids=["scores", "twice", "one"],
)
def test_scores_that_are_called_probabilities(model, loss):
    with pytest.raises(ModelOutputError, match=r"outputs='probabilities', but those of row 0 are .* and add up to"):
        whole(model, loss, outputs="probabilities")
    with pytest.raises(ModelOutputError, match="outputs='probabilities', but those of row"):
        one(lambda rows: 9 * logits(rows), xr.Probability(), outputs="probabilities")


def test_labels_that_do_not_exclude_one_another():
    """Probabilities of several labels need not add up to 1, where each is read by itself."""
    assert one(lambda rows: 1 / (1 + np.exp(-logits(rows))), xr.LogOdds("all"), outputs="probabilities").n_outputs == 2
