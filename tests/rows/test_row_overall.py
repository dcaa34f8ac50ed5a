"""What holds over all rows: block by block the same as from whole arrays, by name, by command and in the report."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv_files
import pytest

import xai_ray as xr
from tests.cli.conftest import cli
from tests.cli.runs import Cli
from tests.rows.models import tabular
from tests.rows.test_row_doors import folder, spec
from xai_ray.errors import InputError, NotEnoughSamples
from xai_ray.overall import dataset_strength, global_values

__all__ = ["cli", "folder"]

FIELDS = ("mean", "mean_std_errors", "absolute", "absolute_std_errors", "plug_in", "square", "square_std_errors")


def agree(found: object, expected: object, fields: tuple[str, ...] = FIELDS) -> None:
    for field in fields:
        np.testing.assert_allclose(getattr(found, field), getattr(expected, field), atol=1e-12, err_msg=field)


@pytest.mark.parametrize("unit_rows", [1, 4, 23])
def test_block_by_block_is_the_whole_table(unit_rows: int) -> None:
    found = xr.explain_rows(tabular(rows=23, columns=6), budget=50, unit_rows=unit_rows)
    whole = global_values(found.values, found.std_errors)
    agree(found.global_values(), whole, FIELDS[2:])
    # The mean, and its spread, are of the rows as a mean takes them.
    again = [block.asked(found.pool.design, found.asks[0]).over_rows for block in found.blocks()]
    shift = np.concatenate([over.shift for over in again if over is not None])[:, :, 0, 0]
    agree(found.global_values(), global_values(found.values + shift, found.std_errors), FIELDS[:2])
    np.testing.assert_allclose(found.global_values().mean, found.means[0].values[:, 0], atol=1e-12)
    assert found.global_values().rows == 23
    assert (whole.mean_std_errors > found.means[0].std_errors[:, 0]).all()  # rows are drawn too


def test_interactions_and_their_strength() -> None:
    asks = [xr.Ask(xr.Question("SII", 2)), xr.Ask(xr.Question("MOI", contexts=(0, 2, 4)))]
    game = tabular(rows=9, columns=6, classes=3, behaviour=xr.Logit("all"))
    found = xr.explain_rows(game, budget="exact", asks=asks, unit_rows=4)
    agree(found.global_values(0), global_values(found.values, found.std_errors))
    alone = found.ask("MOI", contexts=[0, 2, 4])
    strength = dataset_strength(alone.values, alone.std_errors, (0, 2, 4))
    assert found.strength(1).absolute.shape == (3, 3)
    agree(found.strength(1), strength, ("absolute", "absolute_std_errors", "normalised", "normalised_std_errors"))
    assert found.global_values(1).absolute.shape == (15, 3, 3)
    with pytest.raises(InputError, match="no values of pairs by context"):
        found.strength(0)


def test_a_row_without_a_value_is_named() -> None:
    from dataclasses import replace

    found = xr.explain_rows(tabular(rows=6, columns=4), budget="exact", unit_rows=2)
    blocks = list(found.blocks())
    blocks[1].answers[0].values[1, 2] = np.nan
    broken = replace(found, pool=replace(found.pool, blocks=lambda: iter(blocks)))
    with pytest.raises(NotEnoughSamples, match=r"row 3 has no value of .*more evaluations a row"):
        broken.global_values()


def test_one_command_from_a_dataset_to_its_global_explanation(cli: Cli, folder: Path) -> None:
    asks = [{"index": "SV"}, {"index": "SII"}, {"index": "MOI", "orders": [0.0, 0.5, 1.0]}]
    source = spec(folder, {"dataset": "rows.parquet", "id": "who"}, ask=asks, budget={"evaluations": "exact"})
    ended = cli("run", source, "--store", "runs", "--out", "out", "-q")
    assert ended.code == 0, ended.err
    job = cli("list", "--store", "runs", "--json").json[0]["job"]
    whole = xr.open_rows(job, "runs")
    document = cli("result", job, "--store", "runs", "--global", "--format", "json").json
    assert (document["rows"], [entry["index"] for entry in document["global"]]) == (12, ["SV", "SII", "MOI"])
    values = global_values(whole.values, whole.std_errors)
    np.testing.assert_allclose(document["global"][0]["absolute"], values.absolute, atol=1e-12)
    np.testing.assert_allclose(document["global"][0]["mean_std_errors"], values.mean_std_errors, atol=1e-12)
    assert len(document["global"][1]["coalitions"]) == 15
    assert len(document["global"][2]["strength"]["normalised"]) == 3
    lines = csv_files.read_csv(io.BytesIO(cli("result", job, "--store", "runs", "--global", "--format", "csv").out))
    assert lines.num_rows == 6 + 15 + 15 * 3
    table = pa.ipc.open_file(cli("result", job, "--store", "runs", "--global", "--format", "arrow").out).read_all()
    assert table["absolute"].to_pylist() == lines["absolute"].to_pylist()
    told = cli("result", job, "--store", "runs", "--global").text
    assert "over all rows" in told
    assert "strength of interactions" in told
    asked = cli("result", job, "--store", "runs", "--global", "--ask", "BV", "--format", "json").json["global"]
    assert [entry["index"] for entry in asked] == ["BV"]
    page = Path("out/report.html").read_text(encoding="utf-8")
    for heading in ("Importance: SV", "Every row", "Interaction strength per order", "Means over 12 rows"):
        assert heading in page
    assert "Over 12 rows the largest mean |SV|" in page


def test_global_is_of_rows(cli: Cli, tmp_path: Path) -> None:
    from tests.cli.runs import glove, written

    assert cli("run", written(tmp_path, glove()), "--store", "runs", "-q").code == 0
    job = cli("list", "--store", "runs", "--json").json[0]["job"]
    ended = cli("result", job, "--store", "runs", "--global")
    assert (ended.code, ended.out) == (2, b"")
    assert "--global is of rows of a dataset" in ended.err
    assert cli("result", job, "--store", "runs", "--global", "--bands", "--format", "json").code == 2
