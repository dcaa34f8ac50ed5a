"""First-layer folding: equal to the plain masked forward pass within its stated tolerance, or refused with the reason."""

import cloudpickle
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.forward import networks
from xai_ray.engine.identity import manifest_of
from xai_ray.errors import SpecError
from xai_ray.estimators import Ask, plan
from xai_ray.games import (
    ColumnGroups,
    Columns,
    Constant,
    LogOdds,
    Marginal,
    Mean,
    ModelGame,
    Numerics,
    Patches,
    Probability,
    Raw,
    Regions,
    Zeros,
)
from xai_ray.games.passes.first_layer import first_layer
from xai_ray.games.passes.folding import TOLERANCE, Folding
from xai_ray.indices import Question
from xai_ray.testing.games import check_game

FOLDED = Numerics(fold=True)
EPS = float(np.finfo(np.float32).eps)


def rows_of(n: int, count: int = 24, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    rows = generator.random((count, n)) < generator.random((count, 1))
    rows[0], rows[1] = False, True
    return rows


def assert_close(model, x, players, removal, behaviour, batch=32, outputs=None, order="mean_then_behaviour") -> None:
    made = {"players": players, "removal": removal, "behaviour": behaviour, "outputs": outputs, "order": order}
    plain = ModelGame(model, x, batch=batch, **made)
    folded = ModelGame(model, x, batch=batch, numerics=FOLDED, **made)
    assert folded.digest == plain.digest
    assert folded.block == plain.block
    rows = rows_of(plain.n_players)
    context = np.zeros(len(rows), dtype=np.int64)
    want, got = plain.values(rows, context), folded.values(rows, context)
    # Behaviours of these games change by no more than a few times what outputs change by.
    np.testing.assert_allclose(got, want, rtol=0, atol=8 * TOLERANCE * EPS * max(1.0, float(np.abs(want).max())))
    assert not np.allclose(want[0], want[1], atol=1e-2), "the game says nothing"


BACKGROUND = np.random.default_rng(5).normal(size=(23, 9))
X = np.random.default_rng(6).normal(size=9)
GROUPS = ColumnGroups([[0, 3], [1, 2, 8], [4], [5, 6, 7]])


@pytest.mark.parametrize("removal", [Zeros(), Constant(0.7), Mean(BACKGROUND), Marginal(BACKGROUND)], ids=str)
@pytest.mark.parametrize("players", [Columns(), GROUPS], ids=["columns", "groups"])
@pytest.mark.parametrize("batch", [4, 100])
def test_equals_the_plain_pass(removal, players, batch: int) -> None:
    assert_close(networks.perceptron(9), X, players, removal, LogOdds(), batch)


@pytest.mark.parametrize("model", [networks.standardised(9), networks.Written(9).eval()], ids=["normalised", "own"])
def test_modules_with_something_in_front(model) -> None:
    assert_close(model, X, Columns(), Marginal(BACKGROUND), Raw(), 64)


@pytest.mark.parametrize(
    ("behaviour", "outputs", "order"),
    [
        (LogOdds("all"), "logits", "mean_then_behaviour"),
        (LogOdds("all"), "logits", "behaviour_then_mean"),
        (Probability(1), "logits", "mean_then_behaviour"),
        (Raw((0, 2)), "raw", "mean_then_behaviour"),
    ],
)
def test_means_on_the_device_are_those_of_the_host(behaviour, outputs, order) -> None:
    assert_close(networks.perceptron(9), X, Columns(), Marginal(BACKGROUND), behaviour, 64, outputs, order)


@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_a_single_column_of_classes(outputs) -> None:
    model = networks.perceptron(9, outputs=1)
    model = nn.Sequential(model, nn.Sigmoid()).eval() if outputs == "probabilities" else model
    assert_close(model, X, Columns(), Marginal(BACKGROUND), LogOdds(1), 64, outputs)


def test_models_that_return_one_number_a_row() -> None:
    model = nn.Sequential(networks.perceptron(9, outputs=1), nn.Flatten(0)).eval()
    assert_close(model, X, Columns(), Marginal(BACKGROUND), Raw(), 64)


def test_images_through_a_flattened_perceptron() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), networks.perceptron(3 * 8 * 6)).eval()
    image = np.random.default_rng(1).normal(size=(3, 8, 6)).astype(np.float32)
    labels = np.random.default_rng(2).integers(-1, 4, (8, 6))
    others = np.random.default_rng(3).normal(size=(7, 3, 8, 6))
    for players in (Patches(2, 3), Regions(labels)):
        assert_close(model, image, players, Marginal(others), LogOdds(), 16)
        assert_close(model, image, players, Zeros(), LogOdds(), 16)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), columns=st.integers(2, 12), rows=st.integers(1, 9), batch=st.integers(1, 40))
def test_random_networks(seed: int, columns: int, rows: int, batch: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.permutation(columns)
    groups = [part.tolist() for part in np.array_split(labels, int(generator.integers(1, columns + 1)))]
    background = generator.normal(size=(rows, columns))
    made = {"players": ColumnGroups(groups), "removal": Marginal(background), "behaviour": Raw(), "batch": batch}
    model, x = networks.standardised(columns, seed), generator.normal(size=columns)
    plain, folded = ModelGame(model, x, **made), ModelGame(model, x, numerics=FOLDED, **made)
    coalitions = rows_of(len(groups), seed=seed)
    context = np.zeros(len(coalitions), dtype=np.int64)
    want = plain.values(coalitions, context)
    scale = max(1.0, float(np.abs(want).max()))
    np.testing.assert_allclose(folded.values(coalitions, context), want, rtol=0, atol=TOLERANCE * EPS * scale)


def test_double_precision_is_equal_to_its_own_rounding() -> None:
    model = networks.standardised(9).double()
    made = {"players": Columns(), "removal": Marginal(BACKGROUND), "behaviour": Raw(), "batch": 64}
    rows, context = rows_of(9), np.zeros(24, dtype=np.int64)
    want = ModelGame(model, X, **made).values(rows, context)
    np.testing.assert_allclose(ModelGame(model, X, numerics=FOLDED, **made).values(rows, context), want, rtol=1e-12)


def test_the_contract_holds_and_a_copy_has_the_same_bits() -> None:
    game = ModelGame(
        networks.perceptron(9), X, players=Columns(), removal=Marginal(BACKGROUND), behaviour=LogOdds(),
        batch=100, numerics=FOLDED,
    )  # fmt: skip
    check_game(game)
    rows, context = rows_of(9), np.zeros(24, dtype=np.int64)
    values = game.values(rows, context)
    np.testing.assert_array_equal(cloudpickle.loads(cloudpickle.dumps(game)).values(rows, context), values)
    half = game.halved()
    assert half is not None
    np.testing.assert_allclose(half.values(rows, context), values, atol=1e-5)


def test_the_model_is_left_alone_by_modules_that_write_into_their_input() -> None:
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 5), nn.ReLU(inplace=True), nn.Linear(5, 2)).eval()
    x = np.array([-1.0, 2.0, -3.0, 4.0], dtype=np.float32)
    background = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    kept = x.copy(), background.copy()
    made = {"players": Columns(), "behaviour": Raw(), "batch": 8, "numerics": FOLDED}
    game = ModelGame(model, x, removal=Marginal(background), **made)
    rows, context = rows_of(4), np.zeros(24, dtype=np.int64)
    np.testing.assert_array_equal(game.values(rows, context), game.values(rows, context))
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(background, kept[1])


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (networks.Skipping(9), "'x' is used by 2 operations"),
        (networks.Branching(9), "cannot be traced"),
        (networks.Mixing(9), "'softmax' comes before the first linear layer"),
        (networks.Swapping(9), "'flip' comes before the first linear layer"),
        (networks.Centring(9), "'x' is used by 2 operations"),
        (nn.Sequential(nn.LayerNorm(9), nn.Linear(9, 2)), "comes before the first linear layer"),
        (nn.Sequential(nn.BatchNorm1d(9, track_running_stats=False), nn.Linear(9, 2)), "comes before"),
    ],
    ids=lambda given: type(given).__name__ if isinstance(given, nn.Module) else None,
)
def test_what_cannot_be_folded_is_refused_with_the_reason(model, why: str) -> None:
    made = {"players": Columns(), "removal": Marginal(BACKGROUND), "behaviour": Raw(), "batch": 8}
    with pytest.raises(SpecError, match=f"cannot be folded: .*{why}.*fold"):
        ModelGame(model.eval(), X, numerics=FOLDED, **made)


def test_what_else_cannot_be_folded() -> None:
    model = networks.perceptron(9)
    made = {"players": Columns(), "behaviour": Raw(), "batch": 8, "numerics": FOLDED}
    with pytest.raises(SpecError, match="take every background row"):
        ModelGame(model, X, removal=Marginal(BACKGROUND, samples=3), **made)
    with pytest.raises(SpecError, match="fold: only torch modules"):
        ModelGame(lambda x: x, X, removal=Zeros(), **made)
    hooked = networks.perceptron(9)
    hooked.get_submodule("0").register_forward_hook(lambda module, given, result: result + 1)
    with pytest.raises(SpecError, match="comes before the first linear layer"):
        ModelGame(hooked, X, removal=Zeros(), **made)
    whole = networks.perceptron(9)
    whole.register_forward_hook(lambda module, given, result: result + 1)
    with pytest.raises(SpecError, match="has hooks"):
        ModelGame(whole, X, removal=Zeros(), **made)
    across = nn.Sequential(nn.Linear(6, 4), nn.Flatten(), nn.Linear(4 * 24, 2)).eval()
    with pytest.raises(SpecError, match="reaches the first linear layer has shape"):
        ModelGame(across, np.ones((3, 8, 6)), removal=Zeros(), **made | {"players": Patches(2, 2)})


def test_a_wrong_cut_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    import xai_ray.games.passes.folded_masking as folded_masking

    def wrong(model, example):
        right = first_layer(model, example)
        return type(right)(right.before, right.weight * 1.001, right.bias, right.after)

    monkeypatch.setattr(folded_masking, "first_layer", wrong)
    with pytest.raises(SpecError, match="differ from the model's by"):
        ModelGame(
            networks.perceptron(9), X, players=Columns(), removal=Zeros(), behaviour=Raw(), batch=8, numerics=FOLDED
        )


def test_rows_share_the_part_of_the_fillings() -> None:
    """The seam for many rows: each row's own part, and one part of the fillings for all of them."""
    model = networks.standardised(9)
    labels = np.array([0, 1, 2, 0, 1, 2, -1, 3, 3])
    xs = torch.from_numpy(np.random.default_rng(8).normal(size=(5, 9))).float()
    fillings = torch.from_numpy(BACKGROUND).float()
    with torch.inference_mode():
        folding = Folding(first_layer(model, xs[:2]), labels, (9,), 4)
        rows, background = folding.settled_rows(folding.rows(xs)), folding.settled(folding.fillings(fillings))
        coalitions, which = torch.from_numpy(rows_of(4)), torch.arange(24) % 5
        absent = torch.einsum("cn,nkh->ckh", (~coalitions).to(background.dtype), background)
        present = folding.present(coalitions, rows, which)
        got = folding.first.after((absent + present[:, None]).flatten(0, 1)).view(24, 23, 3)
        always = torch.cat([coalitions, torch.ones(24, 1, dtype=torch.bool)], dim=1)
        kept = always[:, torch.from_numpy(labels)]
        want = model(torch.where(kept[:, None], xs[which][:, None], fillings[None]).flatten(0, 1)).view(24, 23, 3)
    torch.testing.assert_close(got, want, rtol=0, atol=TOLERANCE * EPS * float(want.abs().max()))


def test_folding_is_part_of_a_jobs_identity() -> None:
    model = networks.perceptron(9)

    def digest(**more) -> str:
        game = ModelGame(model, X, players=Columns(), removal=Marginal(BACKGROUND), behaviour=Raw(0), batch=100, **more)
        planned = plan([Ask(Question("SV"), "auto")], 9, 100, 0, False)
        return manifest_of("job", game, planned, {}).digest

    assert digest() == digest(numerics=Numerics())
    assert digest() != digest(numerics=FOLDED)
