"""The reference exchange: docs/trading-rules.md written down again, slowly and plainly, to check the engine against.

Dicts, lists and Python's unbounded integers; no tables, no addresses, no shared code with `ringex.engine`. It knows
only the vocabulary of `ringex.messages`. Where the engine and this package differ, one of them has misread the page.
"""

from reference.exchange import ReferenceExchange
from reference.records import command_fields, event_fields

__all__ = ["ReferenceExchange", "command_fields", "event_fields"]
