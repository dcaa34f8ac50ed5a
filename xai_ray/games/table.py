"""A game given by its table of 2^n values: any game can be stored once and replayed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xai_ray.coalitions.exhaustive import pack, unpack
from xai_ray.errors import InputError
from xai_ray.games.digest import fingerprint
from xai_ray.types import Coalitions, Floats, Ints, Values


class TableGame:
    """Values (2^n,) or (2^n, k); row t is the coalition whose members are the bits of t (player i is bit i).

    Raises InputError when the length is no power of two, a value is not finite, or there is no player.
    """

    stochastic = False
    block = 1

    def __init__(
        self,
        values: npt.ArrayLike,
        player_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
    ) -> None:
        table = _table(values)
        self.table: Floats = table
        """Shape (2^n, k)."""
        self.n_players = len(table).bit_length() - 1
        self.n_outputs = table.shape[1]
        self.player_names = _names(player_names, self.n_players, "player")
        self.output_names = _names(output_names, self.n_outputs, "output")
        self.digest = fingerprint(["table", table])

    @classmethod
    def load(cls, path: str | Path) -> TableGame:
        """From an .npz file with the key `values`, and optionally `player_names` and `output_names`. Nothing is
        unpickled.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"table {path}: no such file")
        try:
            archive = np.load(path, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise InputError(f"table {path}: a single array, not an .npz archive; write it with np.savez")
            with archive:
                arrays = {key: archive[key] for key in archive.files}
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"table {path}: cannot be read as .npz ({error}); write it with np.savez") from error
        if "values" not in arrays:
            raise InputError(f"table {path}: no key 'values'; found {', '.join(sorted(arrays)) or 'no key at all'}")
        names = [[str(n) for n in arrays[key]] if key in arrays else None for key in ("player_names", "output_names")]
        try:
            return cls(arrays["values"], *names)
        except InputError as error:
            raise InputError(f"table {path}: {error}") from error

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        """Rows of the table, shape (c, k)."""
        return self.table[pack(coalitions)]


def _table(values: npt.ArrayLike) -> Floats:
    if np.iscomplexobj(values):
        raise InputError("the values of a table must be real numbers, got complex ones")
    try:
        table = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the values of a table must be real numbers ({error})") from error
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2:
        raise InputError(f"a table has shape (2^n,) or (2^n, k), got {table.shape}")
    length = len(table)
    if length < 1 or length & (length - 1):
        low = 1 << max(length.bit_length() - 1, 0)
        raise InputError(f"a table needs 2^n values, got {length}; the nearest lengths are {low} and {2 * low}")
    if length == 1:
        raise InputError("a table of one value has no players; one player needs two values (empty and grand coalition)")
    if table.shape[1] == 0:
        raise InputError(f"a table of shape {table.shape} has no outputs")
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        row, column = (int(b) for b in bad[0])
        members = np.flatnonzero(unpack(np.array([row]), length.bit_length() - 1)[0]).tolist()
        raise InputError(
            f"the value of coalition {members} (row {row}, output {column}) is {table[row, column]}; "
            f"{len(bad)} values of the table are not finite"
        )
    table.setflags(write=False)
    return table


def _names(names: Sequence[str] | None, count: int, what: str) -> tuple[str, ...]:
    if names is None:
        return tuple(f"{what} {i}" for i in range(count))
    if len(names) != count:
        raise InputError(f"{len(names)} {what} names for {count} {what}s")
    return tuple(names)
