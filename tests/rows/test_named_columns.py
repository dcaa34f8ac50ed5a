"""Columns of data frames: in the model's order whatever order they come in, or refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xai_ray as xr
from tests.rows.models import table
from xai_ray.errors import InputError

pd = pytest.importorskip("pandas")
NAMES = ["age", "height", "weight", "income"]
ROWS = pd.DataFrame(table(30, 4), columns=NAMES)
SHUFFLED = ["income", "age", "weight", "height"]


@pytest.fixture(scope="module")
def forest() -> Any:
    ensemble = pytest.importorskip("sklearn.ensemble")
    labels = (ROWS["age"] * ROWS["height"] + ROWS["weight"] > 0).astype(int)
    return ensemble.RandomForestClassifier(5, max_depth=3, random_state=0).fit(ROWS, labels)


def game(forest: Any, rows: Any, background: Any = ROWS, players: Any = None) -> xr.RowsGame:
    removal = xr.Marginal(background[:7])
    made: dict[str, Any] = {"removal": removal, "behaviour": xr.Probability(1), "outputs": "probabilities"}
    return xr.RowsGame(forest.predict_proba, rows, players=players or xr.Columns(), **made)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_rows_and_background_are_put_into_the_order_of_the_model(forest) -> None:
    want = game(forest, ROWS.to_numpy()[:6], ROWS.to_numpy())
    for rows, background in ((ROWS, ROWS), (ROWS[SHUFFLED], ROWS), (ROWS[SHUFFLED], ROWS[SHUFFLED])):
        found = game(forest, rows[:6], background)
        assert found.player_names == tuple(NAMES)
        np.testing.assert_array_equal(found.rows, want.rows)
        assert found.digest == want.digest
        values = xr.explain_rows(found, budget="exact").values
        np.testing.assert_array_equal(values, xr.explain_rows(want, budget="exact").values)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (ROWS.drop(columns="weight"), "rows: the model takes 'weight', which is not among its 3 columns"),
        (
            ROWS.assign(label=1),
            r"rows: the model takes 4 columns, .*column 'label' is none of them; leave it out with frame\.drop",
        ),
        (ROWS.set_axis(["age", "age", "weight", "income"], axis=1), "two columns are called 'age'"),
        (ROWS.assign(age="old"), "not numbers"),
    ],
)
def test_what_does_not_fit_is_named(forest, rows, words: str) -> None:
    with pytest.raises(InputError, match=words):
        game(forest, rows)


def test_a_background_without_a_column_is_named(forest) -> None:
    with pytest.raises(InputError, match="background: the model takes 'height'"):
        game(forest, ROWS, ROWS.drop(columns="height"))


def test_names_of_players_that_contradict_the_model_are_refused(forest) -> None:
    with pytest.raises(InputError, match="column 0 is named 'income', the model takes 'age' there"):
        game(forest, ROWS[SHUFFLED], players=xr.Columns(SHUFFLED))


def test_players_names_give_the_order_where_the_model_knows_none() -> None:
    def model(rows: np.ndarray) -> np.ndarray:
        return rows @ np.array([1.0, 10.0, 100.0, 1000.0])

    made: dict[str, Any] = {"removal": xr.Zeros(), "behaviour": xr.Raw()}
    found = xr.RowsGame(model, ROWS[SHUFFLED], players=xr.Columns(NAMES), **made)
    np.testing.assert_array_equal(found.rows, ROWS.to_numpy())
    plain = xr.RowsGame(model, ROWS[SHUFFLED], players=xr.Columns(), **made)
    np.testing.assert_array_equal(plain.rows, ROWS[SHUFFLED].to_numpy())
    assert plain.player_names == tuple(SHUFFLED)
    shown = xr.RowsGame(model, ROWS, players=xr.Columns(["Age", "Height", "Weight", "Income"]), **made)
    assert shown.player_names == ("Age", "Height", "Weight", "Income")
    groups = xr.RowsGame(
        model, ROWS, players=xr.ColumnGroups({"body": ["height", "weight"], "rest": ["age", "income"]}), **made
    )
    assert groups.n_players == 2
