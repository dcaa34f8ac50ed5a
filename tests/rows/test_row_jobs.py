"""Dataset jobs: the same bits inline, on Ray, interrupted and resumed; rows stop one by one; intervals cover; questions later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import xai_ray as xr
from tests.rows.models import Net, table, tabular
from xai_ray.engine import Engine
from xai_ray.errors import Cancelled, DigestMismatch, NonFiniteValue, SpecError
from xai_ray.estimators import boundaries
from xai_ray.estimators.gp_shared import SharedProcess
from xai_ray.estimators.observed import Observed
from xai_ray.stores import MemoryStore, open_store

RULES = {"relative_error": 0.01}


def bits(found: xr.RowsResult) -> tuple[bytes, ...]:
    mean, whole = found.means[0], found.global_values()
    own = (found.values, found.std_errors, found.row_evaluations)
    return tuple(part.tobytes() for part in (*own, mean.values, mean.std_errors, whole.mean, whole.mean_std_errors))


@pytest.mark.ray
def test_ray_gives_the_bits_of_inline() -> None:
    from xai_ray.engine import RayEngine
    from xai_ray.engine.ray_connection import connected

    game = tabular(rows=23)
    inline = xr.explain_rows(game, budget=120, unit_rows=4, **RULES)
    assert len(set(inline.row_evaluations.tolist())) > 1
    with connected(address=None, cpus=4):
        engine: Engine = RayEngine(actors=2, gpus_per_actor=0)
        assert bits(xr.explain_rows(game, budget=120, unit_rows=4, engine=engine, **RULES)) == bits(inline)


class Until:
    """A watcher that cancels the job once so many evaluations are committed."""

    def __init__(self, store: object, most: int) -> None:
        self.store, self.most, self.job = store, most, ""

    def started(self, job: str, evaluations: int, done: int) -> None:
        self.job = job

    def advanced(self, done: int) -> None:
        if done >= self.most:
            self.store.cancel(self.job, True)  # pyright: ignore[reportAttributeAccessIssue]

    def estimated(self, estimates: object) -> None: ...
    def judged(self, verdicts: object) -> None: ...


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_a_cancelled_job_goes_on_to_the_same_bits(kind: str, tmp_path: Path) -> None:
    game = tabular(rows=17)
    undisturbed = xr.explain_rows(game, budget=100, unit_rows=3, seed=4)
    store = MemoryStore() if kind == "memory" else open_store(f"file://{tmp_path}/runs")
    game.row_values = _slowed(game)  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(Cancelled):
        xr.explain_rows(game, budget=100, unit_rows=3, seed=4, store=store, watcher=Until(store, 300))
    job = store.jobs()[0]
    some = xr.open_rows(job, store, partial=True)
    assert 3 <= some.n_rows < 17
    assert (some.values == undisturbed.values[: some.n_rows]).all()
    again = xr.explain_rows(tabular(rows=17), budget=100, unit_rows=3, seed=4, store=store)
    assert bits(again) == bits(undisturbed)
    assert bits(xr.open_rows(job, store)) == bits(undisturbed)


def _slowed(game: xr.RowsGame):
    import time

    def slow(rows, coalitions, context):
        time.sleep(0.2)  # the cancel flag is read every half second
        return type(game).row_values(game, rows, coalitions, context)

    return slow


def test_each_row_stops_when_it_is_precise_enough() -> None:
    game = tabular(rows=40)
    found = xr.explain_rows(game, budget=200, unit_rows=8, **RULES)
    values, errors = found.values, found.std_errors
    each = found.pool.design.each
    looks = {each.evaluations(d) for d in boundaries(each, found.pool.design.draws)}
    spent = found.row_evaluations
    assert set(spent.tolist()) <= looks
    assert spent.min() < 200
    ready = errors.max(axis=1) <= 0.01 * np.ptp(values, axis=1)
    assert ready[spent < spent.max()].all()
    assert found.pool.sums.open == (~ready).sum()
    whole = xr.explain_rows(game, budget=200, unit_rows=8)
    assert (whole.row_evaluations == 200).all()
    # Values that were evaluated before the stop are those of the whole run.
    for few, all_of_them in zip(found.pool.blocks(), whole.pool.blocks(), strict=True):
        for own, longer in zip(few.values, all_of_them.values, strict=True):
            np.testing.assert_allclose(own, longer[: len(own)], atol=1e-12)


def test_a_precision_that_is_out_of_reach_is_said() -> None:
    found = xr.explain_rows(tabular(rows=5), budget=60, std_error=1e-9)
    assert found.pool.sums.open == 5
    assert found.provenance["precise"] is False
    assert "5 of 5 rows" in found.provenance["stop"]["open"][0]


def test_what_means_take_is_computed_only_for_rows_that_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    own = SharedProcess.over_rows

    def counted(self: SharedProcess, partial: Observed) -> object:
        asked.append(len(partial.rows().coalitions))
        return own(self, partial)

    monkeypatch.setattr(SharedProcess, "over_rows", counted)
    stopped = xr.explain_rows(tabular(rows=5), budget=200, std_error=1e-9)
    assert asked == [200]
    assert stopped.means[0].values.tobytes() == xr.explain_rows(tabular(rows=5), budget=200).means[0].values.tobytes()


@pytest.mark.parametrize("estimator", ["leverage", "permutation"])
@pytest.mark.parametrize("samples", [None, 4])
def test_intervals_cover_over_rows(estimator: str, samples: int | None) -> None:
    model = Net(8, 1).double()
    background = table(12, 8, 9)
    settings = {"players": xr.Columns(), "behaviour": xr.Raw(), "batch": 1024}
    game = xr.RowsGame(model, table(300, 8), removal=xr.Marginal(background, samples), **settings)
    found = xr.explain_rows(game, budget=128, estimator=estimator, seed=3)
    exact = xr.RowsGame(model, table(300, 8), removal=xr.Marginal(background), **settings)
    truth = xr.explain_rows(exact, budget="exact").values
    blocks = found.pool.blocks()
    from scipy.stats import t as student

    freedom = np.concatenate([b.answers[0].freedom for b in blocks])
    width = student.ppf(0.975, freedom)[:, None] * found.std_errors
    inside = (np.abs(found.values - truth) <= width + 1e-12).mean()
    assert 0.92 <= inside <= 0.98
    # Errors of rows are independent, so the mean over rows is as precise as it says.
    mean = found.means[0]
    z = (mean.values[:, 0] - truth.mean(axis=0)) / mean.std_errors[:, 0]
    assert (z**2).mean() < 3.0


def test_other_questions_from_the_same_values() -> None:
    game = tabular(rows=9)
    found = xr.explain_rows(game, budget=200, unit_rows=4)
    asked = found.ask("SII", order=2, estimator="gp")
    exact = xr.explain_rows(game, "SII", order=2, budget="exact").values
    assert asked.values.shape == exact.shape == (9, 28)
    assert np.sqrt(((asked.values - exact) ** 2).mean()) < 0.3 * exact.std()
    banzhaf = found.ask("BV", estimator="gp").values
    assert np.corrcoef(banzhaf.ravel(), xr.explain_rows(game, "BV", budget="exact").values.ravel())[0, 1] > 0.99
    with pytest.raises(SpecError, match="groups"):
        found.asked(xr.Question("OWEN", groups=((0, 1), (2, 3, 4, 5, 6, 7))))


def test_several_questions_contexts_and_outputs_in_one_table() -> None:
    game = tabular(rows=5, columns=5, classes=3, behaviour=xr.Logit("all"))
    asks = [xr.Ask(xr.Question("SV")), xr.Ask(xr.Question("MOI", contexts=(0, 2)))]
    found = xr.explain_rows(game, budget="exact", asks=asks, unit_rows=2)
    assert found.values.shape == (5, 5, 3)
    lines = found.table()
    assert lines.num_rows == 5 * 2 * 3
    first = lines.filter(pa.compute.equal(lines["index"], "SV"))
    assert np.array(first["values"].to_pylist()).reshape(5, 3, 5).transpose(0, 2, 1).tolist() == found.values.tolist()
    other = lines.filter(pa.compute.equal(lines["index"], "MOI"))
    assert len(other["values"][0]) == 10 * 2
    one = xr.ModelGame(
        Net(5, 3).double(),
        np.array(game.rows[3]),
        players=xr.Columns(),
        removal=xr.Marginal(table(5, 5, 9)),
        behaviour=xr.Logit("all"),
    )
    alone = xr.explain(one, budget="exact", asks=asks).estimates[1].values
    mine = np.array(other["values"].to_pylist()[3 * 3 : 4 * 3]).reshape(3, 10, 2)
    np.testing.assert_allclose(mine.transpose(1, 2, 0), alone, atol=1e-10)


def test_duplicate_coalitions_of_a_row_are_evaluated_once() -> None:
    game = tabular(rows=3, columns=5)
    seen = 0
    inner = game.row_values

    def counting(rows, coalitions, context):
        nonlocal seen
        seen += len(rows)
        return inner(rows, coalitions, context)

    game.row_values = counting  # pyright: ignore[reportAttributeAccessIssue]
    found = xr.explain_rows(game, "SV", estimator="permutation", budget=31)
    assert (found.row_evaluations == 26).all()
    # Three orders and their reverses begin with one of five players each.
    assert seen < 3 * 26


def test_shap_pandas_and_files(tmp_path: Path) -> None:
    pytest.importorskip("shap")
    game = tabular(rows=6, row_ids=tuple("abcdef"))
    found = xr.explain_rows(game, budget=80, store=str(tmp_path))
    explanation = found.to_shap()
    assert (explanation.values == found.values).all()
    assert (explanation.data == game.rows).all()
    np.testing.assert_allclose(explanation.values.sum(axis=1) + explanation.base_values, found.full_values)
    frame = found.to_pandas()
    assert list(frame.index) == list("abcdef")
    assert list(frame.columns) == list(game.player_names)
    xr.open_result(found.job, str(tmp_path)).save(tmp_path / "out")
    with pa.ipc.open_file(str(tmp_path / "out" / "result.arrow")) as reader:
        read = reader.read_all()
    assert np.array(read["values"].to_pylist()).tolist() == found.values.tolist()
    assert read["id"].to_pylist() == list("abcdef")


def test_seconds_end_a_job_after_whole_units() -> None:
    game = tabular(rows=20)
    inner = game.row_values

    def slow(rows, coalitions, context):
        import time

        time.sleep(0.05)
        return inner(rows, coalitions, context)

    game.row_values = slow  # pyright: ignore[reportAttributeAccessIssue]
    found = xr.explain_rows(game, budget=60, unit_rows=2, seconds=0.12)
    assert 2 <= found.n_rows < 20
    assert found.n_rows % 2 == 0
    assert len(found.values) == found.n_rows


def test_another_dataset_is_refused_with_the_reason(tmp_path: Path) -> None:
    from xai_ray.row_jobs import check_same_rows, job_game

    store = open_store(f"file://{tmp_path}/runs")
    manifest = store.manifest(xr.explain_rows(tabular(rows=6), budget=60, store=store).job)
    with pytest.raises(DigestMismatch, match="shrank from 6 to 5"):
        check_same_rows(manifest, job_game(manifest, tabular(rows=5)))
    changed = tabular(rows=6)
    other = xr.RowsGame(
        Net(8, 1).double(),
        changed.rows + 1,
        players=xr.Columns(),
        removal=xr.Marginal(table(5, 8, 9)),
        behaviour=xr.Raw(),
    )
    with pytest.raises(DigestMismatch, match="6 rows of the dataset changed"):
        check_same_rows(manifest, job_game(manifest, other))
    check_same_rows(manifest, job_game(manifest, tabular(rows=6)))


def test_a_failing_unit_leaves_the_others(tmp_path: Path) -> None:
    rows = table(6, 4)
    rows[4, 0] = 1e9

    def model(x: np.ndarray) -> np.ndarray:
        return np.where(x[:, 0] > 1e8, np.nan, x[:, 0])

    game = xr.RowsGame(model, rows, players=xr.Columns(), removal=xr.Zeros(), behaviour=xr.Raw())
    store = open_store(f"file://{tmp_path}/runs")
    with pytest.raises(NonFiniteValue, match="row 4"):
        xr.explain_rows(game, budget="exact", store=store, unit_rows=2)
    assert xr.open_rows(store.jobs()[0], store, partial=True).n_rows == 4
