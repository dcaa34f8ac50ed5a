"""What makes a job the job it is: the digest of game, design and questions, and the versions beside it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Sequence
from functools import cache
from typing import Any

from xai_ray.engine.chains import chained
from xai_ray.errors import DigestMismatch
from xai_ray.estimators import Plan
from xai_ray.estimators.plan import describe_question
from xai_ray.games.passes.numerics import Numerics
from xai_ray.games.protocol import Game
from xai_ray.games.view import View
from xai_ray.stores import Manifest
from xai_ray.stores.canonical import canonical

FORMAT = 1
"""Of manifests. A change that moves bits of results raises it, so that old jobs are not continued with other bits."""
_LIBRARIES = ("numpy", "torch", "xai-ray")


def manifest_of(name: str, game: Game, plan: Plan, document: dict[str, Any]) -> Manifest:
    """The identity of a job: game, design and questions. `document` adds what a door wants to find again (spec, base folder, seed)."""
    asks = [{"question": describe_question(a.question), "estimator": a.estimator} for a in plan.asks]
    # Batch shape and threads may move the last bits of a forward pass, so they belong to the identity; the device does not.
    numerics: dict[str, Any] = {"block": game.block, "threads": getattr(game, "threads", 1)}
    if isinstance(told := getattr(game, "numerics", None), Numerics):
        numerics |= told.document()
    if chained(game, plan.design) is not None:
        numerics["chains"] = True
    identity = {
        "format": FORMAT,
        "game": game.digest,
        "numerics": numerics,
        "design": plan.design.describe(),
        "asks": asks,
    }
    digest = hashlib.sha256(canonical(identity, "identity of the job")).hexdigest()
    view = getattr(game, "view", None)
    return Manifest(
        job=f"{name}-{digest[:10]}",
        digest=digest,
        document={
            **document,
            "identity": identity,
            "players": list(game.player_names),
            "outputs": list(game.output_names),
            "versions": versions(),
            "view": view.document() if isinstance(view, View) else None,
        },
    )


def check_same_dataset(manifest: Manifest, count: int, digest: str, ids: Sequence[int | str] | None, what: str) -> None:
    """DigestMismatch that says how a dataset of `count` rows or texts with the names `ids` differs from the one that a job began with, if
    it began with one.
    """
    began = manifest.document.get("dataset")
    if began is None:
        return
    remedy = "restore the dataset, or run the spec again as a new job"
    if count != began["rows"]:
        verb = "shrank" if count < began["rows"] else "grew"
        raise DigestMismatch(f"job {manifest.job}: the dataset {verb} from {began['rows']} to {count} {what}; {remedy}")
    if digest != began["digest"]:
        raise DigestMismatch(f"job {manifest.job}: the {count} {what} of the dataset changed since it began; {remedy}")
    if (None if ids is None else list(ids)) != began["ids"]:
        raise DigestMismatch(f"job {manifest.job}: the names (id) of the {what} changed since it began; {remedy}")


def versions() -> dict[str, str]:
    """Versions that may move the last bits of a value."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    # Reading the files of installed packages takes milliseconds, and a process keeps what it imported.
    out = {"python": platform.python_version(), "machine": platform.machine()}
    for library in _LIBRARIES:
        try:
            out[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return out
