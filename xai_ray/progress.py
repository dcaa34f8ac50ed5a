"""The progress bar of a run, on stderr: rate, time to go, current largest standard error."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from xai_ray.estimators import Estimate, Verdict
from xai_ray.estimators.agreement import agreement_words, rank_agreement


class Bar:
    """A watcher that draws. Without a terminal it prints a line at each estimate instead."""

    def __init__(self, quiet: bool = False, counts: str = "evaluations") -> None:
        console = Console(stderr=True)
        self._counts = counts
        self._quiet, self._plain = quiet, not console.is_terminal
        self._console = console
        self._bar = Progress(
            TextColumn("{task.fields[job]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[error]}"),
            console=console,
            disable=quiet or self._plain,
            refresh_per_second=4,
        )
        self._task: TaskID | None = None
        self._job, self._total, self._first = "", 0, 0
        self._done = 0
        self._began: float | None = None
        self._seen: list[Estimate] = []

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def started(self, job: str, evaluations: int, done: int) -> None:
        """Shows the bar."""
        self._job, self._total, self._first = job, evaluations, done
        fields: dict[str, Any] = {"job": job, "rate": "", "left": "", "error": ""}
        self._task = self._bar.add_task("", total=evaluations, completed=done, **fields)
        if self._plain and not self._quiet:
            found = f", {done} already in the store" if done else ""
            self._console.print(f"job {job}: {evaluations} {self._counts}{found}", highlight=False, soft_wrap=True)

    def advanced(self, done: int) -> None:
        """Moves the bar."""
        if self._task is None:
            return
        if self._began is None:
            # The rate counts from the first unit, so that starting workers and loading the model do not look like slow evaluations.
            self._first, self._began = done, time.monotonic()
        self._done = done
        rate, left = self._rate(done)
        self._bar.update(self._task, completed=done, rate=f"{rate:.3g}/s", left=f"ETA {left}")

    def estimated(self, estimates: Sequence[Estimate]) -> None:
        """Shows the largest standard error of the first question, and how far its ranking moves."""
        first = estimates[0]
        if not first.coalitions:
            return
        error = f"largest s.e. of {first.question.index} {first.largest_std_error:.3g}"
        if agrees := agreement_words(rank_agreement(first, self._seen)):
            error += f", {agrees}"
        self._seen.append(first)
        if self._task is not None:
            self._bar.update(self._task, error=error)
        if self._plain and not self._quiet:
            rate, left = self._rate(self._done)
            speed = f", {rate:.3g}/s, ETA {left}" if rate > 0 else ""
            self._console.print(
                f"{first.evaluations} / {self._total} evaluations{speed}, {error}", highlight=False, soft_wrap=True
            )

    def judged(self, verdicts: Sequence[Verdict]) -> None:
        """Shows the first precision that is still open, beside the largest standard error when that is another one."""
        still = next((v for v in verdicts if not v.met), None)
        if still is None:
            return
        if self._task is not None:
            self._bar.update(self._task, error=still.words)
        if self._plain and not self._quiet and still.rule != "std_error":
            self._console.print(f"still open: {still.words}", highlight=False, soft_wrap=True)

    def _rate(self, done: int) -> tuple[float, str]:
        if self._began is None:
            return 0.0, "?"
        elapsed = max(time.monotonic() - self._began, 1e-9)
        rate = (done - self._first) / elapsed
        return rate, clock_text((self._total - done) / rate if rate > 0 else 0.0)


def clock_text(seconds: float) -> str:
    """`1:07:09`."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
