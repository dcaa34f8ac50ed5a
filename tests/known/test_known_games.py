from itertools import permutations

import numpy as np
import pytest

from xai_ray.coalitions.exhaustive import unpack
from xai_ray.errors import InputError, SpecError, UnknownName
from xai_ray.games.known.closed import ClosedFormGame
from xai_ray.games.known.named import KNOWN_GAMES, AirportGame, GloveGame, known_game
from xai_ray.games.known.unanimity import SumOfUnanimityGames, UnanimityGame
from xai_ray.games.known.voting import MajorityGame, WeightedVotingGame
from xai_ray.testing.games import check_game

GAMES = {
    "glove": {"left": 2, "right": 3},
    "airport": {"costs": [3.0, 1.0, 4.0, 1.0, 5.0]},
    "majority": {"players": 5},
    "weighted_voting": {"weights": [4, 3, 2, 1, 0], "quota": 6},
    "unanimity": {"players": 4, "members": [1, 3]},
    "sum_of_unanimity": {"players": 4, "sets": [[], [0], [1, 2], [0, 1, 3]], "dividends": [0.5, 1.0, -2.0, 3.0]},
}


def by_permutations(game: ClosedFormGame) -> np.ndarray:
    """The definition: the mean marginal contribution over all orders."""
    n = game.n_players
    table = game.worth(unpack(np.arange(1 << n), n))
    orders = list(permutations(range(n)))
    total = np.zeros(n)
    for order in orders:
        code = 0
        for player in order:
            total[player] += table[code | 1 << player] - table[code]
            code |= 1 << player
    return total / len(orders)


@pytest.mark.parametrize("name", sorted(KNOWN_GAMES))
def test_closed_form_is_the_mean_marginal_contribution(name: str) -> None:
    game = known_game(name, GAMES[name])
    np.testing.assert_allclose(game.shapley_values(), by_permutations(game), atol=1e-12)
    assert KNOWN_GAMES[name].citation
    check_game(game)


def test_values_by_hand() -> None:
    coalitions = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]], dtype=bool)
    assert GloveGame(1, 2).worth(coalitions).tolist() == [0, 0, 1, 1, 1]
    assert AirportGame([1, 2, 5]).worth(coalitions).tolist() == [0, 1, 2, 5, 5]
    assert MajorityGame(3).worth(coalitions).tolist() == [0, 0, 1, 1, 1]
    assert WeightedVotingGame([1, 1, 3], 4).worth(coalitions).tolist() == [0, 0, 0, 1, 1]
    assert SumOfUnanimityGames(3, {(): 1.0, (0,): 2.0, (0, 2): 4.0}).worth(coalitions).tolist() == [1, 3, 3, 7, 7]
    np.testing.assert_allclose(GloveGame(1, 2).shapley_values(), [2 / 3, 1 / 6, 1 / 6])


def test_weighted_voting_for_many_players() -> None:
    weights = [int(w) for w in np.random.default_rng(0).integers(0, 30, 300)]
    values = WeightedVotingGame(weights, sum(weights) // 2 + 1).shapley_values()
    assert values.sum() == pytest.approx(1.0, abs=1e-10)
    assert (values[np.array(weights) == 0] == 0).all()
    order = np.argsort(weights)
    assert (np.diff(values[order]) > -1e-14).all(), "more weight never means less power"


def test_united_nations_security_council() -> None:
    # Five permanent members with a veto, ten others, nine votes: weights 7 and 1, quota 39; 421/2145 and 4/2145.
    values = WeightedVotingGame([7] * 5 + [1] * 10, 39).shapley_values()
    np.testing.assert_allclose(values[:5], 421 / 2145, rtol=1e-12)
    np.testing.assert_allclose(values[5:], 4 / 2145, rtol=1e-12)


def test_random_sums_of_unanimity_games() -> None:
    for seed in range(5):
        game = SumOfUnanimityGames.random(6, terms=12, largest=4, seed=seed)
        np.testing.assert_allclose(game.shapley_values(), by_permutations(game), atol=1e-12)
        assert all(key == tuple(sorted(set(key))) for key in game.dividends)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GloveGame(0, 0), "at least one player"),
        (lambda: AirportGame([1.0, -2.0]), ">= 0"),
        (lambda: AirportGame([1.0, float("nan")]), "finite"),
        (lambda: WeightedVotingGame([1, 2], 4), "1..3"),
        (lambda: WeightedVotingGame([1, -2], 1), "whole numbers"),
        (lambda: MajorityGame(3, 5), "quota 5"),
        (lambda: UnanimityGame(3, []), "at least one member"),
        (lambda: SumOfUnanimityGames(2, {(0, 2): 1.0}), "players 0..1"),
        (lambda: SumOfUnanimityGames(2, {(0,): float("inf")}), "finite"),
    ],
)
def test_bad_arguments(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_bad_names() -> None:
    with pytest.raises(UnknownName, match="did you mean 'glove'"):
        known_game("gloves", {})
    with pytest.raises(UnknownName, match="did you mean 'left'"):
        known_game("glove", {"lefts": 1, "right": 2})
    with pytest.raises(SpecError, match="missing right"):
        known_game("glove", {"left": 1})
    with pytest.raises(SpecError, match="airport"):
        known_game("airport", {"costs": ["a"]})
