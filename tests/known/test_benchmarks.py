"""The accuracy benchmark on games small enough to enumerate."""

import argparse
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.games import smooth_table
from xai_ray.coalitions.exhaustive import unpack
from xai_ray.indices import Question, exact

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def folder(tmp_path):
    """One table game of 8 players."""
    import tables
    from stored_games import save

    values = smooth_table(8, seed=3)[:, 0]
    save(tmp_path, "small", {"values": values, **tables.exact_answers(values)}, {"description": "a test"})
    return tmp_path


@pytest.mark.parametrize("index", ["SV", "SII", "STII"])
def test_a_complete_budget_has_no_error_and_a_smaller_one_has(folder, index):
    from accuracy import measure
    from stored_games import load

    game = load(folder)[0]
    complete = measure(game, index, "auto", 256, 1)[0]
    assert complete["error"] < 1e-20
    assert complete["inside"] == 1.0
    assert complete["evaluations"] == 256
    part = measure(game, index, "auto", 120, 1)[0]
    assert part["error"] > 1e-6
    assert part["evaluations"] <= 120


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # shap, of matplotlib
def test_truths_of_tree_games_equal_enumeration_and_tree_shap():
    import tree_games
    from stored_games import StoredGame

    arrays, model, row, references = tree_games.tree_game(8, seed=1, trees=20)
    rows = unpack(np.arange(256), 8)
    values = StoredGame("trees", "", 8, arrays)(rows)
    predicted = np.mean([model.predict(np.where(rows, row, other)) for other in references], axis=0)
    np.testing.assert_allclose(values, predicted, atol=1e-12)
    for index, size in (("SV", 1), ("SII", 2), ("STII", 2)):
        answer = exact(values[:, None], Question(index))
        kept = [at for at, members in enumerate(answer.coalitions) if len(members) == size]
        np.testing.assert_allclose(arrays[index], answer.values[kept, 0], atol=1e-12)
    np.testing.assert_allclose(arrays["SV"], tree_games.tree_shap(model, row, references), atol=1e-6)


def test_retrained_regressions_are_those_of_scikit_learn():
    import tables
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)), np.where(rng.random(30) < 0.5, 1.0, -1.0)
    kept = np.stack([np.ones(30, dtype=bool), rng.random(30) < 0.6, np.zeros(30, dtype=bool)])
    found = tables.fit_logistic(x, y, kept, penalty=0.5)
    for row, mask in zip(found[:2], kept[:2], strict=True):
        model = LogisticRegression(C=2.0, fit_intercept=False, tol=1e-10).fit(x[mask], y[mask])
        np.testing.assert_allclose(row, model.coef_[0], atol=1e-5)
    assert not found[2].any()


def test_without_results_of_peers_it_says_what_to_run(folder):
    from accuracy import read_peers

    with pytest.raises(FileNotFoundError, match=r"PYTHON benchmarks/peers.py --tables .* --cache .*nowhere"):
        read_peers(folder / "nowhere.jsonl", folder)


def test_without_games_it_says_how_to_build_them(folder):
    from stored_games import load

    with pytest.raises(FileNotFoundError, match=r"no game large .*there: small.*benchmarks/tables.py"):
        load(folder, ["large"])


def test_an_unknown_estimator_is_refused_with_the_known_ones(monkeypatch, capsys):
    import accuracy

    monkeypatch.setattr(sys, "argv", ["accuracy.py", "--ours", "auto,leverige"])
    with pytest.raises(SystemExit):
        accuracy.arguments()
    assert "unknown estimator 'leverige'; known: auto, exact, leverage" in capsys.readouterr().err


def test_the_best_peer_is_the_smallest_median_within_the_budget(folder):
    from accuracy import compare, measure
    from stored_games import load

    game = load(folder)[0]
    head = {"index": "SV", "game": "small", "budget": 120, "digest": game.digest, "distinct": 120}
    found = {"a": [1.0, 2.0, 9.0], "b": [3.0, 3.0, 3.0], "c": [0.5]}
    cache = [head | {"peer": p, "seed": s, "error": e} for p, errors in found.items() for s, e in enumerate(errors)]
    cache += [head | {"peer": "greedy", "seed": s, "error": 0.0, "distinct": 121} for s in range(3)]
    cache += [head | {"peer": "of another game", "seed": s, "error": 0.0, "digest": "other"} for s in range(3)]
    cell = compare(measure(game, "SV", "auto", 120, 3), cache, game, 3)
    assert (cell.peer, cell.peer_median, cell.peer_seeds) == ("a", 2.0, 3)
    assert cell.ratio == pytest.approx(cell.median / 2.0)
    assert list(cell.peers) == ["a", "b"]


def test_peers_are_run_once_and_counted_and_what_is_not_there_is_left_out(folder, monkeypatch, capsys):
    import peers
    from stored_games import load

    def alone(game, budget, seed):
        return game(np.eye(game.n)) + seed

    def missing(game, budget, seed):
        raise ImportError("no such package")

    def failing(game, budget, seed):
        raise ValueError("budget too small")

    table = {"SV": {"alone": alone, "missing": missing, "failing": failing}}
    monkeypatch.setitem(sys.modules, "peer_methods", SimpleNamespace(PEERS=table))
    monkeypatch.setattr(peers, "version", lambda package: "1")
    options = argparse.Namespace(
        tables=folder,
        cache=folder / "peers.jsonl",
        games=None,
        indices="SV",
        budgets="10",
        seeds=2,
        part="0/1",
        limit=60,
    )
    peers.work(options)
    peers.work(options)
    assert "missing: left out, no such package" in capsys.readouterr().err
    found = [json.loads(line) for line in options.cache.read_text().splitlines()]
    assert [(line["peer"], line["seed"]) for line in found] == [(p, s) for s in (0, 1) for p in ("alone", "failing")]
    assert found[1]["skipped"] == "ValueError: budget too small"
    lines = found[::2]
    game = load(folder)[0]
    wrong = game.arrays["values"][1 << np.arange(8)] - game.truth["SV"]
    assert lines[0]["error"] == pytest.approx((wrong**2).sum() / (game.truth["SV"] ** 2).sum())
    assert (lines[0]["evaluations"], lines[0]["distinct"]) == (8, 8)
