"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from xai_ray.errors import SpecError

SpecPath = Annotated[Path, typer.Argument(help="Job spec, .toml or .json.", show_default=False)]
JobId = Annotated[str, typer.Argument(help="Job id, as `list` prints it.", show_default=False)]
StoreUrl = Annotated[
    str,
    typer.Option(
        "--store", envvar="XAI_RAY_STORE", help="Where values live: file://DIR, DIR, redis://HOST or memory://."
    ),
]
EngineName = Annotated[
    Literal["ray", "inline"], typer.Option("--engine", envvar="XAI_RAY_ENGINE", help="Who does the work.")
]
Address = Annotated[
    str | None,
    typer.Option(envvar="XAI_RAY_ADDRESS", help="Ray cluster to join, HOST:6379; default: start one here."),
]
AnyAddress = Annotated[
    str | None,
    typer.Option(
        envvar="XAI_RAY_ADDRESS",
        help="http://HEAD:8265 submits to that cluster, HOST:6379 joins it from here; default: start Ray here.",
    ),
]
Dashboard = Annotated[
    str | None,
    typer.Option("--address", envvar="XAI_RAY_DASHBOARD", help="The cluster that runs the job, http://HEAD:8265."),
]
AskedCluster = Annotated[
    str | None,
    typer.Option(
        "--address", help="Cluster http://HEAD:8265 to ask first how the job stands; the store has the values."
    ),
]
Actors = Annotated[
    int | None, typer.Option(envvar="XAI_RAY_ACTORS", min=1, help="Workers; default: from the CPUs or GPUs.")
]
WorkingDir = Annotated[
    Path | None,
    typer.Option("--working-dir", help="Folder sent to the cluster; default: the spec's, if it names files there."),
]
PyModules = Annotated[
    list[Path] | None, typer.Option("--py-module", help="Package or module sent to the cluster; may be repeated.")
]
Out = Annotated[Path | None, typer.Option(help="Write result.json, result.arrow and report.html into this folder.")]
Recompute = Annotated[bool, typer.Option("--recompute", help="Discard damaged records and compute them again.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no notes.")]
SkipKillers = Annotated[
    bool,
    typer.Option("--skip-killers", help="End before a unit that kills three workers, instead of failing."),
]
Priority = Annotated[
    float | None, typer.Option("--priority", help="Share of the cluster beside other jobs, as 2 against 1; default 1.")
]
AsJson = Annotated[bool, typer.Option("--json")]


def checked(priority: float | None) -> float | None:
    """Raises SpecError unless a priority is a positive number."""
    if priority is not None and not 0 < priority < float("inf"):
        raise SpecError(f"--priority {priority}: a positive number, 1 is the usual one, 2 gets twice the workers")
    return priority
