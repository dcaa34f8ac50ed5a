"""AND and OR interactions with the sparse split: they rebuild the game, are as sparse as can be, and find planted ones."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import linprog

from tests.cli.runs import called
from tests.games import smooth_table
from xai_ray import spec
from xai_ray.errors import InputError, SpecError
from xai_ray.estimators.plan import describe_question
from xai_ray.indices import Question, exact, resolve
from xai_ray.indices.andor import and_or
from xai_ray.indices.sparse_andor import sparse_and_or


def norm(ands, ors):
    """Sum of absolute values over the non-empty sets, for each output."""
    return np.abs(ands[1:]).sum(axis=0) + np.abs(ors[1:]).sum(axis=0)


def rebuilt(ands, ors):
    """The game by its definition: v(T) = v(empty) + sum of AND over S within T + sum of OR over S that meet T."""
    rows = len(ands)
    inside = np.array([[S != 0 and S & ~T == 0 for S in range(rows)] for T in range(rows)], dtype=float)
    meets = np.array([[S & T != 0 for S in range(rows)] for T in range(rows)], dtype=float)
    return ands[0] + ors[0] + inside @ ands + meets @ ors


def planted(n, count, seed):
    """A game of `count` AND and `count` OR interactions of two or more players, at least 1 in size; v(empty) = 1.5."""
    rng = np.random.default_rng(seed)
    several = [row for row in range(1 << n) if row.bit_count() > 1]
    ands, ors = np.zeros((1 << n, 1)), np.zeros((1 << n, 1))
    for part in (ands, ors):
        part[rng.choice(several, count, replace=False), 0] = rng.choice([-1, 1], count) * rng.uniform(1, 3, count)
    ands[0] = ors[0] = 0.75
    return ands, ors


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_the_sparse_split_rebuilds_the_game_with_a_smaller_norm(n):
    table = smooth_table(n, outputs=3, seed=n)
    ands, ors = sparse_and_or(table)
    np.testing.assert_allclose(rebuilt(ands, ors), table, atol=1e-9)
    np.testing.assert_allclose(ands[0], table[0] / 2)
    np.testing.assert_allclose(ors[0], table[0] / 2)
    even = norm(*and_or(table))
    assert (norm(ands, ors) <= even + 1e-9).all()
    if n > 2:
        assert (norm(ands, ors) < 0.9 * even).all()
    one = 1 << np.arange(n)
    np.testing.assert_array_equal(ands[one], ors[one])


def test_the_norm_is_the_optimum_over_gamma():
    """The papers' programme, over gamma itself: the interactions are affine in it, by their definitions."""
    n, rows = 5, 32
    table = smooth_table(n, outputs=2, seed=7)
    basis = np.eye(rows)
    moves = np.concatenate([part[1:] for part in and_or(np.zeros((rows, rows)), basis)])
    for output, start in enumerate(np.concatenate([part[1:] for part in and_or(table)]).T):
        size = len(start)
        found = linprog(
            np.r_[np.zeros(rows), np.ones(size)],
            A_ub=np.block([[moves, -np.eye(size)], [-moves, -np.eye(size)]]),
            b_ub=np.r_[-start, start],
            bounds=[(None, None)] * rows + [(0, None)] * size,
        )
        np.testing.assert_allclose(norm(*sparse_and_or(table))[output], found.fun, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("n", "seed"), list(product((7, 8), range(4))))
def test_planted_interactions_are_found(n, seed):
    true_ands, true_ors = planted(n, 5, seed)
    ands, ors = sparse_and_or(rebuilt(true_ands, true_ors))
    np.testing.assert_allclose(ands, true_ands, atol=1e-8)
    np.testing.assert_allclose(ors, true_ors, atol=1e-8)
    assert ((ands != 0) == (true_ands != 0)).all()
    assert ((ors != 0) == (true_ors != 0)).all()


def test_outputs_are_split_one_by_one_and_scale():
    table = smooth_table(6, outputs=3, seed=2)
    both = sparse_and_or(table)
    for output in range(3):
        for part, alone in zip(both, sparse_and_or(1e6 * table[:, [output]]), strict=True):
            np.testing.assert_allclose(part[:, output], alone[:, 0] / 1e6, atol=1e-9)
    flat = sparse_and_or(np.full((8, 1), 4.0))
    np.testing.assert_array_equal(flat[0], flat[1])
    assert (flat[0][0], np.abs(flat[0][1:]).max()) == (2.0, 0.0)


def test_the_question_takes_the_split():
    table = smooth_table(6, outputs=2, seed=4)
    for tag, part in zip(("AND", "OR"), sparse_and_or(table), strict=True):
        answer = exact(table, Question(tag, order=2, split="sparse"))
        rows = [sum(1 << i for i in one) for one in answer.coalitions]
        np.testing.assert_array_equal(answer.values, part[rows])
        assert describe_question(answer.question)["split"] == "sparse"
        assert resolve(answer.question, 6) == answer.question
        even = resolve(Question(tag, split="even"), 6)
        assert even == resolve(Question(tag), 6)
    for question, n, says in [
        (Question("AND", split="dense"), 5, "split is 'even' or 'sparse', got 'dense'"),
        (Question("SII", split="sparse"), 5, "does not take 'split'"),
        (Question("Moebius", split="even"), 5, "does not take 'split'"),
        (Question("OR", split="sparse"), 13, "at most 12 players"),
    ]:
        with pytest.raises(SpecError, match=says):
            resolve(question, n)
    with pytest.raises(InputError, match="at most 12 players"):
        sparse_and_or(np.zeros((1 << 13, 1)))


JOB = """
name = "andor"
[game]
kind = "known"
name = "glove"
arguments = { left = 2, right = 3 }
[[ask]]
index = "AND"
split = "sparse"
[[ask]]
index = "OR"
split = "sparse"
[[ask]]
index = "AND"
[budget]
evaluations = "exact"
"""


def test_a_job_asks_for_it(tmp_path, monkeypatch, capsysbinary):
    path, wrong = tmp_path / "andor.toml", tmp_path / "wrong.toml"
    path.write_text(JOB)
    wrong.write_text(JOB.replace("sparse", "sparce"))
    assert spec.canonical(spec.load(path))["ask"][0] == {"index": "AND", "split": "sparse"}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XAI_RAY_ENGINE", "inline")
    monkeypatch.delenv("XAI_RAY_STORE", raising=False)

    def cli(*arguments):
        return called(arguments, capsysbinary, monkeypatch)

    assert "AND, order 5, sparse split by exact" in cli("check", path).text
    shown = " ".join(cli("run", path).text.split())
    assert "AND (AND interaction), order 5, split = sparse" in shown
    job = cli("list", "--json").json[0]["job"]
    first, second, even = cli("result", job, "--format", "json").json["estimates"]
    assert first["parameters"] == second["parameters"] == {"split": "sparse"}
    assert "parameters" not in even
    found = first["values"] + second["values"]
    assert sum(map(abs, found)) < 0.9 * 2 * sum(map(abs, even["values"]))
    asked = cli("result", job, "--ask", "OR(sparse)", "--format", "json").json["estimates"][0]
    assert asked["values"] == second["values"]
    assert "ask[0].split: 'sparce' is not allowed" in cli("check", wrong).err
    refused = cli("result", job, "--ask", "OR(odd)")
    assert refused.code == 2
    assert "split is 'even' or 'sparse', got 'odd'" in refused.err
