"""Exact answers: every index of the table against brute force, and the laws that every exact answer obeys."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest

from tests.laws.brute_force import BRUTE_FORCE, Game
from xai_ray.errors import InputError, NonFiniteValue, SpecError, UnknownName
from xai_ray.indices import INDICES, Question, exact, normalised_strength, pair_profile_weights, resolve
from xai_ray.indices.andor import and_or
from xai_ray.indices.multivariate import extreme_interaction, merged_values


def random_table(n: int, seed: int, outputs: int = 2) -> np.ndarray:
    """A game without structure, with v(empty) far from zero."""
    return np.random.default_rng(seed).normal(loc=2.0, size=(2**n, outputs))


def questions(tag: str, n: int) -> list[Question]:
    """Questions that together use every option of an index; SEMI's weights are no known semivalue."""
    weights = tuple((t + 1.0) ** 2 for t in range(n))
    match tag:
        case "WBV":
            return [Question(tag, p=0.2), Question(tag, p=0.7)]
        case "BETA":
            return [Question(tag, alpha=4, beta=1), Question(tag, alpha=1.5, beta=3)]
        case "SEMI":
            return [Question(tag, weights=tuple(w / sum(weights) for w in weights))]
        case "Owen":
            return [
                Question(tag, groups=((0, 2), (1,), tuple(range(3, n)))),
                Question(tag, groups=((1, 0, 3), (2, *range(4, n)))),
            ]
        case "MVI" | "BMAX" | "BMIN":
            return [
                Question(tag, groups=((0, 2),)),
                Question(tag, groups=((3, 0, 1),)),
                Question(tag, groups=(tuple(range(n)),)),
            ]
    asked = [Question(tag)]
    if "contexts" in INDICES[tag].takes:
        asked.append(Question(tag, contexts=(2, 0)))
    if "pairs" in INDICES[tag].takes:
        asked.append(Question(tag, order=2, pairs=((3, 1), (0, 2))))
    if INDICES[tag].sets in ("of_order", "up_to_order", "all_up_to_order"):
        asked += [Question(tag, order=order) for order in range(1, n + 1 if n < 5 else 4)]
    return asked


CASES = [(tag, n, question) for tag in INDICES for n in (4, 5) for question in questions(tag, n)]


@pytest.mark.parametrize("tag", INDICES)
def test_every_index_has_a_brute_force(tag: str) -> None:
    assert tag in BRUTE_FORCE


@pytest.mark.parametrize(("tag", "n", "question"), CASES, ids=lambda x: x if isinstance(x, str) else "")
def test_equals_brute_force(tag: str, n: int, question: Question) -> None:
    table = random_table(n, seed=n)
    answer = exact(table, question)
    truth = BRUTE_FORCE[tag](Game(table), answer.question)
    if question.pairs is not None:
        truth = {s: x for s, x in truth.items() if len(s) != 2 or s in ((0, 2), (1, 3))}
    assert list(answer.coalitions) == sorted(truth, key=lambda s: (len(s), s))
    expected = np.array([truth[s] for s in answer.coalitions])
    assert answer.values.shape == expected.shape
    np.testing.assert_allclose(answer.values, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("tag", [tag for tag in INDICES if INDICES[tag].efficient])
@pytest.mark.parametrize("n", [3, 6])
def test_efficient_indices_share_out_the_whole_gain(tag: str, n: int) -> None:
    table = random_table(n, seed=1)
    sets_of_players = INDICES[tag].sets == "up_to_order"
    groups = ((0, 2), tuple(i for i in range(n) if i not in (0, 2))) if tag == "Owen" else None
    for order in range(1, n + 1) if sets_of_players else [None]:
        values = exact(table, Question(tag, order=order, groups=groups)).values
        np.testing.assert_allclose(values.sum(axis=0), table[-1] - table[0], atol=1e-10)


@pytest.mark.parametrize(
    ("tag", "n", "question"), [case for case in CASES if case[1] == 4], ids=lambda x: x if isinstance(x, str) else ""
)
def test_relabelled_players_get_the_same_values(tag: str, n: int, question: Question) -> None:
    table, names = random_table(n, seed=2), [2, 0, 3, 1]
    rows = [sum(1 << names[i] for i in range(n) if row >> i & 1) for row in range(2**n)]
    renamed_table = np.empty_like(table)
    renamed_table[rows] = table
    asked = replace(
        question,
        pairs=question.pairs and tuple((names[i], names[j]) for i, j in question.pairs),
        groups=question.groups and tuple(tuple(names[i] for i in group) for group in question.groups),
    )
    before, after = exact(table, question), exact(renamed_table, asked)
    renamed = dict(zip(after.coalitions, after.values, strict=True))
    for s, x in zip(before.coalitions, before.values, strict=True):
        np.testing.assert_allclose(renamed[tuple(sorted(names[i] for i in s))], x, atol=1e-10)


@pytest.mark.parametrize("tag", [tag for tag in INDICES if INDICES[tag].linear])
def test_linear_indices_are_linear_and_outputs_independent(tag: str) -> None:
    question = questions(tag, 4)[0]
    table = random_table(4, seed=3, outputs=2)
    both = exact(table, question).values
    apart = [exact(table[:, [c]], question).values[..., 0] for c in range(2)]
    np.testing.assert_allclose(both, np.stack(apart, axis=-1), atol=1e-12)
    mixed = exact(table @ np.array([[2.0], [-3.0]]), question).values[..., 0]
    np.testing.assert_allclose(mixed, 2 * both[..., 0] - 3 * both[..., 1], atol=1e-10)


@pytest.mark.parametrize("tag", [tag for tag in INDICES if INDICES[tag].kind not in ("transform",)])
def test_a_constant_changes_nothing(tag: str) -> None:
    question, table = questions(tag, 4)[0], random_table(4, seed=4)
    np.testing.assert_allclose(exact(table + 1e6, question).values, exact(table, question).values, atol=1e-8)


@pytest.mark.parametrize("tag", [tag for tag in INDICES if INDICES[tag].sets == "players"])
def test_one_player(tag: str) -> None:
    parameters = {
        "WBV": {"p": 0.4},
        "BETA": {"alpha": 2.0, "beta": 5.0},
        "SEMI": {"weights": (1.0,)},
        "Owen": {"groups": ((0,),)},
    }
    answer = exact(np.array([[1.5], [4.0]]), Question(tag, **parameters.get(tag, {})))
    assert answer.coalitions == ((0,),)
    np.testing.assert_allclose(answer.values.reshape(-1), [2.5], atol=1e-12)


def test_one_player_has_sets_of_one_player() -> None:
    for tag in ("SII", "k-SII", "STII", "FSII", "BII", "FBII", "CHII", "SGV", "BGV", "CHGV", "JointSV"):
        answer = exact(np.array([[1.5], [4.0]]), Question(tag, order=1))
        np.testing.assert_allclose(answer.values, [[2.5]], atol=1e-12)


def test_strength_is_normalised_over_the_measured_orders() -> None:
    values = exact(random_table(6, seed=5), Question("J", contexts=(0, 2, 4))).values
    np.testing.assert_allclose(normalised_strength(values).mean(axis=1), 1.0)
    np.testing.assert_allclose(normalised_strength(values) * values.mean(axis=1, keepdims=True), values)
    additive = np.array([[bin(row).count("1") * 1.0] for row in range(16)])
    assert np.isnan(normalised_strength(exact(additive, Question("J")).values)).all()


def test_and_or_rebuild_the_game_for_every_split() -> None:
    table = random_table(5, seed=6)
    for gamma in (None, np.random.default_rng(7).normal(size=table.shape)):
        i_and, i_or = and_or(table, gamma)
        for T in range(32):
            inside = sum(i_and[S] for S in range(32) if S & ~T == 0)
            meeting = sum(i_or[S] for S in range(1, 32) if S & T)
            np.testing.assert_allclose(inside + meeting + i_or[0], table[T], atol=1e-10)


def test_the_best_partition_attains_its_value() -> None:
    table, members = random_table(7, seed=8), (5, 1, 3, 0)
    singles = merged_values(table, members, [(i,) for i in members]).sum(axis=0)
    for largest in (True, False):
        extreme = extreme_interaction(table, members, largest)
        for output, runs in enumerate(extreme.partitions):
            assert sum(runs, ()) == members
            attained = merged_values(table, members, list(runs)).sum(axis=0) - singles
            np.testing.assert_allclose(attained[output], extreme.values[output], atol=1e-12)


@pytest.mark.parametrize("tag", ["SII", "STII", "FSII", "BII", "CHII"])
@pytest.mark.parametrize("constant", [0.0, 1e6])
def test_many_players_lose_no_digits(tag: str, constant: float) -> None:
    """Dividends grow like 2^(n/2) without structure; the read-out from them still agrees with the direct means."""
    table = random_table(16, seed=9, outputs=1) + constant
    pairs = ((0, 1), (3, 9), (14, 15))
    direct = np.einsum("m,cmk->ck", pair_profile_weights(tag, 16), exact(table, Question("MOI", pairs=pairs)).values)
    np.testing.assert_allclose(exact(table, Question(tag, pairs=pairs)).values[-3:], direct, atol=1e-11)


BAD_QUESTIONS = [
    (Question("SSI"), "did you mean 'SII'"),
    (Question("SV", order=2), "SV .* is of order 1, got order 2"),
    (Question("SII", order=6), "order 6 needs at least 6 players, the game has 5"),
    (Question("SII", order=0), "order must be at least 1"),
    (Question("SII", order=1.5), "whole numbers"),
    (Question("MOI", contexts=(0, 4)), "context size 4 is out of range; 0..3"),
    (Question("PHIM", contexts=(-1,)), "context size -1 is out of range; 0..4"),
    (Question("PHIM", contexts=()), "contexts is empty"),
    (Question("PHIM", contexts=(1, 1)), "repeat"),
    (Question("SII", contexts=(1,)), "SII .* does not take 'contexts'; it takes pairs"),
    (Question("SV", p=0.5), "does not take 'p'; it takes players"),
    (Question("MOI", pairs=((0, 5),)), r"pair \(0, 5\) names a player out of range; players are 0..4"),
    (Question("MOI", pairs=((2, 2),)), "same player twice"),
    (Question("MOI", pairs=((0, 1), (1, 0))), r"pair \(0, 1\) is given twice"),
    (Question("MOI", pairs=()), "pairs is empty"),
    (Question("SII", order=3, pairs=((0, 1),)), "pairs restrict answers of order 2 only"),
    (Question("WBV"), "needs 'p'"),
    (Question("WBV", p=1.0), "strictly between 0 and 1, got 1.0"),
    (Question("WBV", p=float("nan")), "strictly between 0 and 1"),
    (Question("BETA", alpha=1.0), "needs 'beta'; give alpha and beta"),
    (Question("BETA", alpha=0.0, beta=1.0), "alpha must be a positive number"),
    (Question("SEMI", weights=(0.5, 0.5)), "weights must have 5 entries"),
    (Question("SEMI", weights=(0.5, 0.5, 0.5, 0, 0)), "must sum to one, they sum to 1.5"),
    (Question("SEMI", weights=(-0.5, 1.5, 0, 0, 0)), "not negative"),
    (Question("Owen", groups=((0, 1), (1, 2, 3, 4))), "player 1 is in groups more than once"),
    (Question("Owen", groups=((0, 1), (3, 4))), r"groups miss players \[2\]"),
    (Question("Owen", groups=((0, 1, 2), (3, 4), ())), "a group is empty"),
    (Question("Owen", groups=((0, 1, 2), (3, 5))), "groups name player 5"),
    (Question("MVI"), "needs 'groups'"),
    (Question("MVI", groups=((1,),)), "one set of at least two players"),
    (Question("BMAX", groups=((0, 1), (2, 3))), "one set of at least two players"),
]


@pytest.mark.parametrize(("question", "message"), BAD_QUESTIONS)
def test_a_bad_question_says_what_is_allowed(question: Question, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        resolve(question, 5)


def test_an_unknown_index_is_an_unknown_name() -> None:
    with pytest.raises(UnknownName, match="unknown index 'shap'"):
        resolve(Question("shap"), 5)


@pytest.mark.parametrize("tag", ["SII", "MOI", "J", "k-SII", "SGV"])
def test_pairs_of_one_player_are_an_error(tag: str) -> None:
    with pytest.raises(SpecError, match="order 2 needs at least 2 players, the game has 1"):
        resolve(Question(tag), 1)


def test_resolving_fills_defaults_and_is_idempotent() -> None:
    asked = resolve(Question("MOI", pairs=[[3, 1], [2, 0]], contexts=np.array([2, 1])), 5)
    assert asked == Question("MOI", order=2, pairs=((0, 2), (1, 3)), contexts=(1, 2))
    assert resolve(Question("PHIM"), 3).contexts == (0, 1, 2)
    assert resolve(Question("Moebius"), 3).order == 3
    assert resolve(Question("BMAX", groups=((2, 0),)), 3).order == 2
    for tag in INDICES:
        for question in questions(tag, 4):
            once = resolve(question, 4)
            assert resolve(once, 4) == once
            hash(once)


@pytest.mark.parametrize("shape", [(8,), (7, 1), (1, 1), (0, 1), (2, 2, 2)])
def test_a_table_of_another_shape_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="shape"):
        exact(np.zeros(shape), Question("SV"))


def test_a_value_that_is_not_finite_is_named() -> None:
    table = np.zeros((16, 2))
    table[11, 1] = np.nan
    with pytest.raises(NonFiniteValue, match=r"coalition \[0, 1, 3\] \(row 11"):
        exact(table, Question("SV"))


@pytest.mark.slow
@pytest.mark.parametrize(("n", "seconds", "mebibytes"), [(16, 1.0, 1024), (20, 60.0, 1024)])
def test_time_and_memory_of_the_default_questions(n: int, seconds: float, mebibytes: int) -> None:
    """Each index alone in a fresh process, so that the peak of memory is its own."""
    script = textwrap.dedent(
        """
        import resource, sys, time
        import numpy as np
        from xai_ray.indices import Question, exact
        tag, n = sys.argv[1], int(sys.argv[2])
        parameters = {
            "WBV": {"p": 0.3}, "BETA": {"alpha": 4.0, "beta": 1.0}, "SEMI": {"weights": (1 / n,) * n},
            "Owen": {"groups": tuple((i, i + 1) for i in range(0, n, 2))},
        } | {tag: {"groups": (tuple(range(5)),)} for tag in ("MVI", "BMAX", "BMIN")}
        table = np.random.default_rng(0).normal(size=(2**n, 1))
        start = time.process_time()
        exact(table, Question(tag, **parameters.get(tag, {})))
        print(time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        """
    )
    for tag in INDICES:
        done = subprocess.run([sys.executable, "-c", script, tag, str(n)], capture_output=True, text=True, check=True)
        took, peak = (float(x) for x in done.stdout.split())
        assert took < seconds, f"{tag}: {took:.2f} s"
        assert peak < mebibytes, f"{tag}: {peak:.0f} MiB"
