"""Inputs with players of their own: every text with its words, exact where it is short, resumed, in one table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import xai_ray as xr
from tests.rows.models import Net
from xai_ray.errors import BudgetTooSmall, InputError, SpecError
from xai_ray.stores import MemoryStore, open_store

LENGTHS = (2, 9, 5)


def rows() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=length) for length in LENGTHS]


def made(x: np.ndarray) -> xr.ModelGame:
    model = Net(len(x), 1).double()
    return xr.ModelGame(model, x, players=xr.Columns(), removal=xr.Zeros(), behaviour=xr.Raw())


def test_each_has_its_own_players_and_is_exact_where_it_is_short() -> None:
    found = list(xr.explain_each(made, rows(), budget=60, seed=3))
    assert [len(one.players) for one in found] == list(LENGTHS)
    assert [one.evaluations for one in found] == [4, 60, 32]
    for one, x in zip(found, rows(), strict=True):
        alone = xr.explain(made(x), budget=60, seed=3)
        assert one.values.tobytes() == alone.values.tobytes()
        np.testing.assert_allclose(one.values.sum(), one.ends[1, 0] - one.ends[0, 0], atol=1e-9)
    assert (found[0].std_errors == 0).all()
    assert (found[1].std_errors > 0).all()


def test_one_table_with_lists(tmp_path: Path) -> None:
    asks = [xr.Ask(xr.Question("SV")), xr.Ask(xr.Question("MOI", contexts=(0,)))]
    results = list(xr.explain_each(made, rows(), budget="exact", asks=asks))
    table = xr.each_table(results, ids=["a", "b", "c"])
    assert table["row"].to_pylist() == [0, 0, 1, 1, 2, 2]
    assert table["id"].to_pylist() == list("aabbcc")
    assert table["values"][2].as_py() == results[1].values.tolist()
    assert table["sets"][1].as_py() == [[0, 1]]
    assert (table["contexts"][0].as_py(), table["contexts"][1].as_py()) == (None, [0])
    assert [len(p) for p in table["players"].to_pylist()] == [2, 2, 9, 9, 5, 5]
    path = xr.write_each(iter(results), tmp_path / "each.arrow", ids=["a", "b", "c"])
    with pa.ipc.open_file(str(path)) as reader:
        assert reader.read_all().equals(table)
    with pytest.raises(InputError, match="2 ids"):
        xr.each_table(results, ids=["a", "b"])


def test_it_goes_on_where_it_ended(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/runs")
    running = xr.explain_each(made, rows(), budget=60, store=store)
    first = next(running)
    assert len(store.jobs()) == 1
    found = list(xr.explain_each(made, rows(), budget=60, store=store))
    assert found[0].job == first.job
    assert len(store.jobs()) == 3
    whole = list(xr.explain_each(made, rows(), budget=60))
    assert [one.values.tobytes() for one in found] == [one.values.tobytes() for one in whole]
    starts = [e for e in store.events(first.job) if e["event"] == "started"]
    assert starts[-1]["pending"] == 0


def test_what_is_wrong_names_the_input() -> None:
    with pytest.raises(BudgetTooSmall, match="input 1: budget of 10"):
        list(xr.explain_each(made, rows(), budget=10, estimator="leverage"))
    with pytest.raises(SpecError, match="a function from an input to its game"):
        next(xr.explain_each(3, rows(), budget=10))  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"input 1: .*row|input 1: .*not finite|input 1: "):
        list(xr.explain_each(made, [np.ones(3), np.array([np.nan, 1.0])], budget="exact"))


def test_precise_inputs_take_no_more() -> None:
    found = list(xr.explain_each(made, rows(), budget=400, stop=xr.Stop(std_error=10.0), store=MemoryStore()))
    assert found[1].evaluations < 400


def test_texts_by_words() -> None:
    pytest.importorskip("transformers", reason="the extra `text` is not installed")
    from xai_ray.zoo import random_language_model

    model = random_language_model(layers=1, width=16, heads=2)

    def game(text: str) -> xr.ModelGame:
        answers = xr.AnswerLogProbability([" yes"])
        given = {"players": xr.Words(), "removal": xr.Drop(), "behaviour": answers}
        return xr.ModelGame(model.model, text, tokenizer=model.tokenizer, **given)  # pyright: ignore[reportArgumentType]

    table = xr.each_table(xr.explain_each(game, ["Is it so?", "No. It never was."], budget="exact"))
    assert table["players"].to_pylist() == [["Is", "it", "so?"], ["No.", "It", "never", "was."]]
    for text, words in (("", "input 1: "), ("word " * 2000, "tokens, the model takes")):
        with pytest.raises(InputError, match=words):
            list(xr.explain_each(game, ["A text.", text], budget=100))


@pytest.mark.ray
def test_ray_is_started_once_for_all_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    starts: list[str] = []
    inner = ray.init
    monkeypatch.setattr(ray, "init", lambda **given: [starts.append("init"), inner(**given)][1])
    found = list(xr.explain_each(made, rows()[:2], budget=60, seed=3, engine=xr.RayEngine(actors=1)))
    assert starts == ["init"]
    assert not ray.is_initialized()
    for one, alone in zip(found, xr.explain_each(made, rows()[:2], budget=60, seed=3), strict=True):
        assert one.values.tobytes() == alone.values.tobytes()
