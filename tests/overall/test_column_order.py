"""DataFrames in another order than the model's: refused wherever a game is made of them, and never computed on."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

import xai_ray as xr
from xai_ray.errors import InputError
from xai_ray.games.named_columns import check_column_order

pandas = pytest.importorskip("pandas", reason="pandas is not installed")

TABLE = pandas.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), columns=["a", "b", "c"])
TURNED = TABLE[["c", "b", "a"]]
FOREST = RandomForestRegressor(3, random_state=0).fit(TABLE, TABLE["a"] * TABLE["b"])
BACKGROUND, TURNED_BACKGROUND = xr.Marginal(TABLE[:8]), xr.Marginal(TURNED[:8])


def local(row, removal, players=None):
    return xr.ModelGame(FOREST.predict, row, players=players or xr.Columns(), removal=removal, behaviour=xr.Raw())


def overall(rows, removal):
    return xr.LossGame(FOREST.predict, rows, TABLE["a"], removal=removal, loss="squared_error")


MISTAKES = {
    "a row": lambda: local(TURNED.iloc[9], BACKGROUND),
    "a row as a table": lambda: local(TURNED[9:10], BACKGROUND),
    "a background": lambda: local(TABLE.iloc[9], TURNED_BACKGROUND),
    "players": lambda: local(TABLE.iloc[9].to_numpy(), BACKGROUND, xr.Columns(["c", "b", "a"])),
    "rows": lambda: overall(TURNED, BACKGROUND),
    "a background of rows": lambda: overall(TABLE, TURNED_BACKGROUND),
    "inputs": lambda: xr.VarianceGame(FOREST.predict, TURNED),
    "closed forms": lambda: xr.closed_form_values(FOREST.predict, TURNED, TABLE[:8]),
    "importance": lambda: xr.permutation_importance(FOREST.predict, TURNED, TABLE["a"], loss="squared_error"),
    "a function": lambda: check_column_order(partial(FOREST.predict), TURNED),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_another_order_is_refused(name):
    with pytest.raises(InputError, match=r"columns in different orders: in place 0 .* 'c', .* 'a'; put them") as told:
        MISTAKES[name]()
    assert "\n" not in str(told.value)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_one_order_or_no_names_go_through():
    named = local(TABLE.iloc[9], BACKGROUND, xr.Columns(["a", "b", "c"]))
    bare = local(TABLE.iloc[9].to_numpy(), xr.Marginal(TABLE[:8].to_numpy()))
    np.testing.assert_array_equal(xr.explain(named, budget="exact").values, xr.explain(bare, budget="exact").values)
    other = TABLE.rename(columns={"a": "x"})  # other names may be the same columns
    check_column_order(FOREST.predict, other, xr.Columns(["one", "two", "three"]), TABLE)
    check_column_order(lambda x: x, TURNED, None, None)
