"""The models and the tricks of `forward.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

import xai_ray as xr
from xai_ray.games import Numerics
from xai_ray.games.passes.backends import TorchBackend
from xai_ray.zoo.tumour import tumour_data, tumour_forest

_FILLINGS = 100
_ENUMERATED = 20
"""Players up to which coalitions are drawn without replacement; of more a few thousand hardly ever meet."""


@dataclass(frozen=True)
class Case:
    """A model on one input."""

    name: str
    evaluations: int
    """At least so many a round."""
    fillings: int
    make: Callable[..., xr.ModelGame | xr.LossGame]
    bare: Callable[[int], Callable[[], object]]
    """Batch -> a call of the model on inputs made in advance."""
    bare_batches: tuple[int, ...]

    def game(self, **more: Any) -> xr.ModelGame | xr.LossGame:
        return self.make(**more)


def in_inference(model: torch.nn.Module, *given: torch.Tensor) -> Callable[[], object]:
    @torch.inference_mode()
    def call() -> object:
        return model(*given)

    return call


def perceptron(*widths: int) -> torch.nn.Module:
    torch.manual_seed(0)
    layers: list[torch.nn.Module] = []
    for before, after in pairwise(widths):
        layers += [torch.nn.Linear(before, after), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1]).eval()


def tabular(name: str, model: torch.nn.Module, columns: int, players: Any = None, evaluations: int = 4_800) -> Case:
    rng = np.random.default_rng(0)
    x, background = rng.normal(size=columns), rng.normal(size=(_FILLINGS, columns))
    made = {"players": players or xr.Columns(), "removal": xr.Marginal(background), "behaviour": xr.LogOdds()}
    bare = lambda batch: in_inference(model, torch.randn(batch, columns))  # noqa: E731
    return Case(
        name, evaluations, _FILLINGS, lambda **more: xr.ModelGame(model, x, **made | more), bare, (1024, 4096, 16384)
    )


def mlp() -> Case:
    return tabular("MLP 20-64-64-2, 100 background rows", perceptron(20, 64, 64, 2), 20)


def hidden() -> Case:
    return tabular("MLP 20-64-2, 100 background rows", perceptron(20, 64, 2), 20)


def groups() -> Case:
    players = xr.ColumnGroups([list(range(at, at + 25)) for at in range(0, 200, 25)])
    return tabular("MLP 200-64-64-2, 8 groups, 100 background rows", perceptron(200, 64, 64, 2), 200, players, 240)


def patches() -> Case:
    from skimage import data

    zoo = xr.zoo.efficientnet_lite0()
    x = zoo.preprocess(data.chelsea())
    made = {"players": xr.Patches(7, 7), "removal": xr.Blur(10.0), "behaviour": xr.LogOdds()}
    bare = lambda batch: in_inference(zoo.model, torch.randn(batch, *x.shape))  # noqa: E731
    return Case(
        "EfficientNet-Lite0, 49 patches", 16, 1, lambda **m: xr.ModelGame(zoo.model, x, **made | m), bare, (2, 4, 8)
    )


def words() -> Case:
    from xai_ray.game_spec import TextRow
    from xai_ray.inputs import read_input

    zoo = xr.zoo.minilm_sentiment()
    text = read_input(TextRow(texts="data/reviews.tsv", row=6), Path(__file__).parents[1] / "jobs").text
    made = {"players": xr.Words(), "removal": xr.MaskToken(), "behaviour": xr.Logit(1), "tokenizer": zoo.tokenizer}
    length = len(zoo.tokenizer(text)["input_ids"])

    def bare(batch: int) -> Callable[[], object]:
        ids = torch.randint(1000, 5000, (batch, length))
        return in_inference(zoo.model, ids, torch.ones_like(ids))

    return Case("MiniLM, words", 64, 1, lambda **m: xr.ModelGame(zoo.model, text, **made | m), bare, (8, 16, 32))


def forest() -> Case:
    zoo, data = tumour_forest(), tumour_data()
    made = {"players": xr.Columns(), "removal": xr.Marginal(data.background), "outputs": "probabilities"}
    rows = np.concatenate([data.rows] * 116)

    def bare(batch: int) -> Callable[[], object]:
        return lambda: zoo.model(rows[:batch])

    make = lambda **m: xr.ModelGame(zoo.model, data.rows[0], behaviour=xr.Probability(), **made | m)  # noqa: E731
    return Case("forest of 100 trees, 100 background rows", 320, _FILLINGS, make, bare, (8192, 32768, 65536))


def dataset() -> Case:
    rng, model, labelled = np.random.default_rng(0), perceptron(20, 64, 64, 2), 100
    rows, background = rng.normal(size=(labelled, 20)), rng.normal(size=(_FILLINGS, 20))
    made = {"removal": xr.Marginal(background), "loss": "cross_entropy"}
    labels = rng.integers(0, 2, labelled)
    bare = lambda batch: in_inference(model, torch.randn(batch, 20))  # noqa: E731
    make = lambda **more: xr.LossGame(model, rows, labels, **made | more)  # noqa: E731
    name = f"loss of MLP 20-64-64-2 over {labelled} rows, {_FILLINGS} background rows"
    return Case(name, 40, labelled * _FILLINGS, make, bare, (1024, 4096, 16384))


CASES: dict[str, Callable[[], Case]] = {
    "mlp": mlp, "hidden": hidden, "groups": groups, "patches": patches, "words": words, "forest": forest, "loss": dataset,
}  # fmt: skip


def drawn(n: int, count: int) -> np.ndarray:
    """Coalitions that are all different, as those of a run mostly are, as long as there are as many: one that comes twice would be
    evaluated once.
    """
    rng = np.random.default_rng(0)
    if n > _ENUMERATED:
        return rng.random((count, n)) < 0.5
    return np.resize(rng.permutation(1 << n), count)[:, None] >> np.arange(n) & 1 == 1


def prefixes(n: int, count: int) -> np.ndarray:
    """All proper prefixes of random orders, as `permutation` asks for them."""
    rng = np.random.default_rng(0)
    orders = rng.permuted(np.tile(np.arange(n), (-(-count // (n - 1)), 1)), axis=1)
    return np.concatenate([orders < size for size in range(1, n)], axis=1).reshape(-1, n)[:count]


@dataclass(frozen=True)
class Trick:
    """One change of the plain masked forward pass."""

    name: str
    cases: tuple[str, ...]
    more: dict[str, Any]
    """Arguments of `ModelGame`."""
    coalitions: Callable[[int, int], np.ndarray] = drawn
    off: Callable[[], AbstractContextManager[Any]] = nullcontext
    on: Callable[[], AbstractContextManager[Any]] = nullcontext

    def game(self, case: Case) -> xr.ModelGame | xr.LossGame:
        return case.game(**self.more)


@contextmanager
def every_row() -> Iterator[None]:
    """Duplicates are evaluated as often as they come."""

    def laid(coalitions: np.ndarray, context: np.ndarray, block: int, stochastic: bool) -> Any:
        at = np.arange(-(-len(coalitions) // block) * block)
        return np.minimum(at, len(coalitions) - 1), np.arange(len(coalitions))

    with mock.patch("xai_ray.games.model.laid", laid):
        yield


@contextmanager
def host_means() -> Iterator[None]:
    """Means over fillings on the host, of folded passes."""
    from xai_ray.games.passes.folded_masking import FoldedMasker

    def values(self: Any, coalitions: np.ndarray, block: int, averaging: Any, targets: np.ndarray) -> Any:
        blocks = [coalitions[at : at + block] for at in range(0, len(coalitions), block)]
        return np.concatenate([averaging.values(self.over_all(rows), targets) for rows in blocks])

    with mock.patch.object(FoldedMasker, "values", values):
        yield


@contextmanager
def packed() -> Iterator[None]:
    """Coalitions travel as bits, as to an accelerator."""

    def present(self: TorchBackend, coalitions: np.ndarray) -> torch.Tensor:
        always = np.ones((len(coalitions), 1), dtype=np.bool_)
        words = np.packbits(np.concatenate([coalitions, always], axis=1), axis=1)
        return self.unpacked(self.put(words), coalitions.shape[1] + 1)

    with mock.patch.object(TorchBackend, "present", present):
        yield


_PERCEPTRONS = ("mlp", "hidden", "groups")
TRICKS = (
    Trick("none", ("loss", "forest"), {}),
    Trick("folded + means on the host", _PERCEPTRONS, {"numerics": Numerics(fold=True)}, on=host_means),
    Trick("folded", (*_PERCEPTRONS, "loss"), {"numerics": Numerics(fold=True)}),
    Trick("measured batch", ("mlp", "patches", "words"), {"batch": "auto"}),
    Trick("folded + measured batch", _PERCEPTRONS, {"numerics": Numerics(fold=True), "batch": "auto"}),
    Trick("duplicates once (orders of 8)", ("groups",), {}, prefixes, off=every_row),
    Trick("duplicates once (any coalitions)", ("mlp", "groups"), {}, off=every_row),
    Trick("packed masks", ("mlp", "patches"), {}, on=packed),
    Trick("bf16", ("mlp", "patches", "words"), {"numerics": Numerics(precision="bf16")}),
    Trick("fp16", ("patches", "words"), {"numerics": Numerics(precision="fp16")}),
    Trick("channels last", ("patches",), {"numerics": Numerics(channels_last=True)}),
    Trick("channels last + bf16", ("patches",), {"numerics": Numerics(channels_last=True, precision="bf16")}),
    Trick("compiled", ("mlp", "patches", "words"), {"numerics": Numerics(compile=True)}),
)
