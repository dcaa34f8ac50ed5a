"""Influence against exact leave-one-out refits, dense Hessians and per-sample gradients; TracIn against its definition."""

import copy

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import scale
from torch import nn
from torch.func import functional_call, grad, jacrev, vmap

from xai_ray.errors import InputError, SpecError, XaiRayError
from xai_ray.valuation.influence import logistic_influence
from xai_ray.valuation.inverse_hessian import ConjugateGradients, Lissa, torch_influence
from xai_ray.valuation.tracin import tracin_values

R = np.random.default_rng(6)
X, TEST = R.normal(size=(40, 3)), R.normal(size=(25, 3))
Y, TEST_Y = (X[:, 0] + 0.7 * R.normal(size=40) > 0).astype(int), (TEST[:, 0] > 0).astype(int)
PAIR = (torch.from_numpy(X), torch.from_numpy(Y))
HELD = (torch.from_numpy(TEST), torch.from_numpy(TEST_Y))


def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def logistic_loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return nn.functional.binary_cross_entropy_with_logits(outputs[:, 0], targets.to(outputs.dtype), reduction="none")


def refits(X, y, X_test, y_test, C: float, intercept: bool) -> np.ndarray:
    model = LogisticRegression(C=C, fit_intercept=intercept, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    whole = log_loss(y_test, model.fit(X, y).predict_proba(X_test))
    out = []
    for i in range(len(X)):
        kept = np.arange(len(X)) != i
        out.append(log_loss(y_test, model.fit(X[kept], y[kept]).predict_proba(X_test)) - whole)
    return np.array(out)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("C", [0.1, 1.0, 10.0])
def test_one_newton_step_follows_exact_refits(C: float, intercept: bool) -> None:
    expected = refits(X, Y, TEST, TEST_Y, C, intercept)
    found = logistic_influence(X, Y, TEST, TEST_Y, C=C, intercept=intercept).values
    plain = logistic_influence(X, Y, TEST, TEST_Y, C=C, intercept=intercept, newton=False).values
    assert np.corrcoef(found, expected)[0, 1] > 0.98
    assert np.abs(found - expected).sum() < np.abs(plain - expected).sum()


def test_correlation_on_breast_cancer_with_flipped_labels() -> None:
    rows, labels = load_breast_cancer(return_X_y=True)
    rows, order = scale(rows), R.permutation(len(rows))
    train, test = order[:150], order[150:]
    y = labels.copy()
    y[train[:30]] ^= 1
    found = logistic_influence(rows[train], y[train], rows[test], labels[test])
    expected = refits(rows[train], y[train], rows[test], labels[test], 1.0, True)
    assert np.corrcoef(found.values, expected)[0, 1] > 0.98


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("C", [0.1, 1.0])
def test_three_classes_follow_exact_refits(C: float, intercept: bool) -> None:
    y, test_y = (np.digitize(a[:, 0] + 0.5 * a[:, 1], [-0.5, 0.5]) for a in (X, TEST))
    y[:6] = (y[:6] + 1) % 3
    expected = refits(X, y, TEST, test_y, C, intercept)
    found = logistic_influence(X, y, TEST, test_y, C=C, intercept=intercept).values
    plain = logistic_influence(X, y, TEST, test_y, C=C, intercept=intercept, newton=False).values
    assert np.corrcoef(found, expected)[0, 1] > 0.98
    assert np.corrcoef(plain, expected)[0, 1] > 0.9
    assert np.abs(found - expected).sum() < 0.6 * np.abs(plain - expected).sum()


def test_chunks_do_not_matter(monkeypatch) -> None:
    for y, test_y in ((Y, TEST_Y), (np.arange(40) % 3, np.arange(25) % 3)):
        whole = logistic_influence(X, y, TEST, test_y).values
        with monkeypatch.context() as context:
            context.setattr("xai_ray.valuation.influence._ENTRIES", 100)
            context.setattr("xai_ray.valuation.softmax_influence._ENTRIES", 500)
            np.testing.assert_allclose(logistic_influence(X, y, TEST, test_y).values, whole, rtol=0, atol=1e-13)


def tiny() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    model[0].bias.requires_grad_(False)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.LBFGS(trained, max_iter=100)

    def penalised():
        optimiser.zero_grad()
        total = loss(model(PAIR[0]), PAIR[1]).mean() + 0.05 * sum((p**2).sum() for p in trained)
        total.backward()
        return total

    optimiser.step(penalised)
    return model


def dense(model: nn.Module, data, validation) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Per-sample gradients (n, D), the Hessian of the mean loss (D, D) and the validation gradient (D,)."""
    at = {k: p.detach() for k, p in model.named_parameters() if p.requires_grad}

    def mean(parameters, pair):
        return loss(functional_call(model, parameters, (pair[0],)), pair[1]).mean()

    def one(parameters, x, y):
        return mean(parameters, (x[None], y[None]))

    each = vmap(grad(one), in_dims=(None, 0, 0))(at, *data)
    blocks = jacrev(grad(mean))(at, data)
    H = torch.cat([torch.cat([blocks[a][b].reshape(at[a].numel(), -1) for b in at], dim=1) for a in at], dim=0)
    slope = torch.cat([p.flatten() for p in grad(mean)(at, validation).values()])
    return torch.cat([g.flatten(1) for g in each.values()], dim=1), H, slope


@pytest.mark.parametrize("chunk", [7, 1024])
def test_conjugate_gradients_equal_a_dense_solve(chunk: int) -> None:
    model = tiny()
    G, H, slope = dense(model, PAIR, HELD)
    damping = 0.1
    expected = G @ torch.linalg.solve(H + damping * torch.eye(len(H), dtype=torch.float64), slope) / len(X)
    solver = ConjugateGradients(tolerance=1e-12)
    found = torch_influence(model, loss, PAIR, HELD, damping=damping, solver=solver, chunk=chunk)
    np.testing.assert_allclose(found.values, expected.numpy(), rtol=1e-9, atol=1e-14)


def test_a_linear_model_equals_the_closed_form() -> None:
    found = LogisticRegression(C=0.5, fit_intercept=False, solver="newton-cholesky", tol=1e-12).fit(X, Y)
    model = nn.Linear(3, 1, bias=False).double()
    model.weight.data[:] = torch.from_numpy(found.coef_)
    solver = ConjugateGradients(tolerance=1e-12)
    mine = torch_influence(model, logistic_loss, PAIR, HELD, damping=1 / (0.5 * 40), solver=solver)
    closed = logistic_influence(X, Y, TEST, TEST_Y, C=0.5, intercept=False, newton=False)
    np.testing.assert_allclose(mine.values, closed.values, rtol=1e-6, atol=1e-10)


def test_lissa_meets_the_solution_within_its_standard_errors() -> None:
    model = tiny()
    G, H, slope = dense(model, PAIR, HELD)
    exact = (G @ torch.linalg.solve(H + 0.1 * torch.eye(len(H), dtype=torch.float64), slope) / len(X)).numpy()
    solver = Lissa(scale=3.0, depth=120, batch=10, repeats=6, seed=2)
    found = torch_influence(model, loss, PAIR, HELD, damping=0.1, solver=solver)
    gaps = np.abs(found.values - exact) / found.std_errors
    assert np.median(gaps) < 2
    assert np.corrcoef(found.values, exact)[0, 1] > 0.99
    short = Lissa(scale=3.0, depth=3, batch=10, repeats=2, seed=2)
    one, two = (torch_influence(model, loss, PAIR, HELD, damping=0.1, solver=short) for _ in range(2))
    assert np.array_equal(one.values, two.values)


def test_solvers_that_fail_say_so() -> None:
    model = tiny()
    with pytest.raises(XaiRayError, match="not positive definite"):
        torch_influence(model, lambda o, t: -loss(o, t), PAIR, HELD, damping=0.0)
    with pytest.raises(XaiRayError, match="left a residual"):
        torch_influence(model, loss, PAIR, HELD, damping=0.1, solver=ConjugateGradients(tolerance=1e-12, steps=2))
    with pytest.raises(XaiRayError, match=r"LiSSA diverged in run 0 at step \d+"):
        torch_influence(model, loss, PAIR, HELD, damping=0.1, solver=Lissa(scale=0.01, depth=2000))
    with pytest.raises(SpecError, match="damping is a number"):
        torch_influence(model, loss, PAIR, HELD, damping=-1.0)
    with pytest.raises(SpecError, match="chunk is a whole number, at least 1; got 0"):
        torch_influence(model, loss, PAIR, HELD, damping=0.1, chunk=0)


def test_tracin_equals_its_definition() -> None:
    model, states = tiny(), []
    for _ in range(3):
        states.append(copy.deepcopy(model.state_dict()))
        with torch.no_grad():
            for p in model.parameters():
                p += 0.3 * torch.randn_like(p)
    before = copy.deepcopy(model.state_dict())
    rates = [0.1, 0.2, 0.05]
    found = tracin_values(model, loss, PAIR, HELD, checkpoints=states, learning_rates=rates, chunk=9)
    expected = np.zeros(len(X))
    for state, rate in zip(states, rates, strict=True):
        other = tiny()
        other.load_state_dict(state)
        G, _, slope = dense(other, PAIR, HELD)
        expected += rate * (G @ slope).numpy()
    np.testing.assert_allclose(found.values, expected, rtol=1e-9, atol=1e-14)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), model.state_dict().values(), strict=True))


def test_tracin_refuses_other_checkpoints() -> None:
    model = tiny()
    state = model.state_dict()
    with pytest.raises(InputError, match="checkpoint 1 is not a state dict of this Sequential"):
        tracin_values(
            model, loss, PAIR, HELD, checkpoints=[state, nn.Linear(3, 2).state_dict()], learning_rates=[0.1, 0.1]
        )
    with pytest.raises(SpecError, match="2 learning rates for 1 checkpoints"):
        tracin_values(model, loss, PAIR, HELD, checkpoints=[state], learning_rates=[0.1, 0.1])
    with pytest.raises(SpecError, match="chunk is a whole number"):
        tracin_values(model, loss, PAIR, HELD, checkpoints=[state], learning_rates=[0.1], chunk=0)
