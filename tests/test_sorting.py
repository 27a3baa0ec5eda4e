"""Sorting by place, against sorting by comparison."""

from __future__ import annotations

import numpy as np

from ringex.sorting import order_of


def test_ids_are_put_in_order_however_far_apart() -> None:
    rng = np.random.default_rng(1)
    for ids in (np.zeros(0, "i8"), np.array([7]), rng.permutation(500) + 3, rng.permutation(500) * 10**13 + 1):
        assert ids[order_of(ids)].tolist() == sorted(ids.tolist())
