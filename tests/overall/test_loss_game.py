"""Dataset-loss games against explicit loops, in both conventions, deterministic and drawn; and what they refuse."""

import cloudpickle
import numpy as np
import pytest
import torch
from scipy.special import softmax

import xai_ray as xr
from tests.laws import brute_force
from tests.overall.answering import shapley_estimate
from xai_ray.coalitions import Permutations, Unit
from xai_ray.coalitions.exhaustive import unpack
from xai_ray.engine.worker import evaluate
from xai_ray.errors import InputError, ModelOutputError, NonFiniteValue, SpecError
from xai_ray.estimators import Ask, plan
from xai_ray.games import Blur, ColumnGroups, Constant, LossGame, Marginal, Mean, Patches, Uniform, Zeros
from xai_ray.indices import Question
from xai_ray.testing.games import check_game

RNG = np.random.default_rng(0)
X = RNG.normal(size=(9, 4))
BACKGROUND = RNG.normal(size=(5, 4))
LABELS = RNG.integers(0, 3, 9)
WEIGHTS = RNG.normal(size=(4, 3))
NUMBERS = X[:, 0] * X[:, 1] + 0.1 * RNG.normal(size=9)
EVERY = unpack(np.arange(16), 4)
NONE = np.zeros(16, dtype=np.int64)


def logits(x):
    return np.tanh(x @ WEIGHTS) * 2 + x[:, :1] * x[:, 1:2]


def probabilities(x):
    return softmax(logits(x), axis=1)


def number(x):
    return x[:, 0] * x[:, 1] + np.sin(x[:, 2])


def cross_entropy(p, y):
    return -np.log(p[np.arange(len(y)), y])


def slowly(model, loss, truth, fillings, before):
    """(16,): - mean loss of every coalition, one row and one filling at a time."""
    out = []
    for members in EVERY:
        losses = []
        for x, y in zip(X, truth, strict=True):
            found = np.stack([model(np.where(members, x, filling)[None])[0] for filling in fillings])
            found = found.reshape(len(fillings), -1)
            if before:
                losses.append(loss(found.mean(axis=0)[None], np.array([y]))[0])
            else:
                losses.append(np.mean([loss(one[None], np.array([y]))[0] for one in found]))
        out.append(-np.mean(losses))
    return np.array(out)


def squared(found, truth):
    return ((found - truth.reshape(len(truth), -1)) ** 2).sum(axis=1)


@pytest.mark.parametrize("convention", ["mean_then_loss", "loss_then_mean"])
@pytest.mark.parametrize("batch", [1, 7, 16, 1024])
def test_cross_entropy_against_a_loop(convention, batch):
    game = LossGame(
        probabilities, X, LABELS, removal=Marginal(BACKGROUND), loss="cross_entropy", outputs="probabilities",
        convention=convention, batch=batch,
    )  # fmt: skip
    want = slowly(probabilities, cross_entropy, LABELS, BACKGROUND, convention == "mean_then_loss")
    np.testing.assert_allclose(game.values(EVERY, NONE)[:, 0], want, atol=1e-12)
    by_logits = LossGame(
        logits, X, LABELS, removal=Marginal(BACKGROUND), loss="cross_entropy", convention=convention, batch=batch
    )
    np.testing.assert_allclose(by_logits.values(EVERY, NONE)[:, 0], want, atol=1e-12)


@pytest.mark.parametrize("convention", ["mean_then_loss", "loss_then_mean"])
def test_squared_error_and_an_own_loss_share_the_passes(convention):
    calls = []

    def model(x):
        calls.append(len(x))
        return number(x)

    def absolute(found, truth):
        return np.abs(found - truth).sum(axis=1)

    game = LossGame(
        model, X, NUMBERS, removal=Marginal(BACKGROUND), loss=("squared_error", absolute), outputs="raw", batch=45,
        convention=convention,
    )  # fmt: skip
    assert game.output_names == ("squared error", "absolute")
    calls.clear()
    got = game.values(EVERY, NONE)
    assert calls == [45] * 16  # 9 rows x 5 fillings a coalition, no item twice
    before = convention == "mean_then_loss"
    np.testing.assert_allclose(got[:, 0], slowly(number, squared, NUMBERS, BACKGROUND, before), atol=1e-12)
    np.testing.assert_allclose(
        got[:, 1], slowly(number, lambda f, t: np.abs(f[:, 0] - t), NUMBERS, BACKGROUND, before), atol=1e-12
    )


@pytest.mark.parametrize(
    ("removal", "fillings"),
    [
        (Zeros(), np.zeros((1, 4))),
        (Constant(0.5), np.full((1, 4), 0.5)),
        (Mean(BACKGROUND), BACKGROUND.mean(axis=0, keepdims=True)),
    ],
)
def test_one_filling(removal, fillings):
    game = LossGame(probabilities, X, LABELS, removal=removal, loss="zero_one", outputs="probabilities")
    want = slowly(probabilities, lambda p, y: (p.argmax(axis=1) != y).astype(float), LABELS, fillings, True)
    np.testing.assert_allclose(game.values(EVERY, NONE)[:, 0], want, atol=1e-12)


@pytest.mark.parametrize("convention", ["mean_then_loss", "loss_then_mean"])
@pytest.mark.parametrize("removal", [Constant(0.5), Marginal(BACKGROUND)])
def test_an_own_loss_of_logits_sees_logarithms_of_probabilities(removal, convention):
    """With one filling as with several, and whatever constant the model adds to its logits."""
    seen = []

    def own(found, truth):
        seen.append((found, truth))
        return found[np.arange(len(found)), truth] ** 2

    def moved(x):
        return logits(x) + 10 * x[:, :1]

    settings = {"removal": removal, "loss": own, "outputs": "logits", "convention": convention}
    got = LossGame(logits, X, LABELS, **settings).values(EVERY, NONE)
    np.testing.assert_allclose(LossGame(moved, X, LABELS, **settings).values(EVERY, NONE), got, atol=1e-9)
    for found, _ in seen:
        np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-9)
    seen.clear()

    def against(found, truth):
        seen.append((found, truth))
        return ((found - truth) ** 2).sum(axis=1)

    LossGame(logits, X, **settings | {"loss": against}).values(EVERY, NONE)
    for _, truth in seen:
        np.testing.assert_allclose(np.exp(truth).sum(axis=1), 1, atol=1e-9)


def test_the_brier_score_and_the_models_own_output():
    game = LossGame(logits, X, LABELS, removal=Marginal(BACKGROUND), loss="squared_error", outputs="logits")
    brier = slowly(probabilities, lambda p, y: ((p - np.eye(3)[y]) ** 2).sum(axis=1), LABELS, BACKGROUND, True)
    np.testing.assert_allclose(game.values(EVERY, NONE)[:, 0], brier, atol=1e-12)
    own = LossGame(logits, X, removal=Marginal(BACKGROUND), loss=("cross_entropy", "squared_error", "zero_one"))
    full = probabilities(X)
    want = [
        slowly(probabilities, lambda p, q: -(q * np.log(p)).sum(axis=1), full, BACKGROUND, True),
        slowly(probabilities, lambda p, q: ((p - q) ** 2).sum(axis=1), full, BACKGROUND, True),
        slowly(probabilities, lambda p, q: (p.argmax(1) != q.argmax(1)).astype(float), full, BACKGROUND, True),
    ]
    np.testing.assert_allclose(own.values(EVERY, NONE), np.stack(want, axis=1), atol=1e-12)


def test_games_keep_the_contract():
    def made(**more):
        return LossGame(probabilities, X, LABELS, outputs="probabilities", batch=32, **more)

    check_game(made(removal=Marginal(BACKGROUND), loss="cross_entropy"))
    check_game(made(removal=Marginal(BACKGROUND), loss="cross_entropy", rows=2))
    check_game(made(removal=Marginal(BACKGROUND, 3), loss="zero_one", convention="loss_then_mean", rows=2))
    check_game(made(removal=Marginal(BACKGROUND, 3), loss="squared_error"))
    check_game(made(removal=Uniform(-1.0, 1.0, 4), loss="squared_error", rows=1))
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    game = LossGame(net, torch.from_numpy(X).float(), LABELS, removal=Marginal(BACKGROUND), loss="cross_entropy")
    check_game(game)
    assert net.training
    again = cloudpickle.loads(cloudpickle.dumps(game))
    np.testing.assert_array_equal(again.values(EVERY, NONE), game.values(EVERY, NONE))
    half = game.halved()
    np.testing.assert_allclose(half.values(EVERY, NONE), game.values(EVERY, NONE), atol=1e-6)


def test_images_by_patches_and_groups_of_columns():
    pictures = RNG.random((6, 1, 4, 4)).astype(np.float32)
    game = LossGame(
        lambda x: x.reshape(len(x), -1) @ np.eye(16)[:, :2], pictures, RNG.integers(0, 2, 6), players=Patches(2, 2),
        removal=Zeros(), loss="cross_entropy",
    )  # fmt: skip
    check_game(game)
    assert game.n_players == 4
    grouped = LossGame(
        number, X, NUMBERS, players=ColumnGroups({"a": [0, 1], "b": [2, 3]}), removal=Marginal(BACKGROUND),
        loss="squared_error",
    )  # fmt: skip
    want = slowly(number, squared, NUMBERS, BACKGROUND, True)
    np.testing.assert_allclose(
        grouped.values(unpack(np.arange(4), 2), NONE[:4])[:, 0], want[[0, 3, 12, 15]], atol=1e-12
    )


# --- drawn rows and fillings


@pytest.mark.parametrize(
    ("loss", "convention", "samples", "rows"),
    [
        ("cross_entropy", "mean_then_loss", None, 1),
        ("cross_entropy", "loss_then_mean", 2, 3),
        ("squared_error", "mean_then_loss", 2, 1),
        ("squared_error", "mean_then_loss", 3, None),
        ("squared_error", "loss_then_mean", 1, 1),
    ],
)
def test_draws_are_unbiased(loss, convention, samples, rows):
    """The mean over contexts is the value over all rows and fillings: z-scores of all coalitions."""
    arguments = {"loss": loss, "outputs": "probabilities", "convention": convention}
    whole = LossGame(probabilities, X, LABELS, removal=Marginal(BACKGROUND), **arguments).values(EVERY, NONE)[:, 0]
    game = LossGame(
        probabilities, X, LABELS, removal=Marginal(BACKGROUND, samples, seed=3), rows=rows, seed=3, **arguments
    )
    assert game.stochastic
    np.testing.assert_allclose(game.values(EVERY, np.full(16, -1))[:, 0], whole, atol=1e-12)
    contexts = 4000
    drawn = game.values(np.repeat(EVERY, contexts, axis=0), np.tile(np.arange(contexts), 16)).reshape(16, contexts)
    error = drawn.std(axis=1, ddof=1) / np.sqrt(contexts)
    z = (drawn.mean(axis=1) - whole) / np.maximum(error, 1e-12)
    assert np.abs(z).max() < 4.5
    assert error.max() > 1e-4


def test_what_is_biased_is_refused():
    for loss, samples in (("cross_entropy", 4), ("zero_one", 4), ("squared_error", 1)):
        with pytest.raises(SpecError, match="biased"):
            LossGame(
                probabilities, X, LABELS, removal=Marginal(BACKGROUND, samples), loss=loss, outputs="probabilities"
            )


@pytest.mark.parametrize("rows", [None, 2])
def test_units_may_be_cut_anywhere(rows):
    """The same bits of a network in single precision, whatever units its job is cut into."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 33), torch.nn.Tanh(), torch.nn.Linear(33, 3))
    game = LossGame(net, X, LABELS, removal=Marginal(BACKGROUND), loss="cross_entropy", rows=rows, batch=128)
    assert game.block > 1
    design = plan([Ask(Question("SV"), "leverage")], 4, 100 if rows else 16, 0, game.stochastic).design
    design = Permutations(4, 0, game.stochastic) if not rows else design
    whole = evaluate(Unit(0, 9), game, design).values
    for cut in (1, 2, 5):
        parts = [evaluate(unit, game, design).values for unit in (Unit(0, cut), Unit(cut, 9))]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


# --- the questions of a loss game


def test_sage_values_by_every_estimator():
    """Shapley values of the game, by brute force and by estimators that draw."""
    game = LossGame(
        probabilities, X, LABELS, removal=Marginal(BACKGROUND), loss="cross_entropy", outputs="probabilities"
    )
    table = slowly(probabilities, cross_entropy, LABELS, BACKGROUND, True)
    want = np.array([brute_force.shapley(brute_force.Game(table[:, None]), i)[0] for i in range(4)])
    np.testing.assert_allclose(xr.explain(game, budget="exact").values, want, atol=1e-12)
    for name in ("permutation", "leverage", "kernel"):
        result = xr.explain(game, budget=400, estimator=name)
        np.testing.assert_allclose(result.values, want, atol=4 * result.std_errors.max() + 1e-9)


@pytest.mark.parametrize("estimator", ["permutation", "leverage"])
def test_standard_errors_cover_rows_and_fillings(estimator):
    whole = LossGame(
        probabilities, X, LABELS, removal=Marginal(BACKGROUND), loss="cross_entropy", outputs="probabilities"
    )
    want = xr.explain(whole, budget="exact").values
    covered = []
    for seed in range(60):
        game = LossGame(
            probabilities, X, LABELS, removal=Marginal(BACKGROUND, seed=seed), loss="cross_entropy", rows=2, seed=seed,
            outputs="probabilities",
        )  # fmt: skip
        low, high = shapley_estimate(game, estimator, 330, seed).intervals()
        covered.append((low[:, 0] <= want) & (want <= high[:, 0]))
    assert 0.90 <= np.mean(covered) <= 0.99  # 240 intervals


# --- bad input


def refused(error, match, **changes):
    arguments = {
        "model": probabilities, "X": X, "y": LABELS, "removal": Marginal(BACKGROUND), "loss": "cross_entropy",
        "outputs": "probabilities",
    }  # fmt: skip
    with pytest.raises(error, match=match) as told:
        LossGame(**{**arguments, **changes})
    assert "\n" not in str(told.value)


def test_bad_labels_and_rows():
    refused(InputError, "8 labels for 9 rows", y=LABELS[:8])
    refused(
        InputError, r"label 3 of row 2 is no class of the model, which has 3", y=np.array([0, 1, 3, 0, 0, 0, 0, 0, 0])
    )
    refused(InputError, r"label 'cat' of row 0 is no class", y=["cat"] * 9, classes=["a", "b", "c"])
    refused(InputError, "2 classes are named", y=["a"] * 9, classes=["a", "b"])
    refused(InputError, "name them with classes", y=["a"] * 9)
    refused(InputError, "a class is named twice: 'a', 'a', 'b'", y=["a"] * 9, classes=["a", "a", "b"])
    refused(InputError, "got 2.5; name them", y=LABELS + 0.5)
    refused(InputError, "X is ragged: row 1 has 3 numbers, row 0 has 4", X=[[0.0] * 4, [0.0] * 3] + [[0.0] * 4] * 7)
    refused(InputError, "label of row 4 is missing", y=np.where(np.arange(9) == 4, np.nan, 0.0))
    refused(InputError, "row 1, place 3", X=np.where(np.arange(36).reshape(9, 4) == 7, np.nan, X))
    refused(InputError, "not numeric", X=np.array([["a"] * 4] * 9))
    refused(InputError, "at least one row", X=np.empty((0, 4)), y=[])
    refused(InputError, "background .* is empty", removal=Marginal(np.empty((0, 4))))
    refused(InputError, "truth has 2 numbers", model=number, y=np.zeros((9, 2)), loss="squared_error", outputs="raw")
    named = LossGame(
        probabilities, X, np.array(["a", "b", "c"])[LABELS], removal=Zeros(), loss="cross_entropy",
        outputs="probabilities", classes=["a", "b", "c"],
    )  # fmt: skip
    numbered = LossGame(probabilities, X, LABELS, removal=Zeros(), loss="cross_entropy", outputs="probabilities")
    np.testing.assert_array_equal(named.values(EVERY, NONE), numbered.values(EVERY, NONE))


def test_bad_losses_and_models():
    refused(SpecError, "did you mean 'cross_entropy'", loss="crossentropy")
    refused(SpecError, "empty list", loss=())
    refused(SpecError, "needs class scores", model=number, outputs="raw")
    refused(ModelOutputError, r"shape \(9, 2\) for 9 rows", loss=lambda p, y: p[:, :2])
    refused(NonFiniteValue, "of row 0 .* is nan", loss=lambda p, y: np.full(len(p), np.nan))
    refused(ModelOutputError, "failed on outputs", loss=lambda p, y: p[:, 7])
    refused(NonFiniteValue, "clip = 1e-6", model=lambda x: np.eye(3)[np.zeros(len(x), dtype=int)])
    pictures = {
        "X": RNG.random((9, 1, 4, 4)),
        "players": Patches(2, 2),
        "model": lambda x: x.reshape(len(x), -1)[:, :3],
    }
    refused(SpecError, "depends on the row", removal=Blur(1.0), **pictures)
    refused(SpecError, "not callable", model=3)
    refused(SpecError, "at least 1", rows=0)
    refused(SpecError, "a whole number and at least 1, got 2.5", rows=2.5)
    refused(SpecError, "batch is a whole number", batch=2.5)
    refused(SpecError, "loss is one of .* got None", loss=None)
    refused(SpecError, "loss is one of .* got 3", loss=3)
    refused(
        ModelOutputError, "among 9 rows; it must look at each row by itself", loss=lambda p, y: p[:, 0] - p[:, 0].mean()
    )
    refused(SpecError, "convention is", convention="both")
    clipped = LossGame(
        lambda x: np.eye(3)[np.zeros(len(x), dtype=int)], X, LABELS, removal=Zeros(), loss="cross_entropy",
        outputs="probabilities", clip=1e-6,
    )  # fmt: skip
    assert np.isfinite(clipped.values(EVERY, NONE)).all()


def test_an_own_loss_of_raw_outputs_takes_labels_of_its_own() -> None:
    rng = np.random.default_rng(0)
    weights, X, labels = rng.normal(size=(5, 3)), rng.normal(size=(20, 5)), rng.integers(0, 3, 20)

    def hinge(outputs: np.ndarray, truth: np.ndarray) -> np.ndarray:
        return np.maximum(0.0, 1.0 - outputs[np.arange(len(outputs)), truth.astype(int)])

    given = {"removal": xr.Marginal(X[:4]), "outputs": "raw"}
    game = xr.LossGame(lambda rows: rows @ weights, X, labels, loss=hinge, **given)
    both = game.values(np.ones((1, 5), dtype=bool), np.zeros(1, dtype=np.int64))
    assert both[0, 0] == pytest.approx(-hinge(X @ weights, labels).mean())
    with pytest.raises(InputError, match="say outputs='logits'"):
        xr.LossGame(lambda rows: rows @ weights, X, labels, loss="squared_error", **given)
