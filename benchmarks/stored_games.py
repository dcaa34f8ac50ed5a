"""Games in files, read with numpy alone, so that an interpreter without xai_ray evaluates the very same numbers.

A game is `NAME.npz` beside `NAME.json` (`description`, and whatever its builder measured). The npz holds the exact answers `SV` (n,)
and, where known, `SII` and `STII` of order 2 (one entry a pair, lexicographic), and either

* `values` (2^n,), player i is bit i; or
* `inside`, `outside` (L, n) bool and `weights` (L,): v(S) = sum of the weights of the rows with inside within S and outside beyond S.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

INDICES = ("SV", "SII", "STII")
BLOCK = 4096
"""Coalitions of a conjunction game evaluated at a time."""

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]
Masks = npt.NDArray[np.bool_]


@dataclass
class StoredGame:
    """A scalar game with its exact answers. Counts the evaluations asked of it."""

    name: str
    description: str
    n: int
    arrays: dict[str, Array] = field(repr=False)
    evaluations: int = 0

    @property
    def digest(self) -> str:
        """Of the game's numbers, so that results of other numbers are not mistaken for its own."""
        found = hashlib.sha256()
        for key in sorted(self.arrays):
            found.update(key.encode() + np.ascontiguousarray(self.arrays[key]).tobytes())
        return found.hexdigest()[:12]

    @property
    def truth(self) -> dict[str, Floats]:
        """Exact values by index."""
        return {tag: np.asarray(self.arrays[tag], dtype=np.float64) for tag in INDICES if tag in self.arrays}

    def __call__(self, coalitions: npt.ArrayLike) -> Floats:
        """Values (c,) of coalitions (c, n); every row is counted."""
        rows = np.atleast_2d(np.asarray(coalitions)).astype(bool)
        self.evaluations += len(rows)
        if "values" in self.arrays:
            codes = rows.astype(np.int64) @ (np.int64(1) << np.arange(self.n, dtype=np.int64))
            return np.asarray(self.arrays["values"], dtype=np.float64)[codes]
        inside, outside, weights = (np.asarray(self.arrays[key]) for key in ("inside", "outside", "weights"))
        parts = [conjunctions(rows[a : a + BLOCK], inside, outside) @ weights for a in range(0, len(rows), BLOCK)]
        return np.concatenate(parts) if parts else np.empty(0)


def conjunctions(rows: Masks, inside: Masks, outside: Masks) -> Floats:
    """Whether coalition c contains `inside` and misses `outside` of row l, shape (c, L), as 0.0 or 1.0."""
    z = rows.astype(np.float32)
    unmet = (1 - z) @ inside.T.astype(np.float32) + z @ outside.T.astype(np.float32)
    return (unmet < 0.5).astype(np.float64)


def save(folder: Path, name: str, arrays: dict[str, Array], facts: dict[str, object]) -> None:
    """Write a game; the npz comes last, so that a game that is there is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(facts, indent=1) + "\n")
    partial = folder / f".{name}.npz"
    np.savez_compressed(partial, **arrays)  # pyright: ignore[reportArgumentType]
    partial.rename(folder / f"{name}.npz")


def load(folder: Path, names: Sequence[str] | None = None) -> list[StoredGame]:
    """The games of a folder, by number of players and name; with `names`, those alone in that order.

    Raises FileNotFoundError that says which command builds them.
    """
    there = sorted(p.stem for p in folder.glob("*.npz") if not p.name.startswith("."))
    missing = [name for name in names or () if name not in there]
    if missing or not there:
        raise FileNotFoundError(
            f"no game {', '.join(missing) or 'at all'} in {folder} (there: {', '.join(there) or 'none'}); "
            f"build them with: python benchmarks/tables.py --out {folder}"
        )
    games = [_read(folder, name) for name in names or there]
    return games if names else sorted(games, key=lambda game: (game.n, game.name))


def _read(folder: Path, name: str) -> StoredGame:
    with np.load(folder / f"{name}.npz", allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}
    facts = json.loads((folder / f"{name}.json").read_text())
    n = arrays["SV"].shape[0]
    return StoredGame(name, facts["description"], n, arrays)


def error(estimate: npt.ArrayLike, truth: Floats) -> float:
    """Normalised squared error: sum (estimate - truth)^2 / sum truth^2."""
    return float(((np.asarray(estimate, dtype=np.float64) - truth) ** 2).sum() / (truth**2).sum())
