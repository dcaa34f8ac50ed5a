"""Rows per second of dataset jobs beside the peers, at equal error: a perceptron of 20 columns with 100 background rows.

    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
    python benchmarks/throughput.py [--rows 100] [--rounds 3] [--seconds 4] [--budgets 84,100,200] [--only xai_ray,shap_kernel]
                                    [--truth 20000] [--memory] [--markdown]

Every method is asked for the Shapley values of the same rows under the same value function, the mean output with absent columns taken
from each of the 100 background rows. Methods take turns in one process on one thread. Ours explains all rows, plain, with the first
layer folded, and folded with the background in ten parts; a peer that would take longer than `--seconds` explains as many of them as it
can in that time, and rates count the rows that it did. Rates are per processor second, so that other work on the machine moves them
less than wall seconds, which are given too; what takes less than half a second is repeated. Errors are root mean squares against
`--truth` evaluations a row. A JSON line for each method, budget and round; then one for each method and budget, for peers with the
rates of the cheapest budget here whose error is not larger, plain, folded and in parts. With `--memory` each has the peak memory of a
process of its own that explains these rows, less that of one that only made the model, so that the libraries of a method count. Peers
that are not installed are left out, with a line that says so.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import xai_ray as xr

COLUMNS, BACKGROUND = 20, 100
BUDGETS = (84, 100, 120, 150, 200, 300, 400)
"""Evaluations a row of ours."""
PEER_BUDGET, TRUTH_ROWS = 200, 64
PARTS = 10
"""Of the background."""
_LEAST_SECONDS = 0.5
Floats = np.ndarray[Any, np.dtype[np.float64]]


def trained() -> torch.nn.Module:
    """20 -> 64 -> 64 -> 1 on a smooth target with interactions."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, COLUMNS))
    y = x @ rng.normal(size=COLUMNS) * 0.5 + x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) * x[:, 3] + (x[:, 4] > 0) * x[:, 5]
    parts = [
        torch.nn.Linear(COLUMNS, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 1),
    ]
    model = torch.nn.Sequential(*parts)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    inputs, target = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)[:, None]
    for _ in range(400):
        at = torch.randint(0, len(x), (256,))
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(inputs[at]), target[at]).backward()
        optimizer.step()
    return model.eval()


@dataclass(frozen=True)
class Job:
    """What is explained."""

    model: torch.nn.Module
    rows: Floats
    background: Floats

    def outputs(self, rows: Floats) -> Floats:
        """The model as peers call it, (r,)."""
        with torch.inference_mode():
            return self.model(torch.from_numpy(np.asarray(rows, dtype=np.float32)))[:, 0].double().numpy()

    def game(self, rows: Floats, fold: bool = False, parts: int = 1) -> xr.RowsGame:
        return xr.RowsGame(
            self.model,
            rows,
            players=xr.Columns(),
            removal=xr.Marginal(self.background),
            behaviour=xr.Raw(),
            numerics=xr.Numerics(fold=fold),
            background_parts=parts,
        )


Explainer = Callable[[Floats], Floats]  # rows (r, 20) -> values (r, 20)


def plain(job: Job, budget: int) -> Explainer:
    return lambda rows: xr.explain_rows(job.game(rows), budget=budget).values


def folded(job: Job, budget: int) -> Explainer:
    return lambda rows: xr.explain_rows(job.game(rows, fold=True), budget=budget).values


def parted(job: Job, budget: int) -> Explainer:
    return lambda rows: xr.explain_rows(job.game(rows, fold=True, parts=PARTS), budget=budget).values


def leverage(job: Job, budget: int) -> Explainer:
    return lambda rows: xr.explain_rows(job.game(rows), budget=budget, estimator="leverage").values


def shap_permutation(job: Job, budget: int) -> Explainer:
    import shap

    explainer = shap.PermutationExplainer(job.outputs, shap.maskers.Independent(job.background, BACKGROUND))
    return lambda rows: explainer(rows, max_evals=budget, silent=True).values


def shap_kernel(job: Job, budget: int) -> Explainer:
    import shap

    explainer = shap.KernelExplainer(job.outputs, job.background)
    return lambda rows: np.asarray(explainer.shap_values(rows, nsamples=budget, l1_reg=False, silent=True))


def shap_sampling(job: Job, budget: int) -> Explainer:
    import shap

    explainer = shap.SamplingExplainer(job.outputs, job.background)
    # It counts single model rows, two for each column and draw.
    return lambda rows: np.asarray(explainer.shap_values(rows, nsamples=budget * BACKGROUND, silent=True))


def shapiq_tabular(job: Job, budget: int) -> Explainer:
    import shapiq

    explainer = shapiq.TabularExplainer(
        model=job.outputs, data=job.background, imputer="marginal", index="SV", max_order=1, sample_size=BACKGROUND
    )
    return lambda rows: np.stack([explainer.explain(row, budget=budget).get_n_order_values(1) for row in rows])


def captum_sampling(job: Job, budget: int) -> Explainer:
    from captum.attr import ShapleyValueSampling

    return _captum(job, ShapleyValueSampling, n_samples=budget // COLUMNS)


def captum_kernel(job: Job, budget: int) -> Explainer:
    from captum.attr import KernelShap

    return _captum(job, KernelShap, n_samples=budget)


def _captum(job: Job, make: Callable[[Any], Any], n_samples: int) -> Explainer:
    """Over masks, so that absent columns come from all background rows; the best of several batches, told by a first row."""
    background = torch.from_numpy(job.background.astype(np.float32))

    def explain(rows: Floats, per_pass: int) -> Floats:
        out = np.empty(rows.shape)
        for at, row in enumerate(torch.from_numpy(rows.astype(np.float32))):

            def value(mask: torch.Tensor, row: torch.Tensor = row) -> torch.Tensor:
                filled = torch.where(mask[:, None] > 0.5, row, background)
                return job.model(filled.reshape(-1, COLUMNS)).reshape(len(mask), -1).mean(1)

            with torch.no_grad():
                found = make(value).attribute(
                    torch.ones(1, COLUMNS),
                    baselines=torch.zeros(1, COLUMNS),
                    n_samples=n_samples,
                    perturbations_per_eval=per_pass,
                )
            out[at] = found[0].numpy()
        return out

    best = min((1, 5, 20, 50), key=lambda b: _cpu(lambda: explain(job.rows[:2], b)))
    return lambda rows: explain(rows, best)


OWN: dict[str, Callable[[Job, int], Explainer]] = {"xai_ray": plain, "xai_ray_folded": folded, "xai_ray_parts": parted}
PEERS: dict[str, tuple[Callable[[Job, int], Explainer], int]] = {
    "xai_ray_leverage": (leverage, PEER_BUDGET),
    "shap_permutation_default": (shap_permutation, 500),
    "shap_permutation": (shap_permutation, PEER_BUDGET + 5),
    "shap_kernel": (shap_kernel, PEER_BUDGET),
    "shap_sampling": (shap_sampling, PEER_BUDGET),
    "shapiq_tabular": (shapiq_tabular, PEER_BUDGET),
    "captum_sampling": (captum_sampling, PEER_BUDGET),
    "captum_kernel": (captum_kernel, PEER_BUDGET),
}


def _cpu(call: Callable[[], Any]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def measured(explainer: Explainer, rows: Floats, truth: Floats, seconds: float) -> dict[str, Any]:
    """A first few rows tell how many fit into the time."""
    few = rows[:8]
    found = explainer(few[:1])
    count = int(np.clip(seconds / max(_cpu(lambda: explainer(few)), 1e-6) * len(few), len(few), 1e9))
    count = min(count, len(rows))
    wall = spent = done = 0.0
    while spent < _LEAST_SECONDS:
        began, before = time.perf_counter(), time.process_time()
        found = explainer(rows[:count])
        wall, spent, done = wall + time.perf_counter() - began, spent + time.process_time() - before, done + count
    known = min(count, len(truth))
    error = float(np.sqrt(((found[:known] - truth[:known]) ** 2).mean()))
    return {"rows": count, "rows_per_cpu_second": done / spent, "rows_per_second": done / wall, "rmse": error}


def methods(job: Job, given: argparse.Namespace) -> Iterator[tuple[str, int, Explainer | str]]:
    """Name, evaluations a row, and the method or why it is left out."""
    listed = [(name, make, budget) for name, make in OWN.items() for budget in given.budgets]
    for name, make, budget in [*listed, *((name, *peer) for name, peer in PEERS.items())]:
        if given.only is None or name in given.only.split(","):
            try:
                yield name, budget, make(job, budget)
            except ImportError as missing:
                yield name, budget, str(missing)


def rounds(job: Job, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    sure = job.game(job.rows[:TRUTH_ROWS], parts=PARTS)
    truth = xr.explain_rows(sure, budget=given.truth, estimator="leverage", seed=99).values
    found = list(methods(job, given))
    yield from ({"method": name, "skipped": why} for name, _, why in found if isinstance(why, str))
    for turn in range(given.rounds):
        for name, budget, explainer in found:
            if not isinstance(explainer, str):
                seconds = np.inf if name.startswith("xai_ray") else given.seconds
                told = measured(explainer, job.rows, truth, seconds)
                yield {"method": name, "budget": budget, "round": turn, **told}


def compared(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians over rounds: each peer beside the cheapest budget of ours that is not less precise."""
    keys = dict.fromkeys((x["method"], x["budget"]) for x in lines if "rmse" in x)
    medians = {
        key: {
            field: statistics.median(x[field] for x in lines if (x.get("method"), x.get("budget")) == key)
            for field in ("rows_per_cpu_second", "rows_per_second", "rmse")
        }
        for key in keys
    }
    out: list[dict[str, Any]] = []
    for (method, budget), found in medians.items():
        line: dict[str, Any] = {"summary": method, "budget": budget, **found}
        for own in OWN if method not in OWN else ():
            precise = [b for (name, b), x in medians.items() if name == own and x["rmse"] <= found["rmse"]]
            if precise:
                rate = medians[own, min(precise)]["rows_per_cpu_second"]
                line[own] = {"budget": min(precise), "rate": rate, "ratio": rate / found["rows_per_cpu_second"]}
        out.append(line)
    return out


def alone(job: Job, given: argparse.Namespace) -> int:
    """Peak memory of this process in KB after it explained the rows, as many as fit into the time; nothing for no method."""
    for name, _, explainer in methods(job, given) if given.only else ():
        assert not isinstance(explainer, str)
        measured(explainer, job.rows, np.zeros((1, COLUMNS)), np.inf if name.startswith("xai_ray") else given.seconds)
    # Not ru_maxrss, which begins with the memory of the process that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0])


def peak(name: str, budget: int, given: argparse.Namespace) -> float:
    """MB of a process of its own."""
    command = [sys.executable, __file__, "--alone", f"--rows={given.rows}", f"--seconds={given.seconds}"]
    command += [f"--only={name}", f"--budgets={budget}"]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]) / 1024


def bare_rate(model: torch.nn.Module) -> float:
    """Model rows per processor second of a bare loop at its best batch."""
    best = 0.0
    for batch in (512, 1024, 2048, 4096):
        x, passes = torch.randn(batch, COLUMNS), 400_000 // batch

        def loop(x: torch.Tensor = x, passes: int = passes) -> None:
            with torch.inference_mode():
                for _ in range(passes):
                    model(x)

        best = max(best, batch * passes / _cpu(loop))
    return best


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--budgets", type=lambda text: tuple(map(int, text.split(","))), default=BUDGETS)
    parser.add_argument("--truth", type=int, default=20_000, help="evaluations a row")
    parser.add_argument("--only")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    given = parsed()
    # A benchmark beside this one is called `coverage`, as a package that shap's compiler looks for.
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(5)
    model = trained()
    rows = rng.normal(size=(given.rows, COLUMNS)).astype(np.float32)
    job = Job(model, rows, rng.normal(size=(BACKGROUND, COLUMNS)).astype(np.float32))
    if given.alone:
        print(alone(job, given))
        return
    lines: list[dict[str, Any]] = [{"rows": given.rows, "bare_model_rows_per_cpu_second": bare_rate(model)}]
    print(json.dumps(lines[0]), flush=True)
    for line in rounds(job, given):
        lines.append(line)
        print(json.dumps(line), flush=True)
    found, empty = compared(lines), peak("", 1, given) if given.memory else 0.0
    for line in found:
        if given.memory:
            line["peak_mb"] = peak(line["summary"], line["budget"], given) - empty
        print(json.dumps(line), flush=True)
    if given.markdown:
        print(table(found))


def table(found: list[dict[str, Any]]) -> str:
    """Markdown."""
    head = [
        "| method | evaluations a row | error | rows per CPU second | ours, plain | folded | in parts | peak MB |",
        "|---|---|---|---|---|---|---|---|",
    ]

    def beside(own: dict[str, Any] | None) -> str:
        return "" if own is None else f"{own['ratio']:.3g} times ({own['budget']})"

    def memory(line: dict[str, Any]) -> str:
        return f"{line['peak_mb']:.0f}" if "peak_mb" in line else ""

    return "\n".join(
        head
        + [
            f"| {x['summary']} | {x['budget']} | {x['rmse']:.4f} | {x['rows_per_cpu_second']:.3g} | {beside(x.get('xai_ray'))} "
            f"| {beside(x.get('xai_ray_folded'))} | {beside(x.get('xai_ray_parts'))} | {memory(x)} |"
            for x in found
        ]
    )


if __name__ == "__main__":
    main()
