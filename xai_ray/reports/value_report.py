"""The report of data valuation from Python: points with their texts or pictures, curves, detection, methods side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from xai_ray.errors import DigestMismatch, InputError, SpecError, StoreError
from xai_ray.reports.html import render_report
from xai_ray.reports.training import training_part
from xai_ray.valuation.exhibits import Exhibits, exhibits
from xai_ray.valuation.methods import CLOSED_FORMS
from xai_ray.valuation.shown import shown_by
from xai_ray.valuation.training_game import TrainingGame

if TYPE_CHECKING:
    from xai_ray.reports.result import Result


def value_report(
    result: Result,
    path: str | Path,
    *,
    curves: int = 0,
    seed: int = 0,
    texts: Any = None,
    images: npt.ArrayLike | None = None,
    flagged: npt.ArrayLike | None = None,
    beside: Mapping[str, Any] | None = None,
    holdout: tuple[Any, Any] | None = None,
    game: TrainingGame | None = None,
) -> Path:
    """Write the HTML report of a valuation and return its path.

    `curves` is the number of random orders, 1 to 100, beside which points are removed and added by their values, drawn by `seed`; 0
    trains no models. `texts` (n,), `images` (n, height, width) or (n, height, width, 3) and `flagged` (n,), True for points known to
    be bad, are of the training points in their order: arrays, lists, pandas or Arrow columns. `beside` are other valuations of the
    same players: name -> Result, Valuation or (n,) array. `holdout` is (X, y), rows (h, d) with the features of the training rows in
    their order, and their targets, which took no part in the valuation: curves are scored on these, else on the holdout that came with
    the job's data, else on the job's test points. `game` is that of the result, for one that was opened from a store.

    Raises InputError for what does not fit the points, SpecError for curves that cannot be trained, DigestMismatch for the game of
    another result, StoreError when the file cannot be written.
    """
    if game is not None:
        result = with_game(result, game)
    at_hand = shown_by(result.game)
    points = len(result.players) if at_hand is None else len(at_hand.owner)
    shown = at_hand.exhibits if at_hand is not None else Exhibits()
    given = exhibits(points, texts=texts, images=images, flagged=flagged, holdout=holdout)
    if given.holdout is not None and not curves:
        raise SpecError(
            "holdout is what the models of curves are scored on; ask for curves, as curves=10, or leave it out"
        )
    part = training_part(
        result,
        curves=curves,
        seed=seed,
        shown=Exhibits(
            shown.texts if given.texts is None else given.texts,
            shown.images if given.images is None else given.images,
            shown.flagged if given.flagged is None else given.flagged,
        ),
        beside=beside,
        holdout=given.holdout,
    )
    if part is None:
        raise SpecError(
            f"job {result.job} has no estimate with one value a point; ask for one, as result.ask('SV') from its values"
        )
    return written_page(render_report(result, part), Path(path))


def with_game(result: Result, game: TrainingGame) -> Result:
    """The result with its game at hand.

    Raises InputError for something else, SpecError for a method without one, DigestMismatch for the game of another result.
    """
    if not isinstance(game, TrainingGame):
        raise InputError(f"game is a {type(game).__name__}; the report of a valuation takes its TrainingGame")
    if (method := result.estimates[0].estimator) in CLOSED_FORMS:
        raise SpecError(
            f"job {result.job} was valued by {method}, without a TrainingGame: leave game out, and call xai_ray.value(...) again with the "
            "same arguments and store for a result that has its points at hand"
        )
    known = result.provenance.get("identity", {}).get("game", result.digest)
    if known != game.digest:
        raise DigestMismatch(
            f"job {result.job} valued another data set or estimator (game {known[:10]}) than the one given ({game.digest[:10]}); give "
            "the game that the values are of"
        )
    return replace(result, game=game)


def written_page(page: str, out: Path) -> Path:
    """Write a page. Raises StoreError when the file cannot be written."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {out}: {error.strerror}; choose another file (--out, path)") from None
    return out
