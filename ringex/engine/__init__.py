"""The engine: books, ledger and the matcher that is a pure function of its commands; also a library, `Matcher`."""

from ringex.engine.library import Matcher

__all__ = ["Matcher"]
