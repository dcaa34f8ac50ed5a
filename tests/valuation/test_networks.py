"""Networks trained many at once against plain torch loops on each coalition alone."""

import numpy as np
import pytest
import torch
from torch import nn

from xai_ray.errors import ModelOutputError, SpecError, XaiRayError
from xai_ray.testing.chain_games import check_chain_game
from xai_ray.valuation import Network, TrainingGame
from xai_ray.valuation.networks import batches

R = np.random.default_rng(31)
N, M = 18, 40
X, TEST = R.normal(size=(N, 3)), R.normal(size=(M, 3))
TWO, TWO_TEST = (X[:, 0] > 0).astype(int), (TEST[:, 0] > 0).astype(int)
THREE, THREE_TEST = np.digitize(X[:, 0], [-0.4, 0.4]), np.digitize(TEST[:, 0], [-0.4, 0.4])
REAL, REAL_TEST = X @ [1.0, 2.0, 0.0] + 1.0, TEST @ [1.0, 2.0, 0.0] + 1.0
TRIPLE, NUMBER = (X, THREE, TEST, THREE_TEST), (X, REAL, TEST, REAL_TEST)
LOSS, ERRORS = ("neg_log_loss", "accuracy"), ("neg_mean_squared_error",)


def perceptron(outputs: int = 3) -> nn.Module:
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, outputs, bias=False))


class Residual(nn.Module):
    """No plain perceptron: a sum of two paths, and a normalised layer."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        self.wide, self.norm, self.head = nn.Linear(3, 6), nn.LayerNorm(6), nn.Linear(6, outputs)

    def forward(self, x):
        hidden = torch.relu(self.wide(x))
        return self.head(self.norm(hidden) + hidden)


def number() -> nn.Module:
    return perceptron(1)


SETTINGS = {
    "plain": Network(perceptron, epochs=30, precision="float64", models=8),
    "momentum": Network(perceptron, epochs=20, momentum=0.9, weight_decay=0.01, precision="float64", models=8),
    "adam": Network(perceptron, epochs=20, optimiser="adam", learning_rate=0.02, precision="float64", models=8),
    "batches": Network(perceptron, epochs=4, batch=5, momentum=0.5, precision="float64", models=8),
    "any module": Network(Residual, epochs=15, precision="float64", models=8),
    "any module, batches": Network(Residual, epochs=3, batch=7, precision="float64", models=8),
}


def coalitions(rows: int = 30) -> np.ndarray:
    return np.concatenate([np.zeros((1, N), dtype=bool), R.random((rows, N)) < R.random((rows, 1))])


def plain_loop(make, members: np.ndarray, epochs: int, rate: float) -> np.ndarray:
    """Logits at the test points, written without any of our code."""
    torch.manual_seed(0)
    model = make().double()
    rows, targets = torch.tensor(X[members]), torch.tensor(THREE[members])
    optimiser = torch.optim.SGD(model.parameters(), lr=rate)
    for _ in range(epochs):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(rows), targets).backward()
        optimiser.step()
    return model(torch.tensor(TEST)).detach().numpy()


@pytest.mark.parametrize("make", [perceptron, Residual])
def test_equal_to_a_plain_torch_loop(make) -> None:
    game = TrainingGame(Network(make, epochs=30, precision="float64", models=8), *TRIPLE, scores=LOSS)
    rows = coalitions(16)[1:]
    rows[:, np.unique(THREE, return_index=True)[1]] = True
    found = np.concatenate([game._engine.decisions(rows[:8]), game._engine.decisions(rows[8:])])
    for row, logits in zip(rows, found, strict=True):
        np.testing.assert_allclose(logits, plain_loop(make, row, 30, 0.1), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", SETTINGS)
def test_values_equal_training_each_alone(name: str) -> None:
    game = TrainingGame(SETTINGS[name], *TRIPLE, scores=LOSS)
    assert ("batched products" in game.engine) == ("any" not in name)
    assert game.self_check(coalitions()).max() < 1e-9
    lone = TrainingGame(SETTINGS[name], *TRIPLE, scores=LOSS, refit=True)
    assert "one at a time" in lone.engine
    assert lone.digest != game.digest


@pytest.mark.parametrize("name", SETTINGS)
def test_contract(name: str) -> None:
    check_chain_game(TrainingGame(SETTINGS[name], *TRIPLE, scores=LOSS))


@pytest.mark.parametrize("batch", [None, 4])
def test_regression(batch) -> None:
    network = Network(number, epochs=10, batch=batch, kind="regression", precision="float64", models=8)
    game = TrainingGame(network, *NUMBER, scores=ERRORS)
    assert game.self_check(coalitions()).max() < 1e-9
    assert game.values(np.zeros((1, N), dtype=bool), np.zeros(1, dtype=np.int64))[0, 0] == -np.mean(REAL_TEST**2)
    trained = game.values(np.ones((1, N), dtype=bool), np.zeros(1, dtype=np.int64))[0, 0]
    assert trained > -0.5 * np.mean(REAL_TEST**2)


def test_single_precision_agrees_with_double() -> None:
    single, double = (
        TrainingGame(Network(perceptron, epochs=30, precision=p), *TRIPLE, scores=("neg_log_loss",))
        for p in ("float32", "float64")
    )
    rows, nothing = coalitions(), np.zeros(31, dtype=np.int64)
    np.testing.assert_allclose(single.values(rows, nothing), double.values(rows, nothing), rtol=0, atol=1e-4)
    assert np.array_equal(single.values(rows, nothing), single.values(rows, nothing))


def test_training_learns_and_leaves_the_generator_alone() -> None:
    torch.manual_seed(7)
    state = torch.get_rng_state()
    game = TrainingGame(Network(perceptron, epochs=200), *TRIPLE, scores=("accuracy",))
    assert game.values(np.ones((1, N), dtype=bool), np.zeros(1, dtype=np.int64))[0, 0] > 0.8
    assert torch.equal(state, torch.get_rng_state())


def test_digests_see_weights_and_settings() -> None:
    networks = [
        Network(perceptron),
        Network(perceptron, seed=1),
        Network(perceptron, epochs=99),
        Network(lambda: nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 3, bias=False))),
    ]
    digests = [TrainingGame(one, *TRIPLE, scores=("accuracy",)).digest for one in networks]
    assert len(set(digests)) == 4
    assert digests[0] == TrainingGame(Network(perceptron), *TRIPLE, scores=("accuracy",)).digest


def test_batches_are_runs_of_an_order_of_all_points() -> None:
    network = Network(perceptron, epochs=3, batch=4)
    steps = [batch for batch in batches(network, 10) if batch is not None]
    assert [len(batch) for batch in steps] == [4, 4, 2] * 3
    epochs = np.concatenate(steps).reshape(3, 10)
    assert (np.sort(epochs, axis=1) == np.arange(10)).all()
    assert not np.array_equal(epochs[0], epochs[1])


def test_a_network_that_diverges_names_its_coalition_and_step() -> None:
    rows = X.copy()
    rows[5] = 1e18
    for refit in (False, True):
        wild = Network(number, epochs=80, learning_rate=1.0, kind="regression", models=4)
        game = TrainingGame(wild, rows, REAL, TEST, REAL_TEST, scores=ERRORS, refit=refit)
        asked = np.zeros((2, N), dtype=bool)
        asked[0, [0, 1]], asked[1, [2, 5]] = True, True
        calm = Network(number, epochs=80, learning_rate=1e-3, kind="regression", models=4)
        TrainingGame(calm, X, REAL, TEST, REAL_TEST, scores=ERRORS).values(asked, np.zeros(2, dtype=np.int64))
        with pytest.raises(
            XaiRayError, match=r"diverged on the coalition of 2 points \[2, 5\].*at step \d+; use a smaller"
        ):
            game.values(asked[1:], np.zeros(1, dtype=np.int64))


def test_what_cannot_be_trained_so_is_refused() -> None:
    def with_layer(layer: nn.Module):
        return Network(lambda: nn.Sequential(nn.Linear(3, 3), layer))

    with pytest.raises(SpecError, match="1 is BatchNorm1d, whose statistics mix"):
        TrainingGame(with_layer(nn.BatchNorm1d(3)), *TRIPLE, scores=LOSS)
    with pytest.raises(SpecError, match="1 is Dropout, which draws at random"):
        TrainingGame(with_layer(nn.Dropout(0.5)), *TRIPLE, scores=LOSS)
    with pytest.raises(ModelOutputError, match=r"gave shape \(40, 2\) for 40 test points; expected \(40, 3\)"):
        TrainingGame(Network(lambda: nn.Linear(3, 2)), *TRIPLE, scores=LOSS)
    with pytest.raises(ModelOutputError, match="failed on rows of 3 features"):
        TrainingGame(Network(lambda: nn.Linear(4, 3)), *TRIPLE, scores=LOSS)
    with pytest.raises(SpecError, match=r"must return a torch\.nn\.Module, and returned ndarray"):
        TrainingGame(Network(lambda: np.zeros(3)), *TRIPLE, scores=LOSS)
    with pytest.raises(SpecError, match="no parameter to train"):
        TrainingGame(Network(nn.Identity), *TRIPLE, scores=LOSS)
    with pytest.raises(SpecError, match="kind 'classifier' cannot be judged"):
        TrainingGame(Network(number), *NUMBER, scores=ERRORS)
    with pytest.raises(SpecError, match="epochs of a network is at least 1"):
        Network(perceptron, epochs=0)
    with pytest.raises(SpecError, match="batch is the number of points"):
        Network(perceptron, batch=0)
    with pytest.raises(SpecError, match="learning_rate is a positive number"):
        Network(perceptron, learning_rate=float("nan"))
    with pytest.raises(SpecError, match="'sgd' or 'adam'"):
        Network(perceptron, optimiser="lion")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="momentum is for"):
        Network(perceptron, optimiser="adam", momentum=0.9)
