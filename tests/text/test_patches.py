"""Patches cut out of a vision transformer: equal to attention 0 for them, and to a loop over shorter sequences."""

from __future__ import annotations

import functools

import cloudpickle
import numpy as np
import pytest
import torch

from tests.text.models import _random, at_zero, coalitions, transformers
from xai_ray.errors import InputError, SpecError
from xai_ray.games import Drop, Logit, ModelGame, Patches, Regions, RowsGame
from xai_ray.testing.games import check_game

IMAGE = torch.rand(3, 24, 24, generator=torch.Generator().manual_seed(0)).numpy()


@functools.cache
def vit():
    """A grid of 6 x 6 patches of 4 x 4 pixels, three classes."""
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, image_size=24, patch_size=4,
        num_labels=3,
    )  # fmt: skip
    return _random(transformers.ViTForImageClassification, config)


class Unmasked(torch.nn.Module):
    """The same model, as releases without an attention mask have it."""

    def __init__(self, model) -> None:
        super().__init__()
        self.vit, self.classifier = model.vit, model.classifier

    def forward(self, pixel_values):
        return self.classifier(self.vit(pixel_values).last_hidden_state[:, 0])


def game_of(model=None, players=None, **more) -> ModelGame:
    return ModelGame(
        model or vit(), IMAGE, players=players or Patches(3, 3), removal=Drop(), behaviour=Logit("all"), **more
    )


def shown(row, labels) -> np.ndarray:
    """Patches of a coalition; each player has 2 x 2 of them."""
    return np.array([p < 0 or row[p] for p in labels])


GRID = np.kron(np.arange(9).reshape(3, 3), np.ones((2, 2), dtype=int)).ravel()


@pytest.mark.parametrize("kind", [vit, lambda: Unmasked(vit())], ids=["padded", "each length by itself"])
def test_equal_to_attention_zero_and_to_a_loop(kind) -> None:
    game = game_of(kind())
    rows = coalitions(9, 40)
    got = game.values(rows, at_zero(rows))
    pixels = torch.from_numpy(IMAGE)[None]
    with torch.inference_mode():
        tokens = vit().vit.embeddings(pixels)
        for row, values in zip(rows, got, strict=True):
            there = shown(row, GRID)
            hidden = tokens[:, np.concatenate([[True], there])]
            for layer in vit().vit.layers:
                hidden = layer(hidden, None)
            cut = vit().classifier(vit().vit.layernorm(hidden)[:, 0])[0]
            mask = torch.from_numpy(np.concatenate([[1], there.astype(int)]))[None]
            unseen = vit()(pixels, attention_mask=mask).logits[0]
            np.testing.assert_allclose(values, cut.double().numpy(), atol=5e-6)
            np.testing.assert_allclose(values, unseen.double().numpy(), atol=5e-6)
    assert np.ptp(got[:, 0]) > 0.05, "patches matter"


@pytest.mark.usefixtures("small_pool")
def test_the_contract_and_copies() -> None:
    game = game_of()
    check_game(game, rows=16)
    rows = coalitions(9)
    other = cloudpickle.loads(cloudpickle.dumps(game))
    np.testing.assert_array_equal(other.values(rows, at_zero(rows)), game.values(rows, at_zero(rows)))
    assert other.digest == game.digest
    with torch.inference_mode():
        whole = vit()(torch.from_numpy(IMAGE)[None]).logits[0]
    np.testing.assert_allclose(game.values(rows[1:2], np.zeros(1, dtype=int))[0], whole.numpy(), atol=5e-6)


def test_regions_of_whole_patches() -> None:
    labels = np.kron(
        np.where(np.arange(36) < 20, np.arange(36) % 4, -1).reshape(6, 6), np.ones((4, 4), dtype=int)
    ).astype(int)
    game = game_of(players=Regions(labels))
    assert game.n_players == 4
    none = np.zeros((1, 4), dtype=bool)
    with torch.inference_mode():
        mask = torch.tensor([[1, *([0] * 20), *([1] * 16)]])
        want = vit()(torch.from_numpy(IMAGE)[None], attention_mask=mask).logits[0]
    np.testing.assert_allclose(game.values(none, at_zero(none))[0], want.numpy(), atol=5e-6)


def test_refusals() -> None:
    with pytest.raises(InputError, match=r"cut patch 1 .* 6 x 6"):
        game_of(players=Patches(4, 4))
    conv = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    with pytest.raises(SpecError, match="vision transformer"):
        game_of(conv)


def test_rows_are_filled_not_shortened() -> None:
    """Were it let through, every coalition of a row would have the value of the whole row."""
    with pytest.raises(SpecError, match="Drop shortens the input of one row"):
        RowsGame(vit(), np.stack([IMAGE, IMAGE]), players=Patches(6, 6), removal=Drop(), behaviour=Logit(target=0))
