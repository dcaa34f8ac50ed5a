"""`jobs/value_reviews.toml`: snippets whose labels are wrong gather at the low end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from xai_ray.api import explain
from xai_ray.build import game_of
from xai_ray.errors import InputError
from xai_ray.spec import load, parse

JOB = Path(__file__).parents[2] / "jobs" / "value_reviews.toml"


def test_wrong_labels_are_worth_less() -> None:
    spec = load(JOB)
    game = game_of(spec, JOB.parent)
    assert game.n_players == 280
    wrong = np.array([name.startswith("not ") for name in game.player_names])
    assert wrong.sum() == 56
    found = explain(game, "SV", estimator="permutation", budget=30_000, seed=spec.seed)
    assert roc_auc_score(wrong, -found.values.ravel()) > 0.68
    assert game_of(spec, JOB.parent).digest == game.digest


@pytest.mark.parametrize("arguments", [{"points": 300, "tests": 101}, {"flipped": 1.5}, {"points": 0}])
def test_more_than_there_is(arguments: dict[str, float]) -> None:
    document = load(JOB).model_dump(exclude_none=True)
    document["game"]["data"]["arguments"] = arguments
    with pytest.raises(InputError, match="400 snippets are there"):
        game_of(parse(document), JOB.parent)
