"""Listen keys: whose they are, for how long, and that all who share the folder agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringex.gateways.listenkeys import VALID_SECONDS, ListenKeys

HOUR_NS = VALID_SECONDS * 1_000_000_000
NOW_NS = 1_700_000_000_000_000_000


@pytest.fixture
def both(tmp_path: Path) -> tuple[ListenKeys, ListenKeys]:
    """Two gateways' views of one folder."""
    return ListenKeys(tmp_path / "keys"), ListenKeys(tmp_path / "keys")


def test_a_key_is_known_at_every_gateway_for_an_hour(both: tuple[ListenKeys, ListenKeys]) -> None:
    one, other = both
    text = one.start(5, 7, NOW_NS)
    assert len(text) == 64 and text.isalnum() and not text.isdigit()
    found = other.holder(text, NOW_NS + HOUR_NS - 1)
    assert found is not None and (found.account, found.key, found.until_ns) == (5, 7, NOW_NS + HOUR_NS)
    assert other.holder(text, NOW_NS + HOUR_NS) is None
    assert other.start(5, 7, NOW_NS + HOUR_NS) != text, "its hour was over"


def test_who_asks_again_gets_the_same_key_prolonged(both: tuple[ListenKeys, ListenKeys]) -> None:
    one, other = both
    text = one.start(5, 7, NOW_NS)
    half = NOW_NS + HOUR_NS // 2
    assert other.start(5, 7, half) == text
    assert one.holder(text, NOW_NS + HOUR_NS) is not None
    assert other.keep(5, text, half + HOUR_NS // 2)
    assert one.holder(text, half + HOUR_NS) is not None
    assert one.start(5, 8, NOW_NS) != text, "each API key has its own"


def test_a_key_ends_when_its_account_says_so(both: tuple[ListenKeys, ListenKeys]) -> None:
    one, other = both
    text = one.start(5, 7, NOW_NS)
    assert not other.stop(6, text, NOW_NS) and not other.keep(6, text, NOW_NS), "another account's"
    assert other.stop(5, text, NOW_NS)
    assert one.holder(text, NOW_NS) is None
    assert not one.stop(5, text, NOW_NS) and not one.keep(5, text, NOW_NS)


@pytest.mark.parametrize(
    "text", ["", "x", "x" * 64, "9" * 64, "a" * 54 + "0000000007", "../../../etc/passwd", "é" * 64]
)
def test_what_was_never_given_out_is_nobodys(both: tuple[ListenKeys, ListenKeys], text: str) -> None:
    both[0].start(5, 7, NOW_NS)
    assert both[1].holder(text, NOW_NS) is None
    assert not both[1].keep(5, text, NOW_NS)


def test_nobody_else_can_read_them(both: tuple[ListenKeys, ListenKeys], tmp_path: Path) -> None:
    both[0].start(5, 7, NOW_NS)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()] == [0o600]
