"""int64, for compiled code: narrow fields of records are widened before they are shifted, passed on or compared."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

int64: Final[Any] = np.int64
"""np.int64; typed Any, because a type checker does not take np.int64 for the int that compiled functions declare."""
