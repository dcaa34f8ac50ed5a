"""What `throughput_models.py` explains: a photograph in patches, a review in words, rows of a table with a forest.

To the peers each is a function of rows (r, d), the rows to explain and a background, which is what all of them take: for the photograph
and the review a row holds a 1 for each player that is present and a 0 for each that is not, and the background is one row of zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.cluster.hierarchy import linkage
from scipy.ndimage import gaussian_filter

import xai_ray as xr
from xai_ray.estimators import Ask, plan
from xai_ray.indices import Question
from xai_ray.types import Coalitions, Floats, Ints
from xai_ray.zoo.tumour import tumour_data

JOBS = Path(__file__).parents[1] / "jobs"
SIGMA = 10.0
BACKGROUND = 100
FAR_ROWS = 10_000
_PER_ROW, _ROWS_A_ROUND = 150, 100
_FOREST_BATCHES = (4096, 8192, 16384, 32768, 65536)


@dataclass(frozen=True)
class CaptumInput:
    """Captum's own form of an input whose features belong to players."""

    forward: Callable[[torch.Tensor], torch.Tensor]
    """Inputs (c, *input) -> values (c,)."""
    whole: torch.Tensor
    absent: torch.Tensor
    feature_mask: torch.Tensor
    """The player of each place, shape (1, *input)."""


@dataclass(frozen=True)
class Subject:
    """A model, what is explained of it, and how much."""

    name: str
    game: Callable[[int | None, int], Any]
    """Batch and number of rows -> our game; None takes the default batch."""
    explain: Callable[[Any, int, str, int], tuple[Floats, int]]
    """Game, budget, estimator and seed -> values (rows, n), and evaluations of all rows."""
    model: Callable[[Floats], Floats]
    """What peers call: rows (r, d) -> values (r,), in the model's best batch."""
    rows: Floats
    background: Floats
    truth: Callable[[int, int], tuple[Floats, float]]
    """Rows and evaluations -> values (rows, n), and their root mean square standard error, 0 where they are exact."""
    bare: Callable[[int], Callable[[], object]]
    """Batch -> a call of the model on inputs made in advance."""
    bare_batches: tuple[int, ...]
    per_row: int
    """Evaluations a row and round beside the bare loop,"""
    rows_a_round: int
    """of so many rows."""
    budgets: tuple[int, ...]
    """Evaluations a row of ours, to be beside `peer_budget` of theirs."""
    peer_budget: int
    truth_budget: int
    batch: int | None = None
    """Of ours; None takes the default."""
    clustering: Any = None
    """Linkage of the players, for shap's partitions; None takes correlations of the background."""
    captum: CaptumInput | None = None
    many: bool = False
    """Whether there are many rows."""

    @property
    def players(self) -> int:
        return self.rows.shape[1]

    @property
    def fillings(self) -> int:
        """Model rows of an evaluation."""
        return len(self.background)


def log_odds(logits: torch.Tensor, target: int) -> torch.Tensor:
    """Logit of a class minus the log-sum-exp of the others, shape (r,)."""
    rest = torch.cat([logits[:, :target], logits[:, target + 1 :]], dim=1)
    return logits[:, target] - torch.logsumexp(rest.double(), dim=1)


def chunked(
    forward: Callable[[torch.Tensor], torch.Tensor], inputs: Callable[[torch.Tensor], torch.Tensor], batch: int
):
    """Rows of 0 and 1 (r, n) -> values (r,), in passes of `batch` inputs."""

    @torch.inference_mode()
    def call(rows: Floats) -> Floats:
        masks = torch.from_numpy(np.asarray(rows) > 0.5)
        parts = [forward(inputs(masks[at : at + batch])) for at in range(0, len(masks), batch)]
        return torch.cat(parts).double().numpy()

    return call


def as_in_a_run(n: int, per_row: int, count: int) -> tuple[Ints, Coalitions]:
    """Row (count,) and coalition (count, n) of the first evaluations of a run by `leverage`; every row has players of another order."""
    planned = plan([Ask(Question("SV"), "leverage")], n, per_row, 0)
    drawn = planned.design.draw(0, planned.draws).coalitions
    rng = np.random.default_rng(0)
    rows = [drawn[:, rng.permutation(n)] for _ in range(-(-count // len(drawn)))]
    return np.repeat(np.arange(len(rows), dtype=np.int64), len(drawn))[:count], np.concatenate(rows)[:count]


def one_input(game: Any, budget: int, estimator: str, seed: int) -> tuple[Floats, int]:
    found = xr.explain(game, budget=budget, estimator=estimator, seed=seed)
    return found.values[None], found.evaluations


def many_rows(game: Any, budget: int, estimator: str, seed: int) -> tuple[Floats, int]:
    found = xr.explain_rows(game, budget=budget, estimator=estimator, seed=seed)
    return found.values, found.evaluations


def long_run(game: Callable[[int | None, int], Any], batch: int | None = None):
    """A long run of ours, of a seed that no other run has; exact where all coalitions are within it."""

    def run(rows: int, budget: int) -> tuple[Floats, float]:
        made = game(batch, rows)
        exact = 2**made.n_players <= budget
        found = xr.explain(made, budget="exact" if exact else budget, seed=99)
        return found.values[None], 0.0 if exact else float(np.sqrt((found.std_errors**2).mean()))

    return run


def patches() -> Subject:
    from skimage import data

    zoo = xr.zoo.efficientnet_lite0()
    assert zoo.preprocess is not None
    x = zoo.preprocess(data.chelsea())
    side = x.shape[1] // 7
    labels = np.kron(np.arange(49).reshape(7, 7), np.ones((side, side), dtype=np.int64))
    whole = torch.from_numpy(x)[None]
    absent = torch.from_numpy(gaussian_filter(x.astype(np.float64), (0, SIGMA, SIGMA)).astype(np.float32))[None]
    with torch.inference_mode():
        target = int(zoo.model(whole).argmax())
    forward = lambda images: log_odds(zoo.model(images), target)  # noqa: E731
    places = torch.from_numpy(labels)

    def game(batch: int | None, rows: int) -> xr.ModelGame:
        made = {"players": xr.Patches(7, 7), "removal": xr.Blur(SIGMA), "behaviour": xr.LogOdds()}
        return xr.ModelGame(zoo.model, x, batch=batch, **made)

    at = np.stack(np.divmod(np.arange(49), 7), axis=1)
    return Subject(
        name="EfficientNet-Lite0, 49 patches",
        game=game,
        explain=one_input,
        model=chunked(forward, lambda masks: torch.where(masks[:, places][:, None], whole, absent), 4),
        rows=np.ones((1, 49)),
        background=np.zeros((1, 49)),
        truth=long_run(game),
        bare=lambda batch: called(zoo.model, torch.randn(batch, *x.shape)),
        bare_batches=(1, 2, 4, 8),
        per_row=250,
        rows_a_round=1,
        budgets=(200, 250, 300),
        peer_budget=300,
        truth_budget=2000,
        clustering=linkage(at, "complete"),
        captum=CaptumInput(forward, whole, absent, places[None, None].repeat(1, 3, 1, 1)),
    )


def words() -> Subject:
    from xai_ray.game_spec import TextRow
    from xai_ray.inputs import read_input

    zoo = xr.zoo.minilm_sentiment()
    tokenizer: Any = zoo.tokenizer
    text = str(read_input(TextRow(texts="data/reviews.tsv", row=6), JOBS).text)
    coded = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
    whole = torch.tensor(coded["input_ids"])[None]
    special = torch.tensor(coded["special_tokens_mask"])[None].bool()
    owner = torch.tensor([len(text[: start + 1].split()) - 1 for start, _ in coded["offset_mapping"]])[None]
    absent = torch.where(special, whole, torch.tensor(int(tokenizer.mask_token_id)))
    n = int(owner.max()) + 1
    forward = lambda ids: zoo.model(ids, torch.ones_like(ids))[:, 0]  # noqa: E731

    def game(batch: int | None, rows: int) -> xr.ModelGame:
        made = {"players": xr.Words(), "removal": xr.MaskToken(), "behaviour": xr.Logit(1)}
        return xr.ModelGame(zoo.model, text, tokenizer=zoo.tokenizer, batch=batch, **made)

    ids = torch.randint(1000, 5000, whole.shape)
    return Subject(
        name=f"MiniLM, {n} words",
        game=game,
        explain=one_input,
        model=chunked(forward, lambda masks: torch.where(masks[:, owner[0]], whole, absent), 16),
        rows=np.ones((1, n)),
        background=np.zeros((1, n)),
        truth=long_run(game),
        bare=lambda batch: called(
            zoo.model, ids.expand(batch, -1).contiguous(), torch.ones(batch, ids.shape[1], dtype=torch.int64)
        ),
        bare_batches=(4, 8, 16, 32, 64),
        per_row=256,
        rows_a_round=1,
        budgets=(54, 75, 100, 150, 200),
        peer_budget=200,
        truth_budget=1 << n,
        clustering=linkage(np.arange(n)[:, None], "complete"),
        # Special tokens are the same with and without the player that they are given to.
        captum=CaptumInput(forward, whole, absent, owner),
    )


def forest(trees: int = 100, far_rows: int = FAR_ROWS) -> Subject:
    from sklearn.ensemble import RandomForestClassifier

    data = tumour_data()
    fitted = RandomForestClassifier(trees, random_state=0, n_jobs=1)
    fitted.fit(data.rows[data.train], data.labels[data.train])
    rng = np.random.default_rng(0)
    first = np.concatenate([data.test, data.train[BACKGROUND:]])
    rows = np.concatenate([data.rows[first]] * -(-far_rows // len(first)))[:far_rows]
    rows[len(first) :] += 1e-3 * data.rows.std(axis=0) * rng.normal(size=rows[len(first) :].shape)

    def game(batch: int | None, count: int) -> xr.RowsGame:
        made = {"players": xr.Columns(), "removal": xr.Marginal(data.background), "behaviour": xr.Probability(1)}
        return xr.RowsGame(fitted.predict_proba, rows[:count], outputs="probabilities", batch=batch, **made)

    def truth(count: int, budget: int) -> tuple[Floats, float]:
        return xr.closed_form_values(fitted.predict_proba, rows[:count], data.background).values[:, :, 1], 0.0

    @cache
    def masked() -> Floats:
        """How long trees take hangs on the rows, so these are all that a run asks for."""
        of, present = as_in_a_run(rows.shape[1], _PER_ROW, _PER_ROW * _ROWS_A_ROUND)
        return np.where(present[:, None], rows[of % len(rows)][:, None], data.background).reshape(-1, rows.shape[1])

    def bare(batch: int) -> Callable[[], object]:
        starts = cycle(range(0, len(masked()) - batch + 1, batch))
        return lambda: fitted.predict_proba(masked()[(at := next(starts)) : at + batch])

    return Subject(
        name=f"forest of {trees} trees, {BACKGROUND} background rows",
        game=game,
        explain=many_rows,
        model=lambda given: fitted.predict_proba(np.asarray(given))[:, 1],
        rows=rows,
        background=data.background,
        truth=truth,
        bare=bare,
        bare_batches=_FOREST_BATCHES,
        per_row=_PER_ROW,
        rows_a_round=_ROWS_A_ROUND,
        budgets=(122, 150, 200, 250),
        peer_budget=250,
        truth_budget=0,
        many=True,
    )


def called(model: torch.nn.Module, *given: torch.Tensor) -> Callable[[], object]:
    @torch.inference_mode()
    def call() -> object:
        return model(*given)

    return call


SUBJECTS: dict[str, Callable[[], Subject]] = {"patches": patches, "words": words, "forest": forest}
