"""What the engine says: nothing unless asked, and then with job, unit and worker as fields."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys

from xai_ray.coalitions import Unit
from xai_ray.engine.logs import LOGGER, fields, log_to


def test_a_json_object_a_line() -> None:
    stream = io.StringIO()
    handler = log_to(stream, as_json=True)
    try:
        LOGGER.warning("worker %d is lost: %s", 3, "killed", extra=fields("cat-0", 3, Unit(4, 8)))
        LOGGER.info("%d actors from now on", 2, extra=fields(""))
    finally:
        logging.getLogger("xai_ray").removeHandler(handler)
        logging.getLogger("xai_ray").setLevel(logging.NOTSET)
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first.pop("at") > 0
    assert first == {
        "level": "warning",
        "message": "worker 3 is lost: killed",
        "job": "cat-0",
        "unit": [4, 8],
        "worker": 3,
    }
    assert set(second) == {"at", "level", "message"}


def test_nothing_is_shown_unless_somebody_asks() -> None:
    code = "from xai_ray.engine.logs import LOGGER; LOGGER.warning('worker 3 is lost')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""
