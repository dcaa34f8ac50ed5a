"""Columns of every table are taken by name: rows, backgrounds and labelled rows in any order give the same game."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xai_ray.build import prepare
from xai_ray.errors import InputError
from xai_ray.games.named_columns import column_order
from xai_ray.spec import parse

NAMES = ("a", "b", "c")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = np.random.default_rng(0).normal(size=(12, 3)).round(3)
    for name, order in (("rows", (0, 1, 2)), ("turned", (2, 0, 1))):
        lines = [",".join(NAMES[i] for i in order), *(",".join(str(row[i]) for i in order) for row in rows)]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    (tmp_path / "other.csv").write_text("a,b,d\n1,2,3\n4,5,6\n")
    np.save(tmp_path / "bare.npy", rows)
    return tmp_path


def values_of(folder: Path, model: str, table: str, background: str, many: bool) -> Any:
    given = {"dataset": table} if many else {"table": table, "row": 0}
    game = {
        "kind": "model",
        "model": {"factory": f"tests.cli.column_models:{model}"},
        "input": given,
        "players": {"kind": "columns"},
        "removal": {"kind": "marginal", "background": {"table": background}},
        "behaviour": {"kind": "raw"},
    }
    spec = {"game": game, "ask": [{"index": "SV"}], "budget": {"evaluations": "exact"}}
    made = prepare(parse(spec), folder).game
    present = np.array([[True, False, False]])
    if many:
        return made.rows.player_names, made.rows.row_values(np.zeros(1, dtype=np.int64), present, np.full(1, -1))
    return made.player_names, made.values(present, np.full(1, -1))


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize(
    ("table", "background"), [("turned.csv", "rows.csv"), ("rows.csv", "turned.csv"), ("turned.csv", "turned.csv")]
)
def test_tables_in_any_order_are_the_same_game(folder: Path, table: str, background: str, many: bool) -> None:
    names, plain = values_of(folder, "named", "rows.csv", "rows.csv", many)
    assert names == NAMES
    turned, values = values_of(folder, "named", table, background, many)
    assert turned == NAMES
    assert np.array_equal(plain, values)


@pytest.mark.parametrize("many", [False, True])
def test_a_background_follows_the_rows_of_a_model_without_names(folder: Path, many: bool) -> None:
    plain = values_of(folder, "unnamed", "rows.csv", "rows.csv", many)[1]
    assert np.array_equal(plain, values_of(folder, "unnamed", "rows.csv", "turned.csv", many)[1])
    assert np.array_equal(plain, values_of(folder, "unnamed", "rows.csv", "bare.npy", many)[1])
    with pytest.raises(InputError, match=r"removal\.background: the input has 'c', .* column 'd' is none of them"):
        values_of(folder, "unnamed", "rows.csv", "other.csv", many)


@pytest.mark.parametrize("many", [False, True])
def test_other_columns_than_the_models_are_refused_by_name(folder: Path, many: bool) -> None:
    with pytest.raises(InputError, match=r"game\.input.*'c'.*'d'"):
        values_of(folder, "named", "other.csv", "rows.csv", many)


def test_arrays_have_places_alone() -> None:
    assert column_order(["column 0", "column 1"], ["a", "b"], "x") is None
    assert column_order(["b", "a"], [], "x") is None
    assert column_order(["b", "a"], ["a", "b"], "x") == [1, 0]
    with pytest.raises(InputError, match="x: 2 columns, the model takes 3"):
        column_order(["column 0", "column 1"], ["a", "b", "c"], "x")
