"""The whole worker: regenerate the draw of a unit, evaluate it in fixed blocks, check the values.

Law (same bits whatever the unit size): row r of the job, counted over all draws, always sits at slot r mod block of a
batch of exactly `game.block` rows. A forward pass may change its last bits with the shape of the batch or the slot in
it, so the rows of a unit are cut at multiples of the block; a block that reaches beyond the unit is padded and its
padding dropped. Where a game gives whole chains of prefixes, the bits of a chain depend on its order alone.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from xai_ray.coalitions import Design, EachInput, Pieces, RowBlocks, Unit
from xai_ray.coalitions.design import FULL_EXPECTATION
from xai_ray.engine.chains import Part, chain_parts, chained
from xai_ray.engine.each_units import EachTask, each_values
from xai_ray.engine.non_finite import check_finite
from xai_ray.engine.pace import Pace
from xai_ray.engine.pieces import piece_values
from xai_ray.engine.row_units import RowTask, row_block
from xai_ray.errors import ModelOutputError
from xai_ray.games.protocol import Game
from xai_ray.stores.protocol import Record
from xai_ray.types import Coalitions, Ints, Values

_ROWS, _BLOCKS = 256, 8
"""Rows per call of `game.values`, in whole blocks, and the least of blocks: small enough to stop soon, large enough to batch."""
_LONGEST = 64
"""Times as many rows, of a call of a game that is quick."""
_CELLS = 1 << 22
"""Coalition entries regenerated at a time (one byte each), so that a unit of any size needs bounded memory."""


def _nothing() -> None:
    pass


def evaluate(unit: Unit, game: Game, design: Design, between: Callable[[], None] = _nothing) -> Record:
    """The values of a unit, shape (r, k), r = design.evaluations(unit.stop) - design.evaluations(unit.start).

    `between` is called before each batch; what it raises ends the unit. Facts: seconds, evaluations, host, pid.

    Of a job of pieces: their sums, shape (n, width of the design). Of a dataset job: see `RowBlock.packed`, of texts
    `Explained.packed`.

    Raises ModelOutputError if the game returns anything but float64 of shape (r, k), NonFiniteValue if a value is NaN
    or infinite.
    """
    began = time.perf_counter()
    if isinstance(design, Pieces):
        values, said = piece_values(unit, game, design, between)
        return Record(unit, values, _facts(began, unit.stop - unit.start) | said)
    if isinstance(design, RowBlocks) and isinstance(game, RowTask):
        found, evaluated = row_block(unit, game, design, between)
        values, said = found.packed()
        return Record(unit, values, _facts(began, evaluated) | said)
    if isinstance(design, EachInput) and isinstance(game, EachTask):
        values, said, evaluated = each_values(unit, game, design.inputs, between, evaluate)
        return Record(unit, values, _facts(began, evaluated) | said)
    first, end = design.evaluations(unit.start), design.evaluations(unit.stop)
    values = np.empty((end - first, game.n_outputs), dtype=np.float64)
    at = 0
    for part, coalition in _parts(unit, game, design, between):
        check_finite(part, game, lambda row, at=at: f"unit [{unit.start}, {unit.stop}), row {at + row}", coalition)
        values[at : at + len(part)] = part
        at += len(part)
    return Record(unit, values, _facts(began, end - first))


def _facts(began: float, evaluations: int) -> dict[str, Any]:
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "evaluations": evaluations, "host": socket.gethostname(), "pid": os.getpid()}


def _parts(unit: Unit, game: Game, design: Design, between: Callable[[], None]) -> Iterator[Part]:
    """The values of a unit in order: by chains where the game and the design have them, else as coalitions."""
    chains = chained(game, design)
    if chains is None:
        yield from _row_parts(unit, game, design, between)
        return
    if unit.start == 0:
        yield from _row_parts(Unit(0, 1), game, design, between)
    if unit.stop > 1:
        yield from chain_parts(Unit(max(unit.start, 1), unit.stop), *chains, _ROWS, between)


def _row_parts(unit: Unit, game: Game, design: Design, between: Callable[[], None]) -> Iterator[Part]:
    at, least = design.evaluations(unit.start), game.block * max(_BLOCKS, _ROWS // game.block)
    pace = Pace(least, _LONGEST * least)
    for coalitions, context in _batches(unit, design, game.block, pace):
        between()
        began = time.perf_counter()
        values = _block_values(unit, game, coalitions, context, at)
        pace.took(time.perf_counter() - began)
        yield values, coalitions.__getitem__
        at += len(context)


def _batches(unit: Unit, design: Design, block: int, pace: Pace) -> Iterator[tuple[Coalitions, Ints]]:
    """The rows of a unit in order, `pace.size` at a time, cut at the job's multiples of a block."""
    at = design.evaluations(unit.start)
    per_draw = max(1, (design.evaluations(unit.stop) - at) // (unit.stop - unit.start))
    draws = max(1, _CELLS // (per_draw * design.n_players))
    coalitions, context = np.empty((0, design.n_players), dtype=np.bool_), np.empty(0, dtype=np.int64)
    for start in range(unit.start, unit.stop, draws):
        stop = min(start + draws, unit.stop)
        draw = design.draw(start, stop)
        coalitions, context = np.concatenate([coalitions, draw.coalitions]), np.concatenate([context, draw.context])
        taken = 0
        while taken < len(context):
            size = pace.size - at % block
            if size > len(context) - taken and stop < unit.stop:
                break
            yield coalitions[taken : taken + size], context[taken : taken + size]
            size = min(size, len(context) - taken)
            taken, at = taken + size, at + size
        coalitions, context = coalitions[taken:], context[taken:]


def _block_values(unit: Unit, game: Game, coalitions: Coalitions, context: Ints, at: int) -> Values:
    """Values of consecutive rows, the first of which is row `at` of the job, each at its own slot of a block."""
    own, slot = len(context), at % game.block
    total = -(-(slot + own) // game.block) * game.block
    if total > own:
        # An expectation over the whole background is dear: pad with a row that is not one, where there is one.
        copied = int(np.argmax(context != FULL_EXPECTATION))
        where = np.full(total, copied)
        where[slot : slot + own] = np.arange(own)
        coalitions, context = coalitions[where], context[where]
    values = game.values(coalitions, context)
    shape = (total, game.n_outputs)
    if not isinstance(values, np.ndarray) or values.shape != shape or values.dtype != np.float64:
        got = f"{values.dtype} of shape {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
        raise ModelOutputError(
            f"unit [{unit.start}, {unit.stop}): the game returned {got}, expected float64 of shape {shape} "
            f"({total} coalitions, {game.n_outputs} outputs); return one row a coalition and one column an output"
        )
    return values[slot : slot + own]
