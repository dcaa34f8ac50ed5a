"""G-Shapley against a plain loop of gradient steps, one permutation and one point at a time."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from xai_ray.errors import ModelOutputError, NonFiniteValue, SpecError
from xai_ray.valuation.draws import Purpose, orders
from xai_ray.valuation.g_shapley import best_rate, gradient_shapley

R = np.random.default_rng(7)
X, VAL = R.normal(size=(15, 4)), R.normal(size=(40, 4))
Y, VAL_Y = (X[:, 0] > 0).astype(np.int64), (VAL[:, 0] > 0).astype(np.int64)
DATA, HELD = (X, Y), (VAL, VAL_Y)


def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def accuracy(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (outputs.argmax(dim=1) == targets).double().mean()


def fit(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return -loss(outputs, targets).mean()


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Dropout(0.5), nn.Linear(5, 2)).double()


def by_loop(score, permutations: int, rate: float, seed: int) -> np.ndarray:
    out = np.zeros((permutations, 15))
    x, y, val, val_y = (torch.from_numpy(a) for a in (X, Y, VAL, VAL_Y))
    for p, order in enumerate(orders(seed, Purpose.ORDERS, np.arange(permutations), 15)):
        model = network().eval()
        before = float(score(model(val), val_y).detach())
        for i in order:
            model.zero_grad()
            loss(model(x[i : i + 1]), y[i : i + 1]).sum().backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= rate * parameter.grad
            after = float(score(model(val), val_y).detach())
            out[p, i], before = after - before, after
    return out


@pytest.mark.parametrize("score", [accuracy, fit])
@pytest.mark.parametrize("lanes", [4, 64])
def test_equals_a_loop(lanes: int, score) -> None:
    model = network()
    before = copy.deepcopy(model.state_dict())
    found = gradient_shapley(model, loss, score, DATA, HELD, permutations=10, learning_rate=0.2, seed=4, lanes=lanes)
    expected = by_loop(score, 10, 0.2, 4)
    np.testing.assert_allclose(found.values, expected.mean(axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.std_errors, expected.std(axis=0, ddof=1) / np.sqrt(10), rtol=0, atol=1e-12)
    assert found.values.sum() == pytest.approx(found.facts["end"] - found.facts["start"], abs=1e-12)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), model.state_dict().values(), strict=True))
    assert model.training


def test_the_best_rate_scores_best() -> None:
    rates = [1e-4, 0.3, 1e200]
    chosen = best_rate(network(), loss, accuracy, DATA, HELD, rates=rates, permutations=6)
    assert chosen == 0.3
    with pytest.raises(SpecError, match="diverges at every learning rate"):
        best_rate(network(), lambda o, t: (o**4).sum(dim=1), fit, DATA, HELD, rates=[1e200])


def test_bad_settings_are_refused() -> None:
    settings = {"permutations": 4, "learning_rate": 0.1}
    with pytest.raises(NonFiniteValue, match=r"permutation \d diverged at step \d+ \(learning rate 1e\+200\)"):
        gradient_shapley(
            network(), lambda o, t: (o**4).sum(dim=1), accuracy, DATA, HELD, permutations=4, learning_rate=1e200
        )
    with pytest.raises(ModelOutputError, match=r"score gave shape \(40,\)"):
        gradient_shapley(network(), loss, lambda o, t: -loss(o, t), DATA, HELD, **settings)
    with pytest.raises(ModelOutputError, match="reduction='none'"):
        gradient_shapley(network(), nn.CrossEntropyLoss(), accuracy, DATA, HELD, **settings)
    with pytest.raises(SpecError, match="learning rate is a positive number"):
        gradient_shapley(network(), loss, accuracy, DATA, HELD, permutations=4, learning_rate=0.0)
