"""What a journal may refuse with. Every message names the file, and what would have been right."""

from __future__ import annotations

from pathlib import Path


class JournalError(Exception):
    """Anything that a journal refuses."""


class JournalCorrupt(JournalError):
    """Data that was once safe on disk is damaged or missing. Nothing is read past it, and nothing is changed."""

    def __init__(self, path: Path, offset: int, sequence: int, why: str) -> None:
        super().__init__(f"{path}: byte {offset}, sequence {sequence}: {why}")
        self.path = path
        self.offset = offset
        self.sequence = sequence
        self.why = why


class JournalUnsupported(JournalError):
    """A sound segment, but written by a newer or different version than this one can read."""


class JournalGone(JournalError):
    """What was asked for lies in segments that have been retired. `first_available` is the oldest sequence left."""

    def __init__(self, wanted: int, first_available: int) -> None:
        super().__init__(f"sequence {wanted} has been retired; the oldest one in the journal is {first_available}")
        self.wanted = wanted
        self.first_available = first_available


class JournalFailed(JournalError):
    """A write or a sync failed. It is never tried again: what the disk holds is unknown until a recovery reads it."""
