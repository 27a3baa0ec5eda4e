"""The journal: every command in order, on disk before anybody is told about it.

recover(directory)      cut what a crash has torn, say where to go on
JournalWriter           group commit, in the caller's thread or in one of its own
JournalReader           checked commands, for replay and for the replica that tails it
verify, dump            look without touching
retire                  give up segments that nobody needs any more
"""

from ringex.journal.errors import JournalCorrupt, JournalError, JournalFailed, JournalGone, JournalUnsupported
from ringex.journal.reader import JournalReader
from ringex.journal.recovery import Recovered, recover
from ringex.journal.segment import retire
from ringex.journal.verify import Report, dump, verify
from ringex.journal.writer import JournalWriter

__all__ = [
    "JournalCorrupt",
    "JournalError",
    "JournalFailed",
    "JournalGone",
    "JournalReader",
    "JournalUnsupported",
    "JournalWriter",
    "Recovered",
    "Report",
    "dump",
    "recover",
    "retire",
    "verify",
]
