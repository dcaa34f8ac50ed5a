"""Units of the pieces of a closed form: computed here, and read back in the order of the units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from xai_ray.coalitions import Pieces, Unit
from xai_ray.engine.units import Units
from xai_ray.errors import MissingRecord, ModelOutputError, NonFiniteValue, NotEnoughSamples
from xai_ray.estimators import PiecePool, PieceSums
from xai_ray.estimators.plan import described_question
from xai_ray.games.protocol import Game, PieceGame
from xai_ray.stores import Manifest, Store
from xai_ray.types import Values


def piece_values(unit: Unit, game: Game, design: Pieces, between: Callable[[], None]) -> tuple[Values, dict[str, Any]]:
    """The sums of a unit, shape (rows, width), and what there is to tell. Raises ModelOutputError and NonFiniteValue."""
    between()
    sums, said = cast(PieceGame, game).piece_sums(unit.start, unit.stop, between)
    parts = design.width // design.outputs
    rows = design.held(unit.start, unit.stop)
    shape = (len(rows), parts, design.outputs)
    if not isinstance(sums, np.ndarray) or sums.shape != shape or sums.dtype != np.float64:
        got = f"{sums.dtype} of shape {sums.shape}" if isinstance(sums, np.ndarray) else type(sums).__name__
        raise ModelOutputError(f"pieces [{unit.start}, {unit.stop}) gave {got}, expected float64 of shape {shape}")
    bad = np.argwhere(~np.isfinite(sums))
    if len(bad):
        raise NonFiniteValue(
            f"pieces [{unit.start}, {unit.stop}): the value of {_row_name(game, design, rows[int(bad[0][0])])} is {sums[tuple(bad[0])]}; "
            "scale the features"
        )
    return sums.reshape(len(rows), design.width), said


def _row_name(game: Game, design: Pieces, row: int) -> str:
    return game.player_names[row] if design.sets is None else f"set {row}"


class PieceReader:
    """Reads a job of pieces from its store, each record once while the prefixes asked for grow. Memory: the sums of one unit."""

    def __init__(self, store: Store, manifest: Manifest, design: Pieces) -> None:
        self._store, self._manifest, self._design = store, manifest, design
        self._sums = PieceSums(design)

    def pool(self, draws: int) -> PiecePool:
        """The first `draws` pieces. Raises MissingRecord where some are not there, CorruptRecord."""
        if draws < self._sums.draws:
            self._sums = PieceSums(self._design)
        job, at = self._manifest.job, self._sums.draws
        units = [unit for unit in Units(self._store.segments(job), draws) if unit.start >= at]
        end = units[-1].stop if units else at
        if end < draws:
            raise MissingRecord(
                f"{self._store.url} has no plan for the first {draws} pieces of job {job}; xai-ray resume {job}"
            )
        if end > draws:
            raise NotEnoughSamples(
                f"job {job} went on beyond {draws} pieces, in units that end at {units[-1].start} and at {end}; ask for one of these"
            )
        missing = set(units) - self._store.committed(job)
        if missing:
            raise MissingRecord(
                f"job {job} is not finished: {len(missing)} of {len(units)} units have no record; xai-ray resume {job}"
            )
        for unit, record in zip(units, self._store.records(job, units), strict=True):
            self._sums.add(unit.start, unit.stop, record.values, record.facts)
        asks = self._manifest.document["identity"]["asks"]
        questions = tuple(described_question(asked["question"]) for asked in asks)
        return PiecePool(self._sums.copy(), questions[0], asks[0]["estimator"], self._again().pool, questions)

    def _again(self) -> PieceReader:
        return PieceReader(self._store, self._manifest, self._design)
