"""Commands of the warm pool: actors that keep a model loaded, so that `run --warm` answers at once."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xai_ray.commands.options import Address, AsJson
from xai_ray.dashboard_token import check_join
from xai_ray.errors import SpecError
from xai_ray.jobs_api import is_dashboard
from xai_ray.stores.addresses import without_password
from xai_ray.talk import print_json, say

if TYPE_CHECKING:
    from xai_ray.engine.ray_warm_pool import Facts

serve = typer.Typer(
    help="A warm pool on a cluster: the model stays loaded, `run --warm` answers at once.", no_args_is_help=True
)


@serve.command("start")
def start(
    game: Annotated[Path, typer.Option("--game", help="Job spec whose game is loaded; its questions do not matter.")],
    address: Address = None,
    actors: Annotated[int, typer.Option(min=1, help="Workers that keep the model.")] = 1,
    gpus: Annotated[float, typer.Option("--gpus", min=0, help="GPUs of each worker, also fractions.")] = 0,
    idle: Annotated[
        float, typer.Option("--idle", min=1, help="A worker ends after so many seconds without work.")
    ] = 1800,
    memory_mb: Annotated[
        int | None, typer.Option("--memory-mb", min=64, help="Reserved for a worker, which ends at rest above it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Have workers on a cluster load a game and keep it; those that are there count. They outlive this command."""
    from xai_ray.build import game_of
    from xai_ray.engine.ray_warm_pool import start_pool
    from xai_ray.spec import load

    _check(address)
    for option, value in (("--idle", idle), ("--gpus", gpus)):
        if not value < 1e9:
            raise SpecError(f"{option} {value}: a number, and not as large as that")
    spec, base = load(game), game.resolve().parent
    memory = None if memory_mb is None else memory_mb << 20
    found = start_pool(game_of(spec, base), actors, address=address, gpus=gpus, idle_seconds=idle, memory=memory)
    _show(found, as_json)


@serve.command("stop")
def stop(address: Address = None) -> None:
    """Remove all warm workers of a cluster."""
    from xai_ray.engine.ray_warm_pool import stop_pool

    _check(address)
    count = stop_pool(address)
    say(f"removed {count} warm worker{'s' * (count != 1)}")


@serve.command("status")
def status(address: Address = None, as_json: AsJson = False) -> None:
    """The warm workers of a cluster: game, node, evaluations, seconds at rest, memory."""
    from xai_ray.engine.ray_warm_pool import pool_status

    _check(address)
    _show(pool_status(address), as_json)


def _check(address: str | None) -> None:
    if address is not None and is_dashboard(address):
        raise SpecError(
            f"--address {without_password(address)} is a dashboard; a warm pool is joined, so give the address of Ray itself, HOST:6379"
        )
    check_join(address)


def _show(found: list[Facts], as_json: bool) -> None:
    if as_json:
        print_json([asdict(facts) for facts in found])
        return
    for facts in found:
        typer.echo(
            f"{facts.name}  node {facts.node[:8]}  pid {facts.pid}  {facts.evaluations} evaluations  "
            f"idle {facts.idle:.0f} s  {facts.memory >> 20} MiB"
        )
    if not found:
        say("no warm workers on this cluster; xai-ray serve start --game SPEC loads one")
