"""Boxes of leaves, read level by level, against a walk of each tree; codes of leaves with more players than a word has bits."""

import pickle

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.tree import DecisionTreeRegressor

import xai_ray as xr
from xai_ray.closed_forms import closed_form_game, closed_form_values
from xai_ray.closed_forms import game as closed_form_games
from xai_ray.closed_forms.forest import Forest
from xai_ray.closed_forms.nodes import boxes, joined, one_tree
from xai_ray.games import ColumnGroups, Columns, Marginal, ModelGame, Raw

RNG = np.random.default_rng(5)


def random_tree(depth):
    """Splits at random on three columns, so that branches contradict each other; a third of the leaves is zero."""
    nodes = [[-1, -1, 0, 0.0]]
    for at in range(2**depth - 1):
        if at < len(nodes) and RNG.random() < 0.9:
            nodes[at] = [len(nodes), len(nodes) + 1, int(RNG.integers(3)), float(RNG.integers(-9, 10))]
            nodes += [[-1, -1, 0, 0.0], [-1, -1, 0, 0.0]]
    left, right, feature, threshold = (np.array(part) for part in zip(*nodes, strict=True))
    value = np.where((left < 0) & (RNG.random(len(left)) < 0.67), RNG.normal(size=len(left)), 0.0)
    return left, right, feature, threshold, value


def walked(left, right, feature, threshold, value):
    """Every leaf that a row can reach: its value and intervals."""
    out, stack = [], [(0, {})]
    while stack:
        node, bounds = stack.pop()
        if left[node] < 0:
            out += [(value[node], sorted(bounds.items()))] if value[node] else []
            continue
        low, high = bounds.get(feature[node], (-np.inf, np.inf))
        if low < threshold[node]:
            stack.append((left[node], bounds | {feature[node]: (low, min(high, threshold[node]))}))
        if threshold[node] < high:
            stack.append((right[node], bounds | {feature[node]: (max(low, threshold[node]), high)}))
    return out


def test_boxes_are_those_of_a_walk():
    trees = [random_tree(depth) for depth in (1, 4, 7, 3, 0, 8)]
    value = np.concatenate([tree[4] for tree in trees])[:, None]
    nodes = joined([one_tree(*map(np.array, tree[:4]), np.array(tree[4])[:, None]) for tree in trees], value)
    found = boxes(nodes)
    got = [
        (value[leaf, 0], sorted((f, (lo, hi)) for f, lo, hi in zip(*box, strict=True) if f >= 0))
        for leaf, *box in zip(found.leaf, found.feature.tolist(), found.low.tolist(), found.high.tolist(), strict=True)
    ]
    want = [leaf for tree in trees for leaf in walked(*tree)]
    assert len(want) > 30
    assert sorted(got) == sorted(want)
    counts = (found.feature >= 0).sum(axis=1)
    assert (np.diff(counts) <= 0).all()
    rows = RNG.integers(-10, 11, size=(200, 3)) + RNG.choice([0.0, 0.5], size=(200, 3))
    lies = [[all(lo < row[f] <= hi for f, (lo, hi) in bounds) for _, bounds in want] for row in rows]
    predicted = Forest.of(nodes, np.float64, np.zeros(1)).predict(rows)[:, 0]
    np.testing.assert_allclose(predicted, np.array(lies) @ [paid for paid, _ in want], atol=1e-12)


def test_rows_at_the_cuts_fall_as_in_the_library():
    """Rows are compared in single precision, cuts are doubles: the nearest doubles on both sides of every cut."""
    rows = RNG.normal(size=(300, 3))
    model = RandomForestRegressor(5, random_state=0).fit(rows, rows[:, 0] * rows[:, 1])
    cuts = np.concatenate([one.tree_.threshold[one.tree_.feature >= 0] for one in model.estimators_])
    near = np.concatenate([cuts, np.nextafter(cuts, np.inf), np.float32(cuts), np.nextafter(np.float32(cuts), 9)])
    asked = RNG.choice(near, size=(2000, 3))
    ends = closed_form_values(model.predict, asked, rows[:3]).ends[:, 1, 0]
    np.testing.assert_allclose(ends, model.predict(asked), rtol=0, atol=1e-12)


@pytest.mark.parametrize("grouped", [False, True])
def test_leaves_with_more_players_than_a_word_has_bits(grouped):
    """A chain of 90 columns, beside the leaf-by-leaf form of one row, which knows no words."""
    chain = np.eye(91)[:, 1:] + 1e-3 * RNG.normal(size=(91, 90))
    tree = DecisionTreeRegressor(random_state=0).fit(chain, 2.0 ** np.arange(91))
    assert tree.get_depth() > 70
    groups = {str(at): [at] if at < 80 else list(range(80, 90)) for at in range(81)}
    players = ColumnGroups(groups) if grouped else Columns()
    rows, background = chain[[0, 7, 60, 90]], chain[::9]
    for index, order in (("SV", None), ("SII", 2)):
        found = closed_form_values(tree.predict, rows, background, index=index, order=order, players=players)
        for at, row in enumerate(rows):
            game = ModelGame(tree.predict, row, removal=Marginal(background), behaviour=Raw(), players=players)
            want = xr.explain(game, index, order=order, budget=1, estimator="closed_form").estimates[0]
            columns = [want.coalitions.index(one) for one in found.coalitions]
            np.testing.assert_allclose(found.values[at], want.values[columns], rtol=0, atol=1e-12 * 2.0**91)


def test_a_forest_is_read_once_a_job(monkeypatch):
    rows = RNG.normal(size=(80, 4))
    model = RandomForestRegressor(3, random_state=0).fit(rows, rows[:, 0]).predict
    read, plain = list[object](), closed_form_games.closed_game

    def counted(game):
        read.append(game)
        return plain(game)

    monkeypatch.setattr(closed_form_games, "closed_game", counted)
    game = ModelGame(model, rows[0], players=Columns(), removal=Marginal(rows[:9]), behaviour=Raw())
    xr.explain(game, budget=1, estimator="closed_form")
    assert len(read) == 1
    made = closed_form_game(game, [xr.Ask(xr.Question("SV"), "closed_form")])
    assert "closed" not in made.__getstate__()
    again = pickle.loads(pickle.dumps(made.__getstate__()))
    assert again["digest"] == made.digest
