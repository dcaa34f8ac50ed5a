"""The protocols, the scale and the bookkeeping of data valuation: what they measure is what they say."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.parametrize("name", ["tumours", "pictures", "reviews"])
def test_splits_keep_test_points_apart(name: str) -> None:
    from valuation_splits import DATA

    split = DATA[name][0](1)
    p = split.problem
    rows = np.concatenate([p.X, p.X_test, split.X_test])
    assert len(np.unique(rows.round(9), axis=0)) >= 0.99 * len(rows)
    assert p.flipped.mean() == 0.2
    assert set(p.y) == set(split.y_test) == set(range(split.classes))
    clean = DATA[name][0](1)
    assert np.array_equal(clean.problem.X, p.X)
    assert not np.array_equal(DATA[name][0](2).problem.X, p.X)


def test_every_method_values_every_point(monkeypatch) -> None:
    import valuation_methods
    from valuation_splits import DATA

    monkeypatch.setattr(valuation_methods, "MODELS", 1300)
    split = DATA["tumours"][0](0)
    for name, method in valuation_methods.METHODS.items():
        values, models = method.values(split, 0)
        assert values.shape == (150,), name
        assert np.isfinite(values).all()
        assert np.ptp(values) > 0
        assert models is None or models <= 1300


def test_figures_are_means_over_the_first_half() -> None:
    import valuation_protocols as protocols

    (random, best) = protocols.runs("tumours", 3, ["random", "knn"])
    assert best["auroc"] > 0.9 > random["auroc"]
    curve = best["curves"]["remove lowest"]
    assert len(curve) == 21
    assert protocols.figures(best)["remove lowest"] == pytest.approx(np.mean(curve[1:11]))
    # Nothing removed, and everything added, is the model of all points.
    assert curve[0] == best["curves"]["add lowest"][-1] == random["curves"]["remove highest"][0]
    assert protocols.figures(best)["remove lowest"] > protocols.figures(best)["remove highest"]


def test_intervals_are_students() -> None:
    from valuation_protocols import interval

    samples = [0.8, 0.9, 0.85, 0.95, 0.7]
    known = ttest_1samp(samples, 0.0).confidence_interval(0.95)
    mean, width = interval(samples)
    assert (mean - width, mean + width) == pytest.approx((known.low, known.high))
    assert interval([0.5]) == (0.5, 0.0)


def test_table_and_plot_of_runs_made_before(tmp_path, capsys, monkeypatch) -> None:
    import valuation_protocols as protocols

    run = {
        "data": "tumours",
        "seed": 0,
        "method": "knn",
        "models": None,
        "processor_seconds": 0.5,
        "auroc": 0.9,
        "f1": 0.5,
    }
    curves = {f"{a} {o}": [0.75] * 21 for a, o in protocols.KINDS}
    lines = [run | {"curves": curves}, run | {"curves": curves, "method": "random", "models": 0, "auroc": 0.5}]
    (tmp_path / "runs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    asked = ["--from", str(tmp_path / "runs.jsonl"), "--markdown", "--plot", str(tmp_path / "curves.svg")]
    monkeypatch.setattr(sys, "argv", ["valuation_protocols.py", *asked])
    protocols.main()
    table = capsys.readouterr().out
    assert "| KNN-Shapley, k = 5 | 0.900 ± 0.000 | 0.500 ± 0.000 | 0.750 ± 0.000 |" in table
    assert table.index("KNN-Shapley") < table.index("random order")
    picture = (tmp_path / "curves.svg").read_text()
    assert "tumours: remove lowest values" in picture


def test_costs_are_told_with_their_sizes(tmp_path) -> None:
    import valuation_scale as scale

    figures = [{"figure": "knn", **scale.one("knn", n)} for n in (100, 300)]
    assert [one["points"] for one in figures] == [100, 300]
    assert all(one["auroc"] > 0.8 for one in figures)
    assert "| `knn` | 5 neighbours |" in scale.markdown(figures)
    scale.plot(figures, tmp_path / "scale.svg")
    assert "processor seconds" in (tmp_path / "scale.svg").read_text()


def test_bookkeeping_values_a_known_utility() -> None:
    script = BENCHMARKS / "valuation_bookkeeping.py"
    told = subprocess.run(
        [sys.executable, str(script), "--one", "ours", "200000"], capture_output=True, text=True, check=True
    )
    found = json.loads(told.stdout)
    assert found["evaluations"] == 250
    # Errors of values whose truth is known, in standard errors.
    assert 0.9 < found["error_ratio"] < 1.1
