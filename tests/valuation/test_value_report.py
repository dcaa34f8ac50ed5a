"""The report of training points: what is shown of them, curves, detection, methods side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

import xai_ray as xr
from tests.valuation.report_data import DATA, LABELS, RIDGE, TEST, TEXTS, WRONG, N, Page, R, X, part_of, shapley
from xai_ray.errors import InputError
from xai_ray.indices.question import Question
from xai_ray.reports.methods import agreements, question_name
from xai_ray.reports.training import models_of_curves
from xai_ray.valuation import Valuation, detection, exhibits, knn_shapley

__all__ = ["shapley"]


def test_texts_stand_beside_their_values_and_are_escaped(shapley: xr.Result, tmp_path: Path) -> None:
    page = Page(xr.value_report(shapley, tmp_path / "r.html", texts=TEXTS, flagged=WRONG))
    order = np.argsort(shapley.values, kind="stable")
    for i in [*order[:12], *order[-12:]]:
        assert TEXTS[i] in page.words
    for i in order[12:-12]:
        assert TEXTS[i] not in page.words
    assert "<b>review" not in page.raw
    assert "<no>" in page.words
    assert "<no>" not in page.raw
    places = [page.words.index(TEXTS[i]) for i in order[:12]]
    assert places == sorted(places)
    assert page.words.count("known bad") >= WRONG[order[:12]].sum() + WRONG[order[-12:]].sum()


def test_every_card_has_its_value_interval_label_and_flag(shapley: xr.Result) -> None:
    part = part_of(shapley, shown=exhibits(N, texts=TEXTS, flagged=WRONG))
    lowest, highest = part.cards
    order = np.argsort(shapley.values, kind="stable")
    low, high = shapley.estimates[0].intervals()
    for card, i in [*zip(lowest, order[:12], strict=True), *zip(highest, order[::-1][:12], strict=True)]:
        assert card.name == f"point {i}"
        assert float(card.value.replace("−", "-")) == pytest.approx(shapley.values[i], abs=6e-4)
        ends = [float(part) for part in card.interval.replace("−", "-").split(" … ")]
        assert ends == pytest.approx([low[i, 0], high[i, 0]], abs=6e-4)
        assert [s.label for s in card.samples] == [LABELS[i]]
        assert card.flagged == int(WRONG[i])
    assert [c.rank for c in lowest] == list(range(1, 13))
    assert [c.rank for c in highest] == list(range(N, N - 12, -1))


@pytest.mark.parametrize("shape", [(N, 6, 5), (N, 6, 5, 3)])
@pytest.mark.parametrize("kind", [float, np.uint8])
def test_images_are_those_of_the_points(shapley: xr.Result, tmp_path: Path, shape: tuple[int, ...], kind: type) -> None:
    pixels = R.integers(0, 256, shape).astype(np.uint8)
    given = pixels if kind is np.uint8 else pixels / 255.0
    page = Page(xr.value_report(shapley, tmp_path / "r.html", images=given))
    order = np.argsort(shapley.values, kind="stable")
    shown = [np.asarray(image) for image in page.drawn()]
    for image, i in zip(shown, [*order[:12], *order[::-1][:12]], strict=True):
        np.testing.assert_array_equal(image, pixels[i])


def test_pictures_are_encoded_once(shapley: xr.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = list[int]()
    monkeypatch.setattr("xai_ray.reports.point_cards.picture", lambda pixels: encoded.append(1) or "data:,")
    xr.value_report(shapley, tmp_path / "r.html", images=np.zeros((N, 4, 4)))
    assert len(encoded) == 24


def test_large_images_are_made_smaller(shapley: xr.Result, tmp_path: Path) -> None:
    page = Page(xr.value_report(shapley, tmp_path / "r.html", images=np.zeros((N, 400, 200), dtype=np.uint8)))
    assert {image.size for image in page.drawn()} == {(80, 160)}


def test_few_points_are_shown_once(tmp_path: Path) -> None:
    few = xr.value(RIDGE, X[:7], LABELS[:7], *DATA[2:], method="exact")
    lowest, highest = part_of(few).cards
    assert sorted(card.name for card in lowest + highest) == [f"point {i}" for i in range(7)]
    assert "Lower half" in Page(xr.value_report(few, tmp_path / "r.html")).words


def test_groups_show_some_of_their_points(tmp_path: Path) -> None:
    owner = np.array([f"ward {i % 3}" for i in range(N)])
    found = xr.value(RIDGE, *DATA, groups=owner, method="exact")
    one = WRONG & (owner == "ward 1")
    part = part_of(found, shown=exhibits(N, texts=TEXTS, flagged=one))
    assert part.noun == "groups"
    for card in [*part.cards[0], *part.cards[1]]:
        mine = [i for i in range(N) if owner[i] == card.name]
        assert card.size == len(mine) == 10
        assert card.flagged == one[mine].sum()
        assert len(card.samples) == 3
        assert {s.text for s in card.samples} <= {TEXTS[i] for i in mine}
        assert [s.flagged for s in card.samples] == sorted((s.flagged for s in card.samples), reverse=True)
    flagged = part.flagged()
    assert flagged is not None
    assert flagged.tolist() == [False, True, False]
    page = Page(xr.value_report(found, tmp_path / "r.html", texts=TEXTS, flagged=one, curves=2))
    assert "Removing groups" in page.words
    assert "Of each group some points are shown" in page.words


def test_curves_and_their_number_of_models(shapley: xr.Result, tmp_path: Path) -> None:
    beta = shapley.ask("BETA", alpha=4, beta=1)
    part = part_of(shapley, curves=4, beside={"Beta": beta})
    assert part.curves is not None
    assert part.curves.of("remove", "highest").shape == (2, 21, 1)
    assert part.curves.of("remove", "random").shape == (4, 21, 1)
    assert part.curves.models <= models_of_curves(shapley, 4, {"Beta": beta}) == (4 * 2 + 4) * 19 + 1
    order = np.argsort(-shapley.values, kind="stable")
    kept = np.sort(order[part.curves.counts[7] :])
    fitted = RidgeClassifier(alpha=0.5).fit(X[kept], LABELS[kept]).score(TEST, DATA[3])
    assert part.curves.of("remove", "highest")[0, 7, 0] == pytest.approx(fitted)
    page = Page(xr.value_report(shapley, tmp_path / "r.html", curves=4, beside={"Beta": beta}))
    assert f"All curves: {part.curves.models:,} models" in page.words
    assert "random order" in page.words
    bare = Page(xr.value_report(shapley, tmp_path / "bare.html"))
    assert "No curves of what removing points does: they train models" in bare.words
    assert "Removing points" not in bare.words


def test_the_same_report_has_the_same_bytes(shapley: xr.Result, tmp_path: Path) -> None:
    pages = [
        xr.value_report(shapley, tmp_path / f"{seed}{i}.html", curves=3, seed=seed, texts=TEXTS, flagged=WRONG)
        for i, seed in enumerate((0, 0, 1))
    ]
    first, same, other = (page.read_bytes() for page in pages)
    assert first == same
    assert first != other


def test_methods_side_by_side(shapley: xr.Result, tmp_path: Path) -> None:
    beta, banzhaf = shapley.ask("BETA", alpha=4, beta=1), shapley.ask("BV")
    loo = xr.value(RIDGE, *DATA, method="loo")
    knn = knn_shapley(*DATA, k=3)
    beside: dict[str, Any] = {"Beta(4,1)": beta, "Banzhaf": banzhaf, "loo": loo, "KNN": knn}
    beside["influence"] = Valuation(-knn, np.zeros(N), "influence: loss")
    part = part_of(shapley, shown=exhibits(N, flagged=WRONG), beside=beside)
    rows = {row["name"]: row for row in part.summary()}
    assert list(rows) == ["Shapley", "Beta(4,1)", "Banzhaf", "loo", "KNN", "influence"]
    values = {"Shapley": shapley.values, "Beta(4,1)": beta.values, "loo": loo.values, "KNN": knn, "influence": -knn}
    for name, v in values.items():
        assert rows[name]["auroc"] == f"{roc_auc_score(WRONG, -v):.3f}"
        assert rows[name]["interval"] == "{:.3f} … {:.3f}".format(*detection(v, WRONG).auroc_interval)
    assert rows["loo"]["std_error"] == "exact"
    assert rows["KNN"]["std_error"] == ""
    assert len(part.agreements()) == 15
    found = {a.names: a for a in agreements(part.methods)}
    assert found["KNN", "influence"].spearman == pytest.approx(-1.0)
    expected = spearmanr(shapley.values, knn).statistic
    assert found["Shapley", "KNN"].spearman == pytest.approx(expected)
    lowest = [set(np.argsort(v, kind="stable")[:3].tolist()) for v in (shapley.values, knn)]
    assert found["Shapley", "KNN"].count == 3
    assert found["Shapley", "KNN"].lowest == pytest.approx(len(lowest[0] & lowest[1]) / 3)
    page = Page(xr.value_report(shapley, tmp_path / "r.html", flagged=WRONG, beside=beside))
    assert "Shapley and influence" in page.words
    assert "AUROC" in page.words
    assert f"by Shapley it is {rows['Shapley']['auroc']}, {rows['Shapley']['interval']}." in page.words
    assert page.words.count(rows["loo"]["interval"]) == 1


def test_a_constant_valuation_has_no_rank_correlation(shapley: xr.Result) -> None:
    part = part_of(shapley, beside={"nothing": np.zeros(N)})
    assert [row["spearman"] for row in part.agreements()] == ["-"]


def test_names_of_questions() -> None:
    assert question_name(Question("BETA", alpha=4.0, beta=1.0)) == "Beta(4,1)"
    assert question_name(Question("WBV", p=0.3)) == "weighted Banzhaf(0.3)"
    assert question_name(Question("SEMI", weights=(0.0, 0.0, 1.0))) == "leave-one-out"
    assert question_name(Question("SEMI", weights=(0.5, 0.0, 0.5))) == "semivalue"


def test_a_point_without_a_value_is_said_and_not_compared(shapley: xr.Result, tmp_path: Path) -> None:
    estimate = shapley.estimates[0]
    gone = np.arange(N)[:, None] == 4
    holed = replace(
        estimate,
        values=np.where(gone, np.nan, estimate.values),
        std_errors=np.where(gone, np.nan, estimate.std_errors),
    )
    partial = replace(shapley, estimates=(holed,))
    page = Page(
        xr.value_report(partial, tmp_path / "r.html", flagged=WRONG, curves=2, beside={"whole": estimate.values})
    )
    assert "Shapley has no value for 1 of 30 points yet, so it is not compared; extend the budget" in page.words
    assert "point 4" not in [card.name for end in part_of(partial).cards for card in end]
    assert len(part_of(partial, beside={"whole": estimate.values}).agreements()) == 0
    part = part_of(partial, shown=exhibits(N, flagged=WRONG), beside={"whole": estimate.values}, curves=2)
    first, second = part.summary()[:2]
    assert "auroc" not in first
    assert "highest" not in first
    assert second["highest"] == f"{part.curves.weighted_drop('highest')[0, 0]:+.3f}".replace("-", "−")  # type: ignore[union-attr]


def test_pictures_draw_the_curves(shapley: xr.Result) -> None:
    curves = part_of(shapley, curves=5).curves
    assert curves is not None
    axes = xr.plots.point_curve(curves, ["Shapley"], "add")
    lines = {str(line.get_label()): np.asarray(line.get_ydata(), dtype=float) for line in axes.lines}
    assert list(lines) == ["random: mean, range of 5", "highest first", "lowest first"]
    np.testing.assert_array_equal(lines["highest first"], curves.of("add", "highest")[0, :, 0])
    np.testing.assert_allclose(lines["random: mean, range of 5"], curves.of("add", "random")[:, :, 0].mean(axis=0))
    found = detection(shapley.values, WRONG)
    drawn = xr.plots.roc({"Shapley": found}).lines[1]
    low, high = found.auroc_interval
    assert drawn.get_label() == f"Shapley: AUROC {found.auroc:.3f} ({low:.2f}–{high:.2f})"
    np.testing.assert_array_equal(drawn.get_ydata(), found.true_positive_rate)
    share = np.asarray(xr.plots.inspected({"Shapley": found}).lines[2].get_ydata(), dtype=float)
    ranked = np.argsort(shapley.values, kind="stable")
    np.testing.assert_allclose(share, [WRONG[ranked[:count]].sum() / 6 for count in range(N + 1)])
    assert not axes.texts
    wild = replace(curves, curves={key: np.where(scores < 0.4, -1e6, scores) for key, scores in curves.curves.items()})
    axes = xr.plots.point_curve(wild, ["Shapley"], "remove")
    assert -10 < axes.get_ylim()[0] < axes.get_ylim()[1] < 2
    assert axes.texts[0].get_text() == "lower scores are cut off"
    for draw in (xr.plots.roc, xr.plots.inspected):
        with pytest.raises(InputError, match="no detection to draw"):
            draw({})
    with pytest.raises(InputError, match="2 names for the curves of 1 valuations"):
        xr.plots.point_curve(curves, ["a", "b"])


def test_flags_without_a_curve_are_said(shapley: xr.Result, tmp_path: Path) -> None:
    page = Page(xr.value_report(shapley, tmp_path / "a.html", flagged=np.zeros(N, dtype=bool)))
    assert "No ROC: no points are known to be bad" in page.words
    page = Page(xr.value_report(shapley, tmp_path / "b.html", flagged=np.ones(N, dtype=bool)))
    assert "No ROC: all points are known to be bad" in page.words
    grouped = xr.value(RIDGE, *DATA, groups=np.arange(N) % 3, method="exact")
    page = Page(xr.value_report(grouped, tmp_path / "c.html", flagged=np.arange(N) < 3))
    assert "No ROC: all groups hold a point that is known to be bad" in page.words


def test_frames_go_in_and_points_keep_their_index(tmp_path: Path) -> None:
    index = [f"row<{i}>" for i in range(N)]
    frame = pd.DataFrame(X, columns=list("abcd"), index=index)
    labels = pd.Series(LABELS, index=index)
    tests = pd.DataFrame(TEST, columns=list("abcd"))
    found = xr.value(RIDGE, frame, labels, tests, pd.Series(DATA[3]), budget=500)
    page = Page(
        xr.value_report(
            found, tmp_path / "r.html", texts=pd.Series(TEXTS, index=index), flagged=pa.chunked_array([WRONG]), curves=2
        )
    )
    lowest = int(np.argmin(found.values))
    assert index[lowest] in page.words
    assert index[lowest] not in page.raw
    assert TEXTS[lowest] in page.words
    assert found.to_pandas()["player"].tolist() == index
    assert found.to_arrow().num_rows == N


def test_closed_forms_have_curves_too(tmp_path: Path) -> None:
    found = xr.value(KNeighborsClassifier(3), *DATA, method="knn")
    page = Page(xr.value_report(found, tmp_path / "deep" / "r.html", curves=1))
    assert "Removing points" in page.words
    assert "exact" in page.words


def test_values_that_share_out_no_score_are_not_summed_up(tmp_path: Path) -> None:
    found = xr.value(KNeighborsClassifier(3), *DATA, method="data_oob", budget=128)
    page = Page(xr.value_report(found, tmp_path / "r.html", curves=1))
    n = len(found.players)
    assert f"What {n} points are worth by Data-OOB, in units of accuracy out of bag. The least useful is" in page.words
    assert "Trained on all" not in page.words
