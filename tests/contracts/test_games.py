"""The contract of games: tables, and models of every kind through players, removals and behaviours."""

import subprocess
import sys

import cloudpickle
import numpy as np
import pytest
import torch

from xai_ray.errors import InputError, ModelOutputError, SpecError
from xai_ray.games import (
    Blur,
    ColumnGroups,
    Columns,
    Constant,
    LogOdds,
    Marginal,
    Mean,
    ModelGame,
    Patches,
    Probability,
    Raw,
    Regions,
    TableGame,
    Tokens,
    Uniform,
    Zeros,
)
from xai_ray.testing.games import check_game

NONE = np.zeros(64, dtype=np.int64)


def conv(classes: int = 5) -> torch.nn.Module:
    torch.manual_seed(0)
    pool = (torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(16, classes))
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), *pool)


IMAGE = torch.rand(3, 17, 23, generator=torch.Generator().manual_seed(1))


def rows_of(n: int, count: int = 20, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, n)) < 0.5


def linear(x: np.ndarray) -> np.ndarray:
    return x @ np.arange(1.0, x.shape[1] + 1)


def test_games_import_no_torch() -> None:
    code = "import sys; import xai_ray.games; from xai_ray.games import TableGame; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- tables


def test_table_game(tmp_path) -> None:
    table = np.random.default_rng(0).normal(size=(8, 2))
    game = TableGame(table)
    check_game(game)
    assert (game.n_players, game.n_outputs) == (3, 2)
    coalition = np.array([[True, False, True]])
    np.testing.assert_array_equal(game.values(coalition, NONE[:1]), table[[0b101]])
    np.savez(tmp_path / "v.npz", values=table, player_names=["a", "b", "c"])
    loaded = TableGame.load(tmp_path / "v.npz")
    assert loaded.player_names == ("a", "b", "c")
    assert loaded.digest == game.digest
    assert TableGame(table + 1).digest != game.digest


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(6), "nearest lengths are 4 and 8"),
        (np.zeros(0), "got 0"),
        (np.zeros(1), "no players"),
        (np.zeros((2, 2, 2)), r"got \(2, 2, 2\)"),
        (np.zeros((4, 0)), "no outputs"),
        ([0.0, 1.0, 2.0, np.nan], r"coalition \[0, 1\]"),
        ([0.0, np.inf], r"coalition \[0\]"),
        (["a", "b"], "real numbers"),
    ],
)
def test_bad_tables(values, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TableGame(values)


def test_bad_table_files(tmp_path) -> None:
    with pytest.raises(InputError, match="no such file"):
        TableGame.load(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 not an archive")
    with pytest.raises(InputError, match=r"bad.npz: cannot be read"):
        TableGame.load(tmp_path / "bad.npz")
    np.savez(tmp_path / "key.npz", v=np.zeros(4))
    with pytest.raises(InputError, match="no key 'values'; found v"):
        TableGame.load(tmp_path / "key.npz")
    np.save(tmp_path / "one.npy", np.zeros(4))
    with pytest.raises(InputError, match=r"not an [.]npz archive"):
        TableGame.load(tmp_path / "one.npy")
    np.savez(tmp_path / "pickled.npz", values=np.array([{"a": 1}, None], dtype=object))
    with pytest.raises(InputError, match="cannot be read"):
        TableGame.load(tmp_path / "pickled.npz")


# --- torch modules


def test_image_game_keeps_the_contract() -> None:
    game = ModelGame(conv(), IMAGE, players=Patches(3, 4), removal=Blur(2.0), behaviour=LogOdds(target="all"), batch=8)
    assert (game.n_players, game.n_outputs, game.block) == (12, 5, 8)
    check_game(game)


def test_image_game_against_a_loop() -> None:
    model = conv().eval()
    labels = np.random.default_rng(2).integers(-1, 4, (17, 23))
    game = ModelGame(
        model, IMAGE[None], players=Regions(labels), removal=Constant([0.1, 0.2, 0.3]), behaviour=Raw((1, 3)), batch=4
    )
    coalitions = rows_of(4, 7)
    fill = torch.tensor([0.1, 0.2, 0.3])[:, None, None].expand(3, 17, 23)
    for row, got in zip(coalitions, game.values(coalitions, NONE[:7]), strict=True):
        keep = torch.from_numpy(np.isin(labels, np.flatnonzero(row)) | (labels == -1))
        with torch.inference_mode():
            want = model(torch.where(keep, IMAGE, fill)[None])[0, [1, 3]]
        np.testing.assert_allclose(got, want.numpy(), atol=1e-6)


def test_two_inputs_by_dict_and_by_tuple() -> None:
    class Two(torch.nn.Module):
        def forward(self, image: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
            return torch.stack([image.sum(dim=(1, 2, 3)), row @ torch.tensor([1.0, 10.0])], dim=1)

    x = {"row": np.array([2.0, 3.0]), "image": IMAGE}
    players = {"row": Columns(["a", "b"]), "image": Patches(1, 1)}
    game = ModelGame(Two(), x, players=players, removal=Zeros(), behaviour=Raw(), batch=4)
    assert game.player_names == ("row: a", "row: b", "image: row 0 col 0")
    want = [[0, 0], [0, 2], [0, 30], [float(IMAGE.sum()), 32]]
    coalitions = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 1]], dtype=bool)
    np.testing.assert_allclose(game.values(coalitions, NONE[:4]), want, rtol=1e-5)
    check_game(game)
    same = ModelGame(
        Two(), (IMAGE, x["row"]), players=(None, Columns()), removal=Zeros(), behaviour=Raw(target=1), batch=4
    )
    assert same.values(np.array([[True, False]]), NONE[:1]).tolist() == [[2.0]]
    background = {"row": np.array([[1.0, 1.0], [3.0, 5.0]]), "image": torch.zeros(2, 3, 17, 23)}
    both = ModelGame(Two(), x, players=players, removal=Marginal(background), behaviour=Raw(target=1), batch=8)
    assert both.values(np.array([[False, False, True]]), NONE[:1]).tolist() == [[32.0]]


def test_bfloat16_tensors_and_training_mode() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Dropout(0.5)).bfloat16()
    game = ModelGame(model, torch.ones(4).bfloat16(), players=Columns(), removal=Zeros(), behaviour=LogOdds(), batch=4)
    assert model.training, "the caller's module is left alone"
    check_game(game)


def test_pickle_keeps_the_bits() -> None:
    game = ModelGame(conv(), IMAGE, players=Patches(2, 2), removal=Mean(), behaviour=LogOdds(), batch=4)
    other = cloudpickle.loads(cloudpickle.dumps(game))
    coalitions = rows_of(4, 8)
    np.testing.assert_array_equal(game.values(coalitions, NONE[:8]), other.values(coalitions, NONE[:8]))
    assert other.digest == game.digest


def test_digest_sees_everything_that_decides() -> None:
    usual = {"players": Patches(2, 2), "removal": Blur(2.0), "behaviour": LogOdds(target=1)}

    def made(model=None, x=IMAGE, **other) -> str:
        return ModelGame(model or conv(), x, **{**usual, **other}).digest

    changed = conv()
    with torch.no_grad():
        changed[0].bias[0] += 1e-3
    digests = [
        made(),
        made(model=changed),
        made(x=IMAGE + 1e-3),
        made(players=Patches(2, 3)),
        made(removal=Blur(2.5)),
        made(behaviour=LogOdds(target=2)),
        made(behaviour=Probability(target=1)),
    ]
    assert len(set(digests)) == len(digests)
    assert made() == made(batch=2)


def test_default_batch() -> None:
    def made(shape, threads=1) -> ModelGame:
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(2))
        given = {"players": Patches(2, 2), "removal": Zeros(), "behaviour": Raw(), "threads": threads}
        return ModelGame(model, torch.zeros(shape), **given)

    assert made((3, 224, 224)).batch == 2
    assert made((3, 224, 224), threads=4).batch == 4
    assert made((3, 32, 32)).batch == 128
    assert made((1, 4, 4)).batch == 1024
    assert made((1, 1500, 1500)).batch == 1


# --- callables on arrays


def test_scikit_learn_classifier_with_a_background() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    generator = np.random.default_rng(0)
    X = generator.normal(size=(60, 4))
    model = linear_model.LogisticRegression().fit(X, X[:, 0] + X[:, 1] ** 2 > 0.5)
    game = ModelGame(
        model.predict_proba,
        X[0],
        players=Columns(),
        removal=Marginal(X[:30]),
        behaviour=Probability(target=1),
        outputs="probabilities",
        batch=8,
    )
    assert game.block == 1
    for row in rows_of(4, 6):
        filled = np.where(row, X[0], X[:30])
        want = model.predict_proba(filled)[:, 1].mean()
        np.testing.assert_allclose(game.values(row[None], NONE[:1]), [[want]], rtol=1e-12)
    check_game(game)
    assert game.view.kind == "table"
    assert game.view.labels[0] == f"column 0 = {X[0, 0]:.4g}"


def test_sampled_background_is_unbiased_and_keyed() -> None:
    background = np.random.default_rng(0).normal(size=(10, 3))
    make = {"players": Columns(), "behaviour": Raw(), "batch": 16}
    game = ModelGame(linear, np.ones(3), removal=Marginal(background, samples=4, seed=3), **make)
    assert game.stochastic
    assert game.block == 4
    check_game(game)
    coalition = np.repeat([[True, False, False]], 4000, axis=0)
    values = game.values(coalition, np.arange(4000))[:, 0]
    exact = game.values(coalition[:1], np.array([-1]))[0, 0]
    assert exact == pytest.approx(linear(np.where(coalition[0], 1.0, background)).mean(), rel=1e-12)
    assert abs(values.mean() - exact) < 5 * values.std() / np.sqrt(len(values))
    other = ModelGame(linear, np.ones(3), removal=Marginal(background, samples=4, seed=4), **make)
    assert not np.array_equal(other.values(coalition[:8], np.arange(8)), values[:8, None])
    assert other.digest != game.digest


def test_uniform_removal() -> None:
    removal = Uniform([0.0, 1.0], [1.0, 3.0], samples=2)
    game = ModelGame(linear, np.array([5.0, 7.0]), players=Columns(), removal=removal, behaviour=Raw(), batch=8)
    check_game(game)
    ends = np.array([[False, False], [True, True]])
    np.testing.assert_allclose(game.values(ends, np.array([-1, -1]))[:, 0], [0.5 + 4.0, 19.0], atol=1e-3)
    drawn = game.values(np.zeros((3000, 2), dtype=bool), np.arange(3000))
    assert abs(drawn.mean() - 4.5) < 0.1


def test_channels_last_and_flat_images() -> None:
    def model(x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), -1).sum(axis=1)

    x = np.ones((4, 6, 3))
    game = ModelGame(model, x, players=Patches(2, 2, channels="last"), removal=Zeros(), behaviour=Raw(), batch=4)
    assert game.values(np.array([[True, False, False, True]]), NONE[:1]).tolist() == [[36.0]]
    flat = ModelGame(model, np.ones((4, 6)), players=Patches(2, 2), removal=Zeros(), behaviour=Raw(), batch=4)
    assert flat.values(np.array([[True, False, False, True]]), NONE[:1]).tolist() == [[12.0]]
    assert flat.view.image.shape == (4, 6, 3)


# --- errors


def test_players_that_do_not_fit() -> None:
    x = np.ones(4)
    cases = [
        (ColumnGroups({"a": [0, 1], "b": [3]}), "1 columns are in no group: column 2"),
        (ColumnGroups([[0, 1], [1, 2, 3]]), "'column 1' is twice"),
        (ColumnGroups([[0, 1, 2, 3], []]), "group 1' is empty"),
        (ColumnGroups([[0, 1, 2, 9]]), "no column 9"),
        (ColumnGroups({"a": ["p", "z"]}, columns=["p", "q", "r", "s"]), "no column 'z'"),
        (ColumnGroups([]), "no players"),
        (Columns(["a"]), "1 column names for a row of 4"),
        (Patches(2, 2), "2 or 3 axes"),
        (Tokens(keep=range(4)), "no players"),
    ]
    for players, message in cases:
        with pytest.raises(InputError, match=message):
            ModelGame(linear, x, players=players, removal=Zeros(), behaviour=Raw())
    image = np.ones((3, 4, 4))
    for players, message in [
        (Patches(0, 2), "no players"),
        (Patches(5, 2), "do not fit"),
        (Regions(np.full((4, 4), -1)), "no player"),
        (Regions(np.full((4, 4), 2)), "have no pixel"),
        (Regions(np.zeros((4, 5), dtype=int)), "4 x 4 pixels"),
        (Columns(), "1 axes"),
    ]:
        with pytest.raises(InputError, match=message):
            ModelGame(linear, image, players=players, removal=Zeros(), behaviour=Raw())


def test_players_of_dicts_and_texts() -> None:
    x = {"a": np.ones(2), "b": np.ones(2)}
    with pytest.raises(InputError, match=r"no players for \['b'\]"):
        ModelGame(linear, x, players={"a": Columns()}, removal=Zeros(), behaviour=Raw())
    with pytest.raises(InputError, match="as a dict"):
        ModelGame(linear, x, players=Columns(), removal=Zeros(), behaviour=Raw())
    with pytest.raises(InputError, match="has no players"):
        ModelGame(linear, x, players={"a": None, "b": None}, removal=Zeros(), behaviour=Raw())
    with pytest.raises(InputError, match="tokenizer"):
        ModelGame(linear, "a text", players=Tokens(), removal=Zeros(), behaviour=Raw())
    with pytest.raises(InputError, match="not finite at"):
        ModelGame(linear, np.array([1.0, np.nan]), players=Columns(), removal=Zeros(), behaviour=Raw())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda x: x[:1], "returned 1 rows for a batch of 2"),
        (lambda x: x[:, :, None], r"got \(2, 2, 1\)"),
        (lambda x: np.array([["a"], ["b"]]), "real numbers"),
        (lambda x: (x, x), "got tuple"),
        (lambda x: 1 / 0, r"input \(2, 2\) float64: ZeroDivisionError"),
    ],
)
def test_model_outputs_of_the_wrong_shape(model, message: str) -> None:
    with pytest.raises(ModelOutputError, match=message):
        ModelGame(model, np.ones(2), players=Columns(), removal=Zeros(), behaviour=Raw())


def test_targets_and_conventions() -> None:
    def made(behaviour, **more) -> ModelGame:
        return ModelGame(lambda x: x, np.ones(3), players=Columns(), removal=Zeros(), behaviour=behaviour, **more)

    with pytest.raises(SpecError, match=r"target 3 is out of range: the model has 3 outputs, 0\.\.2"):
        made(LogOdds(target=3))
    with pytest.raises(SpecError, match="target -1"):
        made(Raw(target=(0, -1)))
    with pytest.raises(SpecError, match="'predicted'"):
        made(Raw(target="best"))
    with pytest.raises(SpecError, match="empty list"):
        made(Raw(target=()))
    with pytest.raises(SpecError, match="class scores"):
        made(LogOdds(), outputs="raw")
    with pytest.raises(SpecError, match="threads"):
        made(Raw(), threads=0)
    with pytest.raises(SpecError, match="not callable"):
        ModelGame(3, np.ones(3), players=Columns(), removal=Zeros(), behaviour=Raw())
    with pytest.raises(InputError, match="2 player names for 3"):
        made(Raw(), player_names=["a", "b"])
    with pytest.raises(InputError, match="picture must be uint8"):
        ModelGame(conv(), IMAGE, players=Patches(2, 2), removal=Zeros(), behaviour=Raw(), picture=np.zeros((17, 23)))
    assert made(Raw((2, 0)), output_names=["a", "b", "c"]).output_names == ("c", "a")


def test_non_finite_values_are_passed_on() -> None:
    game = ModelGame(
        lambda x: np.where(x.sum(axis=1, keepdims=True) > 1, np.nan, x),
        np.ones(2),
        players=Columns(),
        removal=Zeros(),
        behaviour=Raw(target=0),
        batch=2,
    )
    values = game.values(np.array([[True, False], [True, True]]), NONE[:2])
    assert np.isnan(values[:, 0]).tolist() == [False, True]


def test_a_background_for_an_input_without_players_may_be_given_too() -> None:
    rng = np.random.default_rng(0)
    x, y, fillings = rng.normal(size=4), rng.normal(size=(2, 3)), rng.normal(size=(5, 4))

    def model(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        return rows.sum(axis=1) * others.sum(axis=(1, 2))

    given = {"players": [Columns(), None], "behaviour": Raw()}
    both = ModelGame(model, (x, y), removal=Marginal((fillings, rng.normal(size=(5, 2, 3)))), **given)
    one = ModelGame(model, (x, y), removal=Marginal(fillings), **given)
    coalitions, context = rng.random((6, 4)) < 0.5, np.zeros(6, dtype=np.int64)
    np.testing.assert_array_equal(both.values(coalitions, context), one.values(coalitions, context))
