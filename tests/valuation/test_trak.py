"""TRAK against its formula written out, retraining, and refusals; projections as functions of their seed."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import spearmanr
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.func import functional_call, jacrev

from xai_ray.errors import InputError, ModelOutputError, NonFiniteValue, SpecError
from xai_ray.valuation import projection, trak
from xai_ray.valuation.projection import SignProjection
from xai_ray.valuation.trak import trak_values

C = 3


def problem(n: int = 40, m: int = 25, d: int = 4, flip: float = 0.2, seed: int = 0):
    X, y = make_classification(n + m, d, n_informative=d, n_redundant=0, n_classes=C, random_state=seed)
    given = y.copy()
    wrong = np.random.default_rng(seed).permutation(n)[: int(flip * n)]
    given[wrong] = (given[wrong] + 1) % C
    return (X[:n], given[:n]), (X[n:], y[n:])


def fitted(X, y) -> LogisticRegression:
    return LogisticRegression(C=1.0, tol=1e-10, max_iter=2000).fit(X, y)


def as_model(fit: LogisticRegression) -> nn.Linear:
    model = nn.Linear(fit.coef_.shape[1], C, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(fit.coef_))
        model.bias.copy_(torch.from_numpy(fit.intercept_))
    return model


def margins(fit: LogisticRegression, X, y) -> np.ndarray:
    p = softmax(fit.decision_function(X), axis=1)[np.arange(len(y)), y]
    return np.log(p) - np.log1p(-p)


def linear_gradients(fit: LogisticRegression, X, y) -> tuple[np.ndarray, np.ndarray]:
    """d margin / d (weights, intercepts) in closed form, (n, C (d + 1)): e_y minus the softmax over the other classes."""
    scores = fit.decision_function(X)
    own = np.eye(C, dtype=bool)[y]
    others = softmax(np.where(own, -np.inf, scores), axis=1)
    pull = own - others
    weights = (pull[:, :, None] * X[:, None, :]).reshape(len(X), -1)
    return np.hstack([weights, pull]), softmax(scores, axis=1)[own]


def explicit(Phi: np.ndarray, p: np.ndarray, g: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    kernel = Phi.T @ Phi
    kernel = kernel + ridge * np.trace(kernel) / len(kernel) * np.eye(len(kernel))
    return Phi @ np.linalg.inv(kernel) @ g, 1 - p


def test_without_projection_it_is_the_formula() -> None:
    data, held = problem()
    fits = [fitted(data[0][::2], data[1][::2]), fitted(*data)]
    states = [as_model(fit).state_dict() for fit in fits]
    found = trak_values(as_model(fits[0]), data, held, checkpoints=states, dimensions=None, ridge=1e-2, chunk=7)
    parts = []
    for fit in fits:
        Phi, p = linear_gradients(fit, *data)
        parts.append(explicit(Phi, p, linear_gradients(fit, *held)[0].mean(axis=0), 1e-2))
    kernels, doubts = (np.array([part[i] for part in parts]) for i in range(2))
    np.testing.assert_allclose(found.values, kernels.mean(0) * doubts.mean(0), rtol=1e-8, atol=1e-13)
    # The jackknife of two is half of the distance of what each says by itself.
    alone = kernels * doubts
    np.testing.assert_allclose(found.std_errors, np.abs(alone[0] - alone[1]) / 2, rtol=1e-8, atol=1e-13)
    assert found.std_errors.max() > 0


def test_a_network_with_projection_is_the_formula() -> None:
    torch.manual_seed(0)
    data, held = problem()
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, C)).double()
    found = trak_values(model, data, held, checkpoints=[model.state_dict()], dimensions=16, ridge=1e-3, seed=9)
    at = {name: p.detach() for name, p in model.named_parameters()}

    def margin(parameters, x, y):
        p = torch.softmax(functional_call(model, parameters, (x,)), dim=1)[torch.arange(len(y)), y]
        return torch.log(p / (1 - p))

    def rows(pair):
        x, y = torch.from_numpy(pair[0]), torch.from_numpy(pair[1])
        each = jacrev(margin)(at, x, y)
        P = SignProjection.of(sum(p.numel() for p in at.values()), 16, 9, 0)
        signs = P.signs(np.arange(P.length)) / 4.0
        return torch.cat([part.flatten(1) for part in each.values()], dim=1).numpy() @ signs

    chances = torch.softmax(model(torch.from_numpy(data[0])), dim=1).detach().numpy()
    kernel, doubt = explicit(rows(data), chances[np.arange(40), data[1]], rows(held).mean(axis=0), 1e-3)
    np.testing.assert_allclose(found.values, kernel * doubt, rtol=1e-7, atol=1e-12)
    assert (found.std_errors == 0).all()


def test_ranks_follow_retraining() -> None:
    data, held = problem(n=60, m=60)
    whole = margins(fitted(*data), *held).mean()
    loss = [whole - margins(fitted(*(np.delete(part, i, 0) for part in data)), *held).mean() for i in range(60)]
    model = as_model(fitted(*data))
    plain = trak_values(model, data, held, checkpoints=[model.state_dict()], dimensions=None)
    # Chance has a standard deviation of 0.13 here.
    assert spearmanr(plain.values, loss).statistic > 0.8
    states = [model.state_dict()] * 8
    thin = trak_values(model, data, held, checkpoints=states, dimensions=12)
    assert spearmanr(thin.values, plain.values).statistic > 0.7


def test_memory_bounds_do_not_move_values(monkeypatch) -> None:
    data, held = problem()
    model = as_model(fitted(*data))
    settings = {"checkpoints": [model.state_dict()], "dimensions": 8, "seed": 3, "chunk": 16}
    kept = trak_values(model, data, held, **settings)
    monkeypatch.setattr(trak, "_HELD", 0)
    monkeypatch.setattr(projection, "_HELD", 0)
    monkeypatch.setattr(projection, "_ENTRIES", 24)
    again = trak_values(model, data, held, **settings)
    np.testing.assert_allclose(again.values, kept.values, rtol=1e-9, atol=1e-14)
    other = trak_values(model, data, held, **(settings | {"seed": 4}))
    assert np.abs(other.values - kept.values).max() > 1e-4


def test_signs_come_from_seed_and_place_alone() -> None:
    rows = np.arange(2000)
    signs = SignProjection.of(2000, 70, 5, 1).signs(rows)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert np.array_equal(SignProjection.of(2000, 70, 5, 1).signs(rows[700:]), signs[700:])
    assert not np.array_equal(SignProjection.of(2000, 70, 5, 2).signs(rows), signs)
    # 140,000 fair coins, and columns that are not correlated: five standard deviations of either.
    assert abs(signs.mean()) < 5 / np.sqrt(signs.size)
    correlation = signs.T @ signs / 2000 - np.eye(70)
    assert np.abs(correlation).max() < 5 / np.sqrt(2000)
    vectors = torch.randn(3, 2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = SignProjection.of(2000, 70, 5, 1)(vectors)
    np.testing.assert_allclose(found.numpy(), vectors.numpy() @ signs / np.sqrt(70), rtol=1e-10)


def test_signs_are_kept_as_the_gradients_are() -> None:
    kept = SignProjection.of(300, 20, 5, 1)
    vectors = torch.randn(3, 300, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for kind in (torch.float64, torch.float32, torch.float64):
        found = kept(vectors.to(kind))
        assert found.dtype == kind
        assert all(block.dtype == kind for _, block in kept._kept)
        np.testing.assert_allclose(found, vectors.numpy() @ kept.signs(np.arange(300)) / np.sqrt(20), rtol=1e-4)
    with pytest.raises(SpecError, match="fewer checkpoints"):
        SignProjection.of(300, 20, 5, 1 << 16)


class Embedded(nn.Module):
    """Takes whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(6, 3), nn.Linear(3, C)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.table(x).sum(dim=1))


def test_gradients_of_whole_numbers_lose_no_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept in the precision of the model, not of the inputs."""
    torch.manual_seed(0)
    model, r = Embedded().double(), np.random.default_rng(0)
    data, held = ((r.integers(0, 6, (n, 4)), r.integers(0, C, n)) for n in (30, 10))
    settings = {"checkpoints": [model.state_dict()], "dimensions": 8}
    kept = trak_values(model, data, held, **settings)
    monkeypatch.setattr(trak, "_HELD", 0)
    np.testing.assert_allclose(kept.values, trak_values(model, data, held, **settings).values, rtol=1e-11, atol=1e-15)


def test_labels_are_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    data, held = problem()
    checked, plain = [], trak._check_logits
    monkeypatch.setattr(trak, "_check_logits", lambda *given: checked.append(given) or plain(*given))
    model = as_model(fitted(*data))
    trak_values(model, data, held, checkpoints=[model.state_dict()] * 3, dimensions=8)
    assert len(checked) == 1


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"checkpoints": []}, SpecError, "at least one state dict"),
        ({"dimensions": 0}, SpecError, "dimensions is a whole number"),
        ({"chunk": 0}, SpecError, "chunk is a whole number"),
        ({"ridge": -1.0}, SpecError, "ridge is a number of at least 0"),
        ({"ridge": 0.0}, SpecError, "ridge above 0"),
        ({"checkpoints": [nn.Linear(3, C).state_dict()]}, InputError, "checkpoint 0 is not a state dict"),
        ({"data": (np.ones((4, 4)), np.array([0, 1, 3, 0]))}, InputError, "from 0 to 2"),
        ({"data": (np.ones((4, 4)), np.ones(4))}, InputError, "one class number a sample"),
        ({"data": (np.full((4, 4), 1e300), np.array([0, 1, 2, 0]))}, NonFiniteValue, "checkpoint 0"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_bad_input_is_refused(changes: dict, kind: type[Exception], words: str) -> None:
    data, held = problem()
    model = as_model(fitted(*data))
    settings = {"data": data, "checkpoints": [model.state_dict()], "dimensions": None} | changes
    with pytest.raises(kind, match=words):
        trak_values(model, validation=held, **settings)


def test_outputs_that_are_no_logits_are_refused() -> None:
    data, held = problem()
    model = nn.Linear(4, 1, dtype=torch.float64)
    with pytest.raises(ModelOutputError, match="logits of two classes"):
        trak_values(model, data, held, checkpoints=[model.state_dict()])
