"""What the engine says of a run: the standard logging of Python under the name `xai_ray`, with job, unit and worker as
fields. Nothing is shown unless somebody asks.
"""

from __future__ import annotations

import json
import logging
from typing import IO, Any

from xai_ray.coalitions import Unit

LOGGER = logging.getLogger("xai_ray.engine")
logging.getLogger("xai_ray").addHandler(logging.NullHandler())

_FIELDS = ("job", "unit", "worker")


class JsonLines(logging.Formatter):
    """A JSON object a line: at (seconds since 1970), level, message, and those of job, unit ([start, stop]) and worker
    that are known.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, Any] = {"at": round(record.created, 3), "level": record.levelname.lower()}
        line["message"] = record.getMessage()
        line |= {name: record.__dict__[name] for name in _FIELDS if record.__dict__.get(name) is not None}
        return json.dumps(line, ensure_ascii=False, default=str)


def log_to(stream: IO[str], *, as_json: bool, level: int = logging.INFO) -> logging.Handler:
    """Show what the engine says on a stream. Returns the handler, so that the caller can remove it again."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if as_json else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("xai_ray")
    logger.addHandler(handler)
    logger.setLevel(level)
    return handler


def fields(job: str, worker: int | None = None, unit: Unit | None = None) -> dict[str, Any]:
    """The `extra` of a call of logging."""
    return {"job": job or None, "worker": worker, "unit": [unit.start, unit.stop] if unit else None}
