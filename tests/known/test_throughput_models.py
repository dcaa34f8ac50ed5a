"""The benchmark of throughput beside the peers, in its smallest form."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def small():
    """A forest of five trees with twelve rows to explain."""
    from throughput_inputs import forest

    return replace(forest(5, far_rows=12), budgets=(122, 200), bare_batches=(512,), rows_a_round=3)


def coalitions(n):
    rng = np.random.default_rng(0)
    return np.concatenate([rng.random((4, n)) < 0.5, np.ones((1, n), dtype=bool), np.zeros((1, n), dtype=bool)])


@pytest.mark.parametrize("key", ["patches", "words"])
def test_peers_are_asked_for_the_values_of_our_game(key):
    from throughput_inputs import SUBJECTS

    subject = SUBJECTS[key]()
    rows = coalitions(subject.players)
    ours = subject.game(None, 1).values(rows, np.zeros(len(rows), dtype=np.int64))[:, 0]
    np.testing.assert_allclose(subject.model(rows.astype(np.float64)), ours, atol=1e-4)
    kept = subject.captum
    present = torch.from_numpy(rows[:, kept.feature_mask[0].numpy()])
    with torch.no_grad():
        values = kept.forward(torch.where(present, kept.whole, kept.absent))
    np.testing.assert_allclose(values.double().numpy(), ours, atol=1e-4)


def test_rows_of_peers_are_those_of_our_game_and_the_truth_adds_up(small):
    rows = coalitions(small.players)
    of = np.arange(len(rows))
    ours = small.game(None, 12).row_values(of, rows, np.zeros(len(rows), dtype=np.int64))[:, 0]
    filled = np.where(rows[:, None], small.rows[of, None], small.background)
    np.testing.assert_allclose(small.model(filled.reshape(-1, small.players)).reshape(len(rows), -1).mean(1), ours)
    values, noise = small.truth(12, 0)
    assert noise == 0
    gained = small.model(small.rows) - small.model(small.background).mean()
    np.testing.assert_allclose(values.sum(axis=1), gained, atol=1e-9)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # shap, of matplotlib
def test_lines_of_the_smallest_run_and_their_tables(small, monkeypatch, capsys, tmp_path):
    import throughput_models

    monkeypatch.setattr(throughput_models, "SUBJECTS", {"forest": lambda: small})
    methods = "xai_ray,xai_ray leverage,shap Permutation,shap Kernel,alibi KernelShap"
    run = ["throughput_models.py", "--only", "forest", "--quick", "--rounds", "2", "--rows", "3", "--seconds", "1"]
    monkeypatch.setattr(sys, "argv", [*run, "--measure", "loop,peers", "--methods", methods])
    monkeypatch.setitem(sys.modules, "alibi", None)
    throughput_models.main()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    loops = [x for x in lines if x["measure"] == "loop"]
    assert [(x["what"], x["batch"]) for x in loops] == [(w, b) for b in (512, 65536) for w in ("passes", "run")]
    assert all(0 < x["low"] <= x["ratio"] <= x["high"] for x in loops)
    assert [x["method"] for x in lines if "skipped" in x] == ["alibi KernelShap"]
    found = {x["method"]: x for x in lines if x["measure"] == "beside"}
    assert list(found) == ["xai_ray", "xai_ray leverage", "shap Permutation", "shap Kernel"]
    spread = next(x for x in lines if x["measure"] == "truth")["spread"]
    assert all(0 < x["rmse"] < spread / 3 and x["rows"] == 3 for x in found.values())
    assert found["shap Kernel"]["made"] <= 251
    (tmp_path / "lines.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    monkeypatch.setattr(sys, "argv", [*run, "--markdown", str(tmp_path / "lines.jsonl")])
    throughput_models.main()
    shown = capsys.readouterr().out
    assert shown.count("\n| forest of 5 trees") == len(loops) + len(found)


def test_a_peer_stands_beside_the_cheapest_budget_that_is_not_less_precise():
    from throughput_tables import beside

    def line(method, budget, turn, seconds, error):
        head = {"measure": "peers", "subject": "s", "name": "S", "asked": 1, "rows": 1, "made": budget}
        return head | {"method": method, "budget": budget, "round": turn, "cpu_seconds_a_row": seconds, "rmse": error}

    lines = [line("xai_ray", b, t, b / 100, 1 / b) for b in (10, 20, 40) for t in (0, 1)]
    lines += [line("peer", 100, 0, 1.0, 0.03), line("peer", 100, 1, 3.0, 0.06), line("better", 100, 0, 1.0, 0.001)]
    found = {(x["method"], x["budget"]): x for x in beside(lines)}
    peer = found["peer", 100]
    assert peer["rmse"] == pytest.approx(np.sqrt((0.03**2 + 0.06**2) / 2))
    assert (peer["our_budget"], peer["at_least"]) == (40, False)
    assert peer["ratio"] == pytest.approx((1 / 0.4 + 3 / 0.4) / 2)
    assert "ratio" not in found["better", 100]
    assert found["xai_ray", 20]["evaluations_per_cpu_second"] == pytest.approx(100)
