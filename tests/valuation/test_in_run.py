"""In-Run Data Shapley against per-sample gradients and Hessians by torch.func, the change of the loss, and refusals."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jacrev, vmap

from xai_ray.errors import InputError, ModelOutputError, NonFiniteValue, SpecError
from xai_ray.valuation import ghost
from xai_ray.valuation.in_run import batches, in_run_shapley

N, M, BATCH = 12, 5, 4
G = torch.Generator().manual_seed(0)


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(dim=1)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.last = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.last(self.inner(torch.tanh(self.inner(x))))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.out = nn.Embedding(9, 4), nn.Linear(4, 9)
        self.out.weight = self.table.weight

    def forward(self, x):
        return self.out(self.table(x).mean(dim=1))


class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 5), nn.Linear(5, 3)
        self.first.bias.requires_grad_(False)
        self.last.weight.requires_grad_(False)

    def forward(self, x):
        return self.last(torch.tanh(self.first(input=x)))


def tokens(rows: int) -> torch.Tensor:
    return torch.randint(0, 9, (rows, 7), generator=G)


def reals(*shape: int):
    return lambda rows: torch.randn(rows, *shape, generator=G, dtype=torch.float64)


MODELS = {
    "linear": (lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)), reals(6)),
    "wide linear": (lambda: nn.Sequential(nn.Linear(40, 30), nn.Tanh(), nn.Linear(30, 3, bias=False)), reals(40)),
    "time axis": (lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3), Mean()), reals(3, 6)),
    "wide with time axis": (
        lambda: nn.Sequential(nn.Linear(60, 50), nn.Tanh(), nn.Linear(50, 3), Mean()),
        reals(2, 60),
    ),
    "convolution": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, groups=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(4, 3, 2, stride=2, padding_mode="circular", padding=1),
            nn.GroupNorm(3, 3),
            nn.Flatten(),
            nn.Linear(27, 3),
        ),
        reals(2, 4, 4),
    ),
    "convolutions along one and three axes": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 3, 2, dilation=2, bias=False),
            nn.Tanh(),
            nn.Unflatten(1, (1, 3, 1)),
            nn.Conv3d(1, 2, (2, 1, 2)),
            nn.Flatten(),
            nn.Linear(12, 3),
        ),
        reals(2, 6),
    ),
    "embedding": (
        lambda: nn.Sequential(nn.Embedding(9, 4, padding_idx=2), nn.LayerNorm(4), nn.Linear(4, 3), Mean()),
        tokens,
    ),
    "layer norm": (
        lambda: nn.Sequential(nn.Linear(6, 4), nn.LayerNorm((5, 4)), nn.Flatten(), nn.Linear(20, 3)),
        reals(5, 6),
    ),
    "one layer twice": (Twice, reals(6)),
    "tied weights": (Tied, tokens),
    "frozen parameters": (Frozen, reals(6)),
}


def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def problem(name: str, dtype=torch.float64):
    torch.manual_seed(1)
    G.manual_seed(0)
    make, inputs = MODELS[name]
    model = make().to(dtype)

    def pair(rows: int):
        x = inputs(rows)
        return (x.to(dtype) if x.is_floating_point() else x), torch.randint(0, 3, (rows,), generator=G)

    return model, pair(N), pair(M)


def vectors(gradients: dict) -> torch.Tensor:
    return torch.cat([g.flatten(1) for g in gradients.values()], dim=1)


def explicit(model, data, validation, steps: int, rate: float, order: int) -> np.ndarray:
    """The same run with one gradient a sample and, for order 2, the whole Hessian."""
    names = {k: p for k, p in model.named_parameters() if p.requires_grad}
    values = torch.zeros(N, dtype=torch.float64)

    def one(parameters, x, y):
        return loss(functional_call(model, parameters, (x[None],)), y[None])[0]

    def mean(parameters):
        return loss(functional_call(model, parameters, (validation[0],)), validation[1]).mean()

    for members in batches(3, N, BATCH, steps):
        at = {k: p.detach().clone() for k, p in names.items()}
        each = vmap(grad(one), in_dims=(None, 0, 0))(at, data[0][members], data[1][members])
        g, slope = vectors(each), torch.cat([p.flatten() for p in grad(mean)(at).values()])
        c = rate / len(members)
        found = c * g @ slope
        if order == 2:
            blocks = jacrev(grad(mean))(at)
            H = torch.cat([torch.cat([blocks[a][b].reshape(at[a].numel(), -1) for b in at], dim=1) for a in at], dim=0)
            found = found - 0.5 * c * c * g @ H @ g.sum(dim=0)
        values[members] += found
        with torch.no_grad():
            for k, p in names.items():
                p -= c * each[k].sum(dim=0)
    return values.numpy()


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", MODELS)
def test_equals_explicit_gradients(name: str, order: int) -> None:
    model, data, validation = problem(name)
    other = copy.deepcopy(model).eval()
    found = in_run_shapley(model, loss, data, validation, steps=5, batch=BATCH, learning_rate=0.3, seed=3, order=order)
    expected = explicit(other, data, validation, 5, 0.3, order)
    np.testing.assert_allclose(found.values, expected, rtol=1e-9, atol=1e-12)
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)
    assert np.abs(expected).max() > 1e-4


@pytest.mark.parametrize("name", ["wide linear", "wide with time axis", "time axis"])
def test_both_forms_of_the_products_agree(name: str, monkeypatch) -> None:
    taken = []
    pairs = ghost._pair_dots
    monkeypatch.setattr(ghost, "_pair_dots", lambda *a: taken.append(1) or pairs(*a))
    settings = {"steps": 5, "batch": BATCH, "learning_rate": 0.3, "seed": 3}
    found = in_run_shapley(*_with_loss(problem(name)), **settings).values
    assert bool(taken) == name.startswith("wide")
    monkeypatch.setattr(ghost, "_pairs_are_cheaper", lambda *a: isinstance(a[0].layer, nn.Linear))
    one = in_run_shapley(*_with_loss(problem(name)), **settings).values
    monkeypatch.setattr(ghost, "_pairs_are_cheaper", lambda *a: False)
    two = in_run_shapley(*_with_loss(problem(name)), **settings).values
    np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(found, two, rtol=1e-9, atol=1e-13)


def _with_loss(parts):
    model, data, validation = parts
    return model, loss, data, validation


@pytest.mark.parametrize(("order", "power"), [(1, 2), (2, 3)])
def test_a_step_sums_to_the_change_of_the_loss(order: int, power: int) -> None:
    model, data, validation = problem("time axis")
    gaps = []
    for rate in (0.4, 0.2, 0.1):
        found = in_run_shapley(
            copy.deepcopy(model), loss, data, validation, steps=1, batch=N, learning_rate=rate, order=order
        )
        gaps.append(abs(found.values.sum() - (found.facts["losses"][0] - found.facts["losses"][1])))
    slopes = np.log2(np.array(gaps[:-1]) / gaps[1:])
    assert (np.abs(slopes - power) < 0.35).all()


def test_float32_and_a_schedule() -> None:
    model, data, validation = problem("convolution", torch.float32)
    model.train()
    precise = copy.deepcopy(model).double()
    rates = [0.3, 0.2, 0.1]
    run = {"steps": 3, "batch": 5, "learning_rate": rates.__getitem__}
    found = in_run_shapley(model, loss, data, validation, **run)
    assert model.training
    expected = in_run_shapley(
        precise, loss, (data[0].double(), data[1]), (validation[0].double(), validation[1]), **run
    )
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-3, atol=1e-6)
    assert found.facts["losses"].shape == (4,)


def test_batches_walk_through_permutations() -> None:
    found = [b.numpy() for b in batches(1, 10, 4, 7)]
    assert [len(b) for b in found] == [4, 4, 2, 4, 4, 2, 4]
    for epoch in (found[:3], found[3:6]):
        assert sorted(np.concatenate(epoch)) == list(range(10))
    assert not np.array_equal(np.concatenate(found[:3]), np.concatenate(found[3:6]))


def test_flipped_labels_are_found() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 5)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] > 0).astype(np.int64)
    flipped = generator.permutation(200)[:30]
    y[flipped] ^= 1
    torch.manual_seed(0)
    model = nn.Linear(5, 2)
    found = in_run_shapley(model, loss, (x[:200], y[:200]), (x[200:], y[200:]), steps=200, batch=20, learning_rate=0.2)
    bad = np.isin(np.arange(200), flipped)
    assert (found.values[bad][:, None] < found.values[~bad][None]).mean() > 0.8


def test_a_diverging_run_names_its_step() -> None:
    model, data, validation = problem("linear")
    with pytest.raises(
        NonFiniteValue, match=r"diverged at step \d+: the loss of (training|validation) point \d+ is (inf|nan)"
    ):
        in_run_shapley(
            nn.Linear(6, 3).double(),
            lambda out, y: (out**2).sum(dim=1),
            data,
            validation,
            steps=1000,
            batch=4,
            learning_rate=1e9,
        )
    with pytest.raises(NonFiniteValue, match="diverged at step 0: the validation loss after it"):
        in_run_shapley(
            model, lambda out, y: (out**4).sum(dim=1), data, validation, steps=1, batch=4, learning_rate=1e200
        )


class BatchMean(nn.Module):
    def forward(self, x):
        return x - x.mean(dim=0)


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 6)

    def forward(self, x):
        return torch.tanh(self.inner(x)) @ self.inner.weight[:, :3]


class Positions(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.out = nn.Embedding(6, 1), nn.Linear(6, 3)

    def forward(self, x):
        return self.out(x + self.table(torch.arange(6))[:, 0])


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.out = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        x = torch.tanh(x)
        y = self.first(x)
        x += 1.0
        return self.out(y + x)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 3)), r"parameter 0\.weight belongs to a BatchNorm1d \(0\)"),
        (nn.Sequential(nn.Linear(6, 3), BatchMean()), "mixes the samples of a batch"),
        (Functional(), "outside its layer"),
        (Positions(), r"layer table gave an output of shape \(6, 1\) for 9 samples"),
        (InPlace(), "input of layer first was changed in place"),
        (nn.Linear(6, 3).requires_grad_(False), "no parameter that requires a gradient"),
        (nn.Sequential(nn.Embedding(9, 4, max_norm=1.0), nn.Flatten(), nn.Linear(28, 3)), "max_norm"),
    ],
    ids=["batch norm", "mixing", "functional", "no sample axis", "in place", "frozen", "max norm"],
)
def test_models_without_sample_gradients_are_refused(model, message: str) -> None:
    _, data, validation = problem("embedding" if "max_norm" in message else "linear")
    with pytest.raises(SpecError, match=message):
        in_run_shapley(model.double(), loss, data, validation, steps=1, batch=4, learning_rate=0.1)


def test_bad_input_is_refused() -> None:
    model, data, validation = problem("linear")
    settings = {"steps": 1, "batch": 4, "learning_rate": 0.1}
    with pytest.raises(ModelOutputError, match=r"loss gave shape \(\) for 9 samples"):
        in_run_shapley(model, nn.CrossEntropyLoss(), data, validation, **settings)
    with pytest.raises(SpecError, match="order is 1 or 2"):
        in_run_shapley(model, loss, data, validation, **settings, order=3)
    with pytest.raises(SpecError, match="batch is between 1 and the 12"):
        in_run_shapley(model, loss, data, validation, steps=1, batch=13, learning_rate=0.1)
    with pytest.raises(SpecError, match="learning rate of step 0"):
        in_run_shapley(model, loss, data, validation, steps=1, batch=4, learning_rate=-1.0)
    with pytest.raises(SpecError, match="differ in shape or type"):
        in_run_shapley(model, loss, data, (validation[0][:, :5], validation[1]), **settings)
    with pytest.raises(InputError, match="12 inputs and 11 targets"):
        in_run_shapley(model, loss, (data[0], data[1][:11]), validation, **settings)
    spoiled = data[0].clone()
    spoiled[3, 1] = torch.nan
    with pytest.raises(InputError, match="data inputs of sample 3"):
        in_run_shapley(model, loss, (spoiled, data[1]), validation, **settings)
