"""The Jobs API of a Ray cluster, over HTTP: the one room that speaks to a dashboard.

Reads go through `requests` with timeouts; a submission goes through Ray's own client, which packs and uploads folders.
The token is sent as a header and named nowhere else.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from xai_ray.dashboard_token import check_door, is_loopback, token
from xai_ray.errors import EngineError, InputError, SpecError
from xai_ray.stores.addresses import without_password

OLDEST_RAY = (2, 50)
"""The oldest Ray release on a cluster that this package was made for."""
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
"""Ray's words for a job that is over."""

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
_ID = re.compile(r"xr-([a-z0-9-]{1,128})-a([1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True)
class RayJob:
    """One attempt at a job, as Ray tells of it."""

    job: str
    attempt: int
    state: str
    """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
    message: str = ""
    exit_code: int | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def submission_id(self) -> str:
        """The name of this attempt on the cluster."""
        return submission_id(self.job, self.attempt)

    @property
    def ended(self) -> bool:
        """Whether the driver of this attempt is gone."""
        return self.state in ENDED

    def writes_to(self, store: str) -> bool:
        """Whether its values go to this store: a cluster may run one job for several."""
        return self.metadata.get("store", store) == store


class AttemptExists(Exception):
    """The cluster has an attempt of this number already. Never leaves the doors."""


def submission_id(job: str, attempt: int) -> str:
    """The name of an attempt on the cluster: `xr-JOB-aN`, N from 1."""
    return f"xr-{job}-a{attempt}"


def is_dashboard(address: str) -> bool:
    """Whether an address is that of a dashboard (http:// or https://) and not of a Ray that can be joined."""
    return address.lower().startswith(("http://", "https://"))


class Cluster:
    """A running cluster at the address of its dashboard, http://HEAD:8265.

    Raises SpecError for an address of another form, EngineError when nothing or something else answers there, when the
    token is missing or wrong, or when an address that is not loopback answers without one.
    """

    def __init__(self, address: str) -> None:
        self.address = _checked(address)
        check_door(self.address)
        self._token = token()
        self._headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        self._check_version()

    def jobs(self, job: str | None = None) -> list[RayJob]:
        """The attempts that were submitted by this package, oldest first; those of one job, if named."""
        document = self._json("GET", "/api/jobs/")
        found = [made for entry in document if isinstance(entry, dict) and (made := _ray_job(entry)) is not None]
        return sorted((j for j in found if job in (None, j.job)), key=lambda j: (j.job, j.attempt))

    def latest(self, job: str, store: str) -> RayJob | None:
        """The newest attempt at a job that writes to this store, or None if this cluster knows of none."""
        return next((attempt for attempt in reversed(self.jobs(job)) if attempt.writes_to(store)), None)

    def logs(self, job: RayJob) -> str:
        """What the driver of an attempt printed; empty when the cluster has lost it."""
        try:
            document = self._json("GET", f"/api/jobs/{quote(job.submission_id)}/logs")
        except EngineError:
            return ""
        return str(document.get("logs", "")) if isinstance(document, dict) else ""

    def stop(self, job: RayJob) -> bool:
        """Ask the driver of an attempt to end: SIGTERM, and a kill some seconds later. False if it had ended."""
        answer = self._json("POST", f"/api/jobs/{quote(job.submission_id)}/stop")
        return bool(isinstance(answer, dict) and answer.get("stopped"))

    def submit(
        self, name: str, entrypoint: str, metadata: dict[str, str], working_dir: Path | None, py_modules: Sequence[Path]
    ) -> None:
        """Start a driver under this name. Folders are packed and uploaded; the same content is uploaded once.

        Raises AttemptExists, InputError for a folder that cannot be sent, EngineError.
        """
        runtime_env: dict[str, Any] = {}
        if working_dir is not None:
            runtime_env["working_dir"] = str(working_dir)
        if py_modules:
            runtime_env["py_modules"] = [str(path) for path in py_modules]
        with self._failures("submit a job"):
            client = _sdk(self.address, self._headers)
            client.submit_job(
                entrypoint=entrypoint, submission_id=name, runtime_env=runtime_env, metadata=dict(metadata)
            )

    def _check_version(self) -> None:
        parts = urlsplit(self.address)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            socket.create_connection((str(parts.hostname), port), timeout=_CONNECT_SECONDS).close()
        except OSError as error:
            raise EngineError(
                f"no cluster at {self.address}: {error.strerror or error}; check that it runs (`ray status` on its head), the "
                "address of its dashboard (port 8265 by default) and the network"
            ) from None
        if not is_loopback(self.address):
            self._check_closed()
        document = self._json("GET", "/api/version")
        version = document.get("ray_version") if isinstance(document, dict) else None
        if not isinstance(version, str):
            raise self._no_dashboard("its answer names no Ray version")
        numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
        if numbers < OLDEST_RAY:
            oldest = ".".join(map(str, OLDEST_RAY))
            raise EngineError(
                f"the cluster at {self.address} runs Ray {version}, older than {oldest}; start it with a newer Ray"
            )

    def _check_closed(self) -> None:
        """An open cluster runs the code of whoever reaches it; nothing of ours is sent there."""
        try:
            answer = requests.get(f"{self.address}/api/jobs/", timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS))
        except requests.RequestException:
            return
        if answer.status_code == 200:
            raise EngineError(
                f"the cluster at {self.address} answers without a token, so whoever reaches it runs code there; restart it with "
                "RAY_AUTH_MODE=token and a token on every node (`ray get-auth-token --generate`)"
            )

    def _json(self, method: str, path: str) -> Any:
        with self._failures(f"{method} {path}"):
            answer = requests.request(
                method, self.address + path, headers=self._headers, timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS)
            )
            self._check_token(answer.status_code)
            if answer.status_code != 200:
                raise self._no_dashboard(f"{method} {path} answered {answer.status_code} {answer.reason}")
            try:
                return answer.json()
            except ValueError:
                raise self._no_dashboard(f"{method} {path} answered something that is not JSON") from None

    def _check_token(self, status: int) -> None:
        if status in (401, 403):
            raise refused_token(self.address, status, bool(self._token))

    def _no_dashboard(self, why: str) -> EngineError:
        return EngineError(
            f"what answers at {self.address} is not the dashboard of a Ray cluster, or it is ill: {why}; give the address "
            "that `ray start --head` prints, http://HEAD:8265"
        )

    @contextmanager
    def _failures(self, doing: str) -> Iterator[None]:
        """Turns what `requests` and Ray's client raise into our errors."""
        try:
            yield
        except (AttemptExists, EngineError, InputError):
            raise
        except requests.RequestException as error:
            raise EngineError(
                f"lost the cluster at {self.address} at: {doing} ({type(error).__name__}); what was committed is in the "
                "store, try again when it answers"
            ) from None
        except (RuntimeError, ValueError, TypeError, ConnectionError, OSError) as error:
            raise self._told(error) from None

    def _told(self, error: Exception) -> Exception:
        text = str(error)
        if "already exists" in text or "already been used" in text:
            return AttemptExists()
        if type(error).__name__ == "AuthenticationError":
            return refused_token(self.address, 401 if "required" in text else 403, bool(self._token))
        line = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), type(error).__name__)[:300]
        if "size" in text and "exceed" in text:
            return InputError(
                f"the code folder is too large to be sent: {line}; give a smaller --working-dir, list what stays behind in its "
                ".rayignore, or keep data on a path that the nodes share"
            )
        if isinstance(error, ValueError | TypeError | OSError) and not isinstance(error, ConnectionError):
            return InputError(f"the code cannot be sent to the cluster: {line}; check --working-dir and --py-module")
        return EngineError(f"the cluster at {self.address} refused the job: {line}; see the log of its dashboard")


def refused_token(address: str, status: int, had: bool) -> EngineError:
    """What 401 and 403 mean, in words."""
    if had and status == 403:
        why = "refused the token that was sent: it is another cluster's, or was changed"
    elif had:
        why = "did not accept how the token was sent"
    else:
        why = "asks for a token and none was found here"
    return EngineError(
        f"the cluster at {address} {why} ({status}); put the cluster's token into a file and name it in "
        "RAY_AUTH_TOKEN_PATH (RAY_AUTH_MODE=token); `ray get-auth-token` prints it on the head"
    )


def _checked(address: str) -> str:
    try:
        parts = urlsplit(address)
        good = is_dashboard(address) and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        parts, good = urlsplit(""), False
    if not good:
        raise SpecError(
            f"--address {without_password(address)}: jobs are submitted through a dashboard, as http://HEAD:8265 or https://HOST; "
            "`xai-ray run --address HOST:6379` joins a cluster instead"
        )
    if parts.username or parts.password or parts.query:
        raise SpecError("--address carries no user, password or query: tokens go through RAY_AUTH_TOKEN_PATH")
    return address.rstrip("/")


def _ray_job(entry: dict[str, Any]) -> RayJob | None:
    """An attempt from Ray's document; None for jobs of others."""
    match = _ID.fullmatch(str(entry.get("submission_id") or ""))
    if match is None:
        return None
    metadata = {str(key): str(value) for key, value in (entry.get("metadata") or {}).items()}
    code = entry.get("driver_exit_code")
    return RayJob(
        match[1],
        int(match[2]),
        str(entry.get("status", "")),
        str(entry.get("message") or ""),
        code if isinstance(code, int) else None,
        metadata,
    )


def _sdk(address: str, headers: dict[str, str]) -> Any:
    import logging

    from ray.job_submission import JobSubmissionClient

    for name in ("dashboard.modules.dashboard_sdk", "dashboard.modules.job.sdk", "_private.runtime_env.packaging"):
        logging.getLogger(f"ray.{name}").setLevel(logging.ERROR)
    # Ray lets these override the address that is given.
    overriding = {name: os.environ.pop(name, None) for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")}
    try:
        return JobSubmissionClient(address, headers=dict(headers))
    finally:
        os.environ.update({name: value for name, value in overriding.items() if value is not None})
