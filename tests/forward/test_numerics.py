"""Half precision, memory layout, compilation, bit-packed coalitions, measured batches and devices that are too small."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.forward import networks
from xai_ray.coalitions import Exhaustive, Unit
from xai_ray.engine.halving import Bench
from xai_ray.engine.identity import manifest_of
from xai_ray.errors import SpecError
from xai_ray.estimators import Ask, plan
from xai_ray.games import Blur, Columns, LogOdds, Marginal, ModelGame, Numerics, Patches, Raw, Zeros
from xai_ray.games.arguments import arrange
from xai_ray.games.passes import batch_size as sizes
from xai_ray.games.passes.backends import TorchBackend
from xai_ray.games.passes.numerics import HALF_TOLERANCE
from xai_ray.indices import Question
from xai_ray.testing.games import check_game

IMAGE = np.random.default_rng(0).random((3, 20, 24)).astype(np.float32)


def rows_of(n: int, count: int = 16) -> np.ndarray:
    generator = np.random.default_rng(0)
    rows = generator.random((count, n)) < generator.random((count, 1))
    rows[0], rows[1] = False, True
    return rows


def conv() -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU())
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5)).eval()


def picture_game(device: str = "cpu", batch: int = 8, **numerics) -> ModelGame:
    return ModelGame(
        conv(), IMAGE, players=Patches(3, 4), removal=Blur(3.0), behaviour=Raw(), batch=batch, device=device,
        numerics=Numerics(**numerics),
    )  # fmt: skip


def table_game(**more) -> ModelGame:
    rng = np.random.default_rng(1)
    made = {"players": Columns(), "removal": Marginal(rng.normal(size=(20, 9))), "behaviour": LogOdds(1)}
    return ModelGame(networks.perceptron(9), rng.normal(size=9), **made | {"batch": 64} | more)


def values(game: ModelGame) -> np.ndarray:
    rows = rows_of(game.n_players)
    return game.values(rows, np.zeros(len(rows), dtype=np.int64))


@pytest.mark.parametrize(("precision", "bits"), [("bf16", 8), ("fp16", 11)])
@pytest.mark.parametrize("made", [picture_game, lambda **n: table_game(numerics=Numerics(**n))], ids=["image", "table"])
def test_half_precision_is_as_far_off_as_it_says(made, precision, bits) -> None:
    want, got = values(made()), values(made(precision=precision))
    gap = float(np.abs(got - want).max()) / max(1.0, float(np.abs(want).max()))
    assert 0 < gap <= 2.0**-bits
    assert got.dtype == np.float64


@pytest.mark.parametrize(("precision", "bits"), [("bf16", 8), ("fp16", 11)])
def test_half_precision_of_a_deep_net_stays_within_its_tolerance(precision, bits: int) -> None:
    data = pytest.importorskip("skimage.data")
    zoo = pytest.importorskip("xai_ray.zoo").efficientnet_lite0()
    x = zoo.preprocess(data.chelsea())
    made = {"players": Patches(7, 7), "removal": Blur(10.0), "behaviour": Raw(), "batch": 2}
    rows, context = rows_of(49, 6), np.zeros(6, dtype=np.int64)
    want = ModelGame(zoo.model, x, **made).values(rows, context)
    got = ModelGame(zoo.model, x, numerics=Numerics(precision=precision), **made).values(rows, context)
    assert 0 < np.abs(got - want).max() <= HALF_TOLERANCE * 2.0**-bits * np.abs(want).max()


def test_half_precision_behind_a_folded_layer() -> None:
    want, got = values(table_game()), values(table_game(numerics=Numerics(fold=True, precision="bf16")))
    assert 0 < np.abs(got - want).max() <= 2.0**-8 * max(1.0, float(np.abs(want).max()))


def test_channels_last_is_equal_up_to_rounding_and_leaves_the_model_alone() -> None:
    model = conv()
    made = {"players": Patches(3, 4), "removal": Blur(3.0), "behaviour": Raw(), "batch": 8}
    game = ModelGame(model, IMAGE, numerics=Numerics(channels_last=True), **made)
    np.testing.assert_allclose(values(game), values(picture_game()), rtol=0, atol=1e-5)
    assert model[0].weight.is_contiguous()
    assert game._backend.model[0].weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("numerics", [{"channels_last": True}, {"precision": "bf16"}], ids=str)
def test_the_contract_holds(numerics) -> None:
    # Half precision moves with the place in a batch by more than the rounding that the contract allows a single one.
    if "precision" in numerics:
        game = table_game(numerics=Numerics(**numerics))
        np.testing.assert_array_equal(values(game), values(game))
    else:
        check_game(picture_game(**numerics))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch._inductor") is None, reason="this torch cannot compile")
@pytest.mark.parametrize("fold", [False, True])
def test_a_compiled_model_is_equal_up_to_rounding(fold: bool) -> None:
    game = table_game(numerics=Numerics(compile=True, fold=fold))
    np.testing.assert_allclose(values(game), values(table_game()), rtol=0, atol=1e-4)


def test_packed_coalitions_are_unpacked_to_the_same_bits() -> None:
    backend = TorchBackend(networks.perceptron(9), arrange(np.ones(9), Columns(), None), "cpu")
    for n in (1, 7, 8, 9, 64, 65):
        rows = rows_of(n)
        packed = torch.from_numpy(np.packbits(np.concatenate([rows, np.ones((16, 1), bool)], axis=1), axis=1))
        assert torch.equal(backend.unpacked(packed, n + 1), backend.present(rows))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("numerics", [{}, {"channels_last": True}, {"precision": "fp16"}], ids=str)
def test_a_cuda_device_gives_the_values_of_the_cpu(numerics) -> None:
    want, game = values(picture_game()), picture_game("cuda", batch=4, **numerics)
    assert game._ahead == 1
    scale = max(1.0, float(np.abs(want).max()))
    np.testing.assert_allclose(
        values(game), want, rtol=0, atol=(2.0**-10 if numerics.get("precision") else 1e-4) * scale
    )
    np.testing.assert_array_equal(values(game), values(game))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_folded_game_on_a_cuda_device() -> None:
    game = table_game(numerics=Numerics(fold=True), device="cuda")
    np.testing.assert_allclose(values(game), values(table_game()), rtol=0, atol=1e-4)


def test_what_only_torch_modules_can_do_is_refused_for_others() -> None:
    for numerics in (Numerics(precision="bf16"), Numerics(compile=True), Numerics(channels_last=True)):
        with pytest.raises(SpecError, match="only torch modules can be run this way"):
            ModelGame(lambda x: x, np.ones(3), players=Columns(), removal=Zeros(), behaviour=Raw(), numerics=numerics)
    with pytest.raises(SpecError, match="precision is 'bf16' or 'fp16'"):
        Numerics(precision="fp8")  # type: ignore[arg-type]


def test_numerics_are_part_of_a_jobs_identity_and_nothing_is_where_nothing_is_asked() -> None:
    def identity(numerics: Numerics | None) -> dict:
        planned = plan([Ask(Question("SV"), "auto")], 9, 100, 0, False)
        return manifest_of("job", table_game(numerics=numerics), planned, {}).document["identity"]["numerics"]

    assert identity(None) == identity(Numerics()) == {"block": 3, "threads": 1}
    asked = Numerics(True, "bf16", True, True)
    assert identity(asked) == {
        "block": 3, "threads": 1, "fold": True, "precision": "bf16", "channels_last": True, "compile": True,
    }  # fmt: skip
    assert table_game(numerics=asked).digest == table_game().digest


# --- batches


def told_by(monkeypatch: pytest.MonkeyPatch, cost: dict[int, float | None]) -> None:
    """Seconds of an evaluation by batch, instead of the clock's."""
    monkeypatch.setattr(sizes, "_seconds_per_evaluation", lambda game: cost.get(game.batch, 1.0))


@pytest.mark.parametrize(
    ("cost", "batch"),
    [
        ({1: 1.0, 2: 0.5, 4: 0.4, 8: 0.395, 16: 0.41}, 4),
        ({1: 1.0, 2: 1.1, 4: 0.5, 8: 0.6, 16: 0.6, 32: 0.1}, 4),
        ({1: 1.0, 2: 0.5, 4: None}, 2),
    ],
)
def test_the_smallest_batch_that_no_larger_one_beats(monkeypatch: pytest.MonkeyPatch, cost, batch: int) -> None:
    told_by(monkeypatch, cost)
    monkeypatch.setattr(sizes, "_SECONDS", 1e9)
    game = table_game(batch="auto")
    assert game.batch == batch
    assert game.block == max(1, batch // 20)


def test_a_slow_pass_and_a_full_memory_end_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    told_by(monkeypatch, {2**k: 2.0**-k for k in range(12)})
    assert table_game(batch="auto").batch == 2**11
    monkeypatch.setattr(sizes, "_SECONDS", 0.01)
    assert table_game(batch="auto").batch == 1
    monkeypatch.setattr(sizes, "_SECONDS", 1e9)
    taken = iter(range(0, 10**12, 2**30))
    monkeypatch.setattr(sizes, "_peak", lambda: next(taken))
    assert sizes.quickest_batch(table_game(), memory=2**31 - 1) == 1


def test_a_batch_that_was_found_gives_the_same_values_up_to_rounding() -> None:
    game = table_game(batch="auto")
    assert game.batch & (game.batch - 1) == 0
    np.testing.assert_allclose(values(game), values(table_game()), rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 3, 16, 21, 200])
def test_any_batch_and_any_mixture_of_rows(batch: int) -> None:
    rows = rows_of(9, 40)
    order = np.random.default_rng(3).permutation(40)
    context = np.zeros(40, dtype=np.int64)
    want = table_game().values(rows, context)
    for numerics in (Numerics(), Numerics(fold=True)):
        got = table_game(batch=batch, numerics=numerics).values(rows[order], context)
        np.testing.assert_allclose(got, want[order], rtol=0, atol=1e-5)


def test_a_spec_holds_the_batch_that_was_found(tmp_path) -> None:
    from xai_ray.build import manifest_for, prepare
    from xai_ray.spec import parse

    document = {
        "game": {
            "kind": "model",
            "model": {"factory": "xai_ray.zoo:tumour_mlp"},
            "input": {"sklearn": "breast_cancer", "row": 0},
            "players": {"kind": "columns"},
            "removal": {"kind": "marginal", "background": {}},
            "behaviour": {"kind": "log_odds"},
        },
        "ask": [{"index": "SV"}],
        "budget": {"evaluations": 400},
        "compute": {"batch": "auto", "fold": True},
    }
    prepared = prepare(parse(document), tmp_path)
    stored = manifest_for(prepared).document["spec"]
    assert stored["compute"] == {"batch": prepared.game.batch, "fold": True}
    again = prepare(parse(stored), tmp_path)
    assert manifest_for(again).digest == manifest_for(prepared).digest
    assert again.game.numerics == Numerics(fold=True)


class Narrow(nn.Module):
    """A device that holds four rows."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = networks.perceptron(7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.inner(x)


def test_a_model_that_runs_out_of_memory_goes_on_with_half_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {"players": Columns(), "removal": Zeros(), "behaviour": Raw(0)}
    game = ModelGame(Narrow(), np.ones(7), batch=16, **made)
    record = Bench(game, Exhaustive(7)).evaluate(Unit(0, 32), lambda: None)
    assert record.facts["halved"] == 2
    monkeypatch.setattr(sizes, "_SECONDS", 1e9)
    assert ModelGame(Narrow(), np.ones(7), batch="auto", **made).batch <= 4
    assert replace(Numerics(), fold=True).document() == {"fold": True}
