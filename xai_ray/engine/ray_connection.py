"""Being connected to Ray: the one that is there, the cluster that is named, or a local one that is started and stopped."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import ray
from ray.exceptions import AuthenticationError, RayError

from xai_ray.dashboard_token import check_join
from xai_ray.errors import EngineError

NAMESPACE = "xai_ray"
"""Of all named actors of this package."""


@contextmanager
def connected(address: str | None, cpus: int) -> Iterator[bool]:
    """Be connected to Ray within the block; shut down only what was started here. `cpus` is the size of a local Ray.

    Yields whether others may use this Ray too: False for one that was started here. Raises EngineError, without a connection for an
    address that is not on this machine when there is no token.
    """
    if ray.is_initialized():
        yield True
        return
    # Not Ray's own choice, which without an address joins the latest Ray anyone left running on this machine.
    address = address or os.environ.get("RAY_ADDRESS")
    if address and address != "local":
        _join(address)
    else:
        _start(cpus)
    try:
        yield bool(address and address != "local")
    finally:
        ray.shutdown()


def _join(address: str) -> None:
    check_join(address)
    remedy = "check that the cluster runs (`ray status`), the address and the network; leave it out to start Ray here"
    try:
        # Ray itself retries for a long time, and then ends the process.
        parts = urlsplit(address if "://" in address else f"//{address}")
        if parts.hostname and parts.port:
            socket.create_connection((parts.hostname, parts.port), timeout=5).close()
        ray.init(address=address, namespace=NAMESPACE, logging_level=logging.ERROR, log_to_driver=False)
    except AuthenticationError as error:
        raise EngineError(
            f"the Ray cluster at {address} refused the token; set RAY_AUTH_TOKEN to the cluster's"
        ) from error
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise EngineError(f"no Ray cluster at {address}: {head_of(error)}; {remedy}") from error


def _start(cpus: int) -> None:
    # Even a local Ray listens on the address of the host, where whoever connects runs code, so it must ask for a token.
    # Ray >= 2.60 does so by itself and writes one to the home directory; a token that lives only in this process and
    # its children needs no file. It stays for the life of the process, because Ray caches the first one it sees.
    named = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys()
    if not named and not (Path.home() / ".ray" / "auth_token").exists():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # These say at each start what the lines above decide, or warn of defaults that no actor here depends on.
    logging.getLogger("ray").setLevel(logging.ERROR)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        ray.init(
            address="local",
            num_cpus=cpus,
            namespace=NAMESPACE,
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise EngineError(
            f"Ray cannot be started here: {head_of(error)}; check free memory and disk in the temporary directory, or "
            "run with the inline engine"
        ) from error


def head_of(error: Exception) -> str:
    """The line of a Ray error that says why, cut to a readable length."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told_why = [line for line in lines if "exit" in line or "because" in line or "Error" in line]
    return (told_why or lines or [type(error).__name__])[-1][:300]
