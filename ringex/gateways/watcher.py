"""Watchers: who else follows the events in a gateway's process."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ringex.history.readmodel import ReadModel


class Watcher(Protocol):
    """Who else follows the events in a gateway's process: feeds of market data."""

    def events(self, events: np.ndarray, model: ReadModel) -> None:
        """EVENT records in sequence, which `model` has applied."""

    def quiet(self) -> None:
        """All events that exist have come."""

    def restart(self, model: ReadModel) -> None:
        """Events were missed for good; `model` is whole again, and what comes follows it."""
