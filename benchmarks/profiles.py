"""Where the time of a job goes, by py-spy: the share of samples in each part of the program, as JSON lines or a table.

    python benchmarks/profiles.py [--jobs jobs/cat.toml,jobs/review.toml,mlp,mlp+fold,rows,rows+fold] [--evaluations 600] > profiles.jsonl
    python benchmarks/profiles.py --markdown profiles.jsonl

Each job runs in a process of its own with the inline engine and one thread. `mlp` is a perceptron 20-64-64-2 with 100 background rows
and 100,000 evaluations, `rows` 10,000 rows of the same perceptron with 100 evaluations each, `+fold` the same with compute.fold. A
sample belongs to the innermost part of the table that is on its stack. `--evaluations` is the budget of the jobs of `jobs/`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = (
    ("the model", ("_call /passes/backends.py", "run /passes/backends.py")),
    ("first layer, folded", ("_pass /passes/folded_masking.py", "_pass /rows/folded.py", "_own /rows/folded.py")),
    ("means and behaviours", ("/passes/averaging.py", "/passes/reducing.py", "/games/behaviours.py")),
    ("outputs together, to float64", ("/passes/together.py", "/passes/model_outputs.py")),
    ("masks, masked inputs, duplicates", ("/xai_ray/games/passes/", "/xai_ray/games/rows/", "/xai_ray/games/model.py")),
    ("start: model, input, data", ("prepare /xai_ray/build.py",)),
    ("coalitions", ("/xai_ray/coalitions/",)),
    ("estimators and stop rules", ("/xai_ray/estimators/", "/xai_ray/indices/")),
    ("store, ledger, engine", ("/xai_ray/stores/", "/xai_ray/engine/")),
    ("start: imports", ("importlib._bootstrap",)),
    ("result, report", ("/xai_ray/reports/", "/xai_ray/talk.py", "/xai_ray/launch.py")),
)
"""Parts, and functions or files whose frames belong to them; a sample goes to the part of its innermost such frame."""

_PERCEPTRON = """name = "perceptron"
[game]
kind = "model"
model = {{ factory = "profiles:perceptron_game" }}
input = {input}
players = {{ kind = "columns" }}
removal = {{ kind = "marginal", background = {{ table = "{folder}/background.npy" }} }}
behaviour = {{ kind = "log_odds" }}
[[ask]]
index = "SV"
estimator = "{estimator}"
[budget]
evaluations = {evaluations}
"""
_FOLD = "[compute]\nfold = true\n"
_ROWS = 10_000


def perceptron_game() -> object:
    from forward_cases import perceptron

    return perceptron(20, 64, 64, 2)


def spec_of(job: str, folder: Path, evaluations: int) -> Path:
    if job.endswith(".toml"):
        (folder / "data").symlink_to(ROOT / "jobs" / "data")
        path = folder / Path(job).name
        path.write_text(re.sub(r"evaluations = \d+", f"evaluations = {evaluations}", (ROOT / job).read_text()))
        return path
    import numpy as np

    rng = np.random.default_rng(0)
    np.save(folder / "rows.npy", rng.normal(size=(_ROWS, 20)))
    np.save(folder / "background.npy", rng.normal(size=(100, 20)))
    path = folder / "perceptron.toml"
    many = job.startswith("rows")
    given = 'dataset = "{}"' if many else 'table = "{}", row = 0'
    spec = _PERCEPTRON.format(
        folder=folder,
        input=f"{{ {given.format(folder / 'rows.npy')} }}",
        estimator="auto" if many else "leverage",
        evaluations=100 if many else 100_000,
    )
    path.write_text(spec + (_FOLD if job.endswith("+fold") else ""))
    return path


def part_of(stack: str) -> str:
    for frame in reversed(stack.split(";")):
        function, _, where = frame.partition(" (")
        for part, marks in PARTS:
            for mark in marks:
                named, _, file = mark.rpartition(" ")
                if file in where and named in ("", function.rpartition(".")[2]):
                    return part
    return "other"


def profile(job: str, rate: int, evaluations: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw = folder / "stacks.txt"
        run = f"-m xai_ray.cli run {spec_of(job, folder, evaluations)} --engine inline"
        spy = f"py-spy record --format raw --full-filenames --rate {rate} --output {raw} -- {sys.executable} {run}"
        paths = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        subprocess.run(
            spy.split(),
            check=True,
            cwd=folder,
            env={**os.environ, **threads, "PYTHONPATH": paths},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        found: Counter[str] = Counter()
        for line in raw.read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            found[part_of(stack)] += int(count)
    total = sum(found.values())
    shares = {part: round(count / total, 3) for part, count in found.most_common()}
    return {"job": job, "seconds": round(total / rate, 1), "shares": shares}


def table(lines: list[dict[str, object]]) -> str:
    parts = list(dict.fromkeys(part for line in lines for part in line["shares"]))
    head = "| part | " + " | ".join(f"{line['job']}, {line['seconds']} s" for line in lines) + " |"
    rows = [
        f"| {part} | " + " | ".join(f"{line['shares'].get(part, 0):.1%}" for line in lines) + " |" for part in parts
    ]
    return "\n".join([head, "|---" * (len(lines) + 1) + "|", *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", default="jobs/cat.toml,jobs/review.toml,mlp,mlp+fold,rows,rows+fold")
    parser.add_argument("--rate", type=int, default=100, help="samples per second")
    parser.add_argument("--evaluations", type=int, default=600)
    parser.add_argument("--markdown", type=Path, help="a file of lines to make a table of")
    options = parser.parse_args()
    if options.markdown:
        print(table([json.loads(line) for line in options.markdown.read_text().splitlines()]))
        return
    for job in options.jobs.split(","):
        print(json.dumps(profile(job, options.rate, options.evaluations)), flush=True)


if __name__ == "__main__":
    main()
