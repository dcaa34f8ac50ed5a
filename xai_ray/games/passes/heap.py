"""Memory of passes on a CPU stays with the process.

Activations of a pass are about a megabyte each. glibc gives such blocks back to the system when they are freed and asks for them again at
the next pass, and the kernel clears every page of them: up to half of the time of a small network. Freeing one large block, of which no
page was touched, moves both of its thresholds out of the way (mallopt(3), M_MMAP_THRESHOLD: "dynamic"); elsewhere it does nothing.
"""

from __future__ import annotations

from functools import cache

import numpy as np

_BYTES = 31 << 20
"""Below 32 MiB, the largest block that moves the thresholds."""


@cache
def keep_heap() -> None:
    """Once a process."""
    np.empty(_BYTES, dtype=np.uint8)
