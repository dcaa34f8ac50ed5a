"""What every store refuses, in the same words whatever the store."""

from __future__ import annotations

import difflib
import re

from xai_ray.coalitions import Unit
from xai_ray.errors import DigestMismatch, Fenced, MissingRecord, SpecError, StoreError
from xai_ray.stores.protocol import Manifest, Segment

_JOB = re.compile(r"[a-z0-9-]{1,128}")


def is_job_id(job: str) -> bool:
    """Whether this can be a job id: 1 to 128 lower-case letters, digits and dashes."""
    return _JOB.fullmatch(job) is not None


def check_job_id(job: str) -> None:
    """Raises SpecError unless `job` can be a job id; so an id is safe as the name of a folder or a key."""
    if not is_job_id(job):
        raise SpecError(
            f"{job!r} is no job id; an id has 1 to 128 lower-case letters, digits and dashes, such as cat-1f3a9c"
        )


def check_segment(segment: Segment) -> None:
    """Raises SpecError unless the segment holds at least one draw and its units at least one."""
    if not 0 <= segment.start < segment.stop or segment.unit < 1:
        raise SpecError(f"a segment needs 0 <= start < stop and unit >= 1, got {segment}")


def check_digest(wanted: Manifest, there: Manifest, url: str) -> None:
    """Raises DigestMismatch when the job in the store computes something else."""
    if wanted.digest != there.digest:
        raise DigestMismatch(
            f"job {there.job!r} in {url} belongs to another spec: its digest is {there.digest[:16]}, "
            f"this spec has {wanted.digest[:16]}; use another --store or the spec that started the job"
        )


def unknown_job(job: str, known: list[str], url: str) -> StoreError:
    """The error for a job that is not there, with the nearest ids."""
    near = difflib.get_close_matches(job, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return StoreError(
        f"{url} has no job {job!r}; {hint}`xai-ray list --store {url}` shows the {len(known)} that are there"
    )


def missing_record(job: str, unit: Unit, url: str) -> MissingRecord:
    """The error for a unit that has not been computed."""
    return MissingRecord(
        f"unit [{unit.start}, {unit.stop}) of job {job!r} has no record in {url}; "
        f"`xai-ray resume {job}` computes what is missing"
    )


def fenced(job: str, epoch: int, url: str) -> Fenced:
    """The error for a coordinator that was overtaken."""
    return Fenced(
        f"another run took job {job!r} in {url} over (this one had epoch {epoch}); this run stops here and nothing is lost: "
        f"every record that was committed stays, and the other run goes on; `xai-ray watch {job}` follows it"
    )


def not_done(job: str, state: str, url: str) -> StoreError:
    """The error for a job that may not expire."""
    return StoreError(
        f"job {job!r} in {url} is {state or 'not finished'}, and only a job that is done expires; "
        f"`xai-ray resume {job}` finishes it"
    )


def check_lifetime(seconds: int) -> None:
    """Raises SpecError unless a job is given at least a second."""
    if seconds < 1:
        raise SpecError(f"a job expires after 1 second or more, got {seconds}")
