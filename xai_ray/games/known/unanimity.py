"""Unanimity games and their sums: every game is one (its coefficients are the Harsanyi dividends), so every index has
a closed form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from xai_ray.errors import InputError
from xai_ray.games.known.closed import ClosedFormGame
from xai_ray.types import Coalitions, Floats


class SumOfUnanimityGames(ClosedFormGame):
    """v(S) = sum of dividends[T] over T contained in S; the empty T gives v of the empty coalition.

    Shapley, "A value for n-person games" (1953), eq. 4: the value of i is the sum of dividends[T] / |T| over T that
    hold i.
    """

    citation = "Shapley, A value for n-person games (1953); Harsanyi, A simplified bargaining model (1963)"

    def __init__(self, n_players: int, dividends: Mapping[tuple[int, ...], float]) -> None:
        self.dividends: dict[tuple[int, ...], float] = {}
        """Coefficient of each set, keyed by ascending tuples of players."""
        for members, coefficient in dividends.items():
            key = tuple(sorted(members))
            if len(set(key)) != len(key) or any(not 0 <= i < n_players for i in key):
                raise InputError(f"{members} is no set of players 0..{n_players - 1}")
            if not np.isfinite(coefficient):
                raise InputError(f"the dividend of {members} is {coefficient}; it must be finite")
            self.dividends[key] = self.dividends.get(key, 0.0) + float(coefficient)
        self.dividends = dict(sorted(self.dividends.items()))
        super().__init__(n_players, f"unanimity {n_players} {list(self.dividends.items())!r}")
        self._members = np.zeros((len(self.dividends), n_players), dtype=np.float32)
        for row, key in enumerate(self.dividends):
            self._members[row, list(key)] = 1.0
        self._sizes = self._members.sum(axis=1)
        self._coefficients = np.array(list(self.dividends.values()), dtype=np.float64)

    @classmethod
    def from_lists(cls, players: int, sets: Sequence[Sequence[int]], dividends: Sequence[float]) -> SumOfUnanimityGames:
        """As a spec writes it: `sets = [[0, 1], [2]]`, `dividends = [2.0, -1.0]`."""
        if len(sets) != len(dividends):
            raise InputError(f"{len(sets)} sets but {len(dividends)} dividends")
        pairs = [(tuple(sorted(s)), float(d)) for s, d in zip(sets, dividends, strict=True)]
        if len({key for key, _ in pairs}) != len(pairs):
            raise InputError("a set occurs twice in `sets`")
        return cls(players, dict(pairs))

    @classmethod
    def random(cls, n_players: int, terms: int, largest: int, seed: int) -> SumOfUnanimityGames:
        """`terms` random sets of sizes 0..largest with standard normal dividends; for tests and benchmarks."""
        generator = np.random.default_rng(seed)
        dividends: dict[tuple[int, ...], float] = {}
        for _ in range(terms):
            size = int(generator.integers(0, min(largest, n_players) + 1))
            key = tuple(sorted(generator.choice(n_players, size, replace=False).tolist()))
            dividends[key] = dividends.get(key, 0.0) + float(generator.normal())
        return cls(n_players, dividends)

    def worth(self, coalitions: Coalitions) -> Floats:
        """Shape (c,)."""
        # Counts below 2^24 are exact in float32. The sum runs along rows, so a row's bits do not depend on its
        # neighbours.
        contained = coalitions.astype(np.float32) @ self._members.T == self._sizes
        return np.where(contained, self._coefficients, 0.0).sum(axis=1)

    def shapley_values(self) -> Floats:
        """Dividends shared equally among the members of their set, shape (n,)."""
        shares = self._coefficients / np.maximum(self._sizes, 1.0)
        return (self._members.astype(np.float64) * shares[:, None]).sum(axis=0)


class UnanimityGame(SumOfUnanimityGames):
    """v(S) = 1 if S contains every player of `members`, else 0 (Shapley 1953)."""

    def __init__(self, players: int, members: Sequence[int]) -> None:
        if not members:
            raise InputError("a unanimity game needs at least one member")
        super().__init__(players, {tuple(members): 1.0})
