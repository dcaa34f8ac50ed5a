"""Names for the arrays that travel between the rooms. Sizes: n players, c coalitions, d draws, k outputs."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Coalitions: TypeAlias = npt.NDArray[np.bool_]
"""Coalitions as rows, shape (c, n): entry (r, i) says whether player i is in coalition r."""

Values: TypeAlias = npt.NDArray[np.float64]
"""Values of coalitions, shape (c, k)."""

Floats: TypeAlias = npt.NDArray[np.float64]
"""Any float64 array; the docstring says its shape."""

Ints: TypeAlias = npt.NDArray[np.int64]
"""Any int64 array; the docstring says its shape."""

Words: TypeAlias = npt.NDArray[np.uint64]
"""Any uint64 array of random words; the docstring says its shape."""

Mask: TypeAlias = npt.NDArray[np.bool_]
"""Any boolean array; the docstring says its shape."""
