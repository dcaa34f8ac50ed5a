"""The command line. stdout is data, stderr is talk; exit codes: 0 done, 1 failed, 2 bad spec or input, 3 store or cluster out of

reach, 4 budget spent before the asked precision (the result is still written), 130 cancelled. No traceback for a user's mistake.
"""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from xai_ray import catalogue
from xai_ray.commands import cluster, jobs, results, running
from xai_ray.commands.serve import serve
from xai_ray.talk import endings


class _Commands(TyperGroup):
    """Ends commands our way before typer ends them its own: by its release, Ctrl-C would be 1 and a broken pipe too."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        with endings():
            return super().invoke(ctx)


app = typer.Typer(
    name="xai-ray",
    cls=_Commands,
    help="Shapley values and interactions of every order, with standard errors: resumable, and the same bits whatever dies.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_COMMANDS = {
    "check": running.check,
    "run": running.run,
    "submit": cluster.submit,
    "resume": running.resume,
    "extend": running.extend,
    "list": jobs.list_jobs,
    "status": jobs.status,
    "watch": jobs.watch,
    "cancel": jobs.cancel,
    "result": results.result,
    "report": results.report,
    "replay": results.replay,
    "indices": catalogue.indices,
    "estimators": catalogue.estimators,
    "games": catalogue.games,
    "removals": catalogue.removals,
    "methods": catalogue.methods,
    "schema": catalogue.schema,
}

for _name, _command in _COMMANDS.items():
    app.command(_name)(_command)
app.add_typer(serve, name="serve")


def main() -> None:
    """Entry point of `xai-ray`."""
    with endings():
        try:
            app()
        finally:
            sys.stdout.flush()


if __name__ == "__main__":
    main()
