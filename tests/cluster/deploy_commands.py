"""Whether every command line in the deployment is one that its program takes."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from typing import Any

import click
import typer
from ray.scripts.scripts import start

from tests.cluster.deploy_files import ROOT, Deployment


def command_complaints(deployment: Deployment) -> list[str]:
    """What a program would refuse, one line each."""
    checks = (_entrypoint, _start_parameters, _ray_up, _ours)
    return [f"{check.__name__.strip('_')}: {complaint}" for check in checks for complaint in check(deployment)]


def _entrypoint(deployment: Deployment) -> Iterable[str]:
    words = shlex.split(deployment.kind("RayJob")[0]["spec"]["entrypoint"])
    if words[:2] != ["python", "-m"] or words[2] != "xai_ray.remote_job":
        yield f"not the driver of a submitted job: {' '.join(words[:3])}"
    elif words[3::2] != ["--job", "--store"]:
        yield f"not the arguments of that driver: {' '.join(words[3:])}"
    elif not (ROOT / "xai_ray" / "remote_job.py").exists():
        return
    elif told := _usage(tuple(words[2:])):
        yield told


@cache
def _usage(words: tuple[str, ...]) -> str:
    """What the argument parser of a module says against these; "" if it takes them. The store named is not there."""
    given = [re.sub("^redis://.*", "file:///nonexistent/store", word) for word in words]
    done = subprocess.run(
        [sys.executable, "-m", *given], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    return done.stderr.strip() if "usage:" in done.stderr or "No module" in done.stderr else ""


def _start_parameters(deployment: Deployment) -> Iterable[str]:
    """KubeRay makes `--key=value` of each."""
    cluster = deployment.cluster
    groups = {"head": cluster["headGroupSpec"], **{g["groupName"]: g for g in cluster["workerGroupSpecs"]}}
    for name, group in groups.items():
        words = [f"--{key}={value}" for key, value in group["rayStartParams"].items()]
        yield from (
            f"{name}: {told}" for told in refused(start, [*words, "--head" if name == "head" else "--address=h:6379"])
        )


def _ray_up(deployment: Deployment) -> Iterable[str]:
    for name, document in deployment.ray_up():
        for which, needed in (("head", "--head"), ("worker", "--address=$RAY_HEAD_IP:6379")):
            lines = "; ".join(document[f"{which}_start_ray_commands"])
            starts = [shlex.split(part) for part in lines.split(";") if part.strip().startswith("ray start")]
            if len(starts) != 1 or needed not in starts[0]:
                yield f"{name} does not start a {which} with {needed}"
            yield from (f"{name}: {told}" for words in starts for told in refused(start, words[2:]))


def command_lines(deployment: Deployment) -> list[str]:
    """The commands of ours that the documents tell a reader to type."""
    texts = [deployment.text("deploy/README.md"), (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")]
    blocks = [block for text in texts for block in re.findall(r"```(?:bash|sh)\n(.*?)```", text, re.S)]
    return [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def _ours(deployment: Deployment) -> Iterable[str]:
    from xai_ray.cli import app

    commands: Any = typer.main.get_command(app)
    for line in command_lines(deployment):
        words = shlex.split(line, comments=True)
        if words[:1] != ["xai-ray"]:
            if words[:1] == ["python"] and words[1] != "-m" and not (ROOT / words[1]).exists():
                yield f"no file {words[1]}: {line}"
            if words[:2] == ["python", "-m"] and find_spec(words[2].partition(".")[0]) is None:
                yield f"no module {words[2]}: {line}"
            continue
        command = commands.commands.get(words[1])
        if command is None:
            # Without the commands for clusters this is the package before it had any.
            if (ROOT / "xai_ray" / "commands").exists():
                yield f"no command {words[1]}: {line}"
        else:
            yield from refused(command, words[2:])


def refused(command: click.Command, words: list[str]) -> list[str]:
    """What a command says against these words; nothing if it takes them."""
    try:
        command.make_context(command.name or "", list(words))
    except Exception as error:
        # Typer brings its own copy of click, whose errors are other classes.
        if "format_message" not in dir(error):
            raise
        return [f"{' '.join(words)}: {error.format_message()}"]  # pyright: ignore[reportAttributeAccessIssue]
    return []
