"""KEY_REVOKE: what the rules say, that the engine keeps them, and that snapshot and read model forget the key too."""

from __future__ import annotations

from pathlib import Path

import pytest
from event_records import event_records
from reference.desk import ALICE, BOB
from reference.records import event_fields, records_of
from reference.scene import Scene

from ringex.config import Limits
from ringex.engine import Matcher
from ringex.engine.snapshot import load_snapshot, write_snapshot
from ringex.history.catalogue import Catalogue
from ringex.reasons import Reason
from ringex.terms import EventKind, KeyScope

FEW = Limits(
    assets_max=4,
    markets_max=4,
    accounts_max=8,
    keys_max=3,
    balances_max=16,
    orders_max=16,
    levels_max=16,
    requests_remembered_max=4,
    requests_remembered_per_account_max=4,
    references_max=16,
)


@pytest.fixture
def scene() -> Scene:
    """Keys 11 and 12 are alice's, key 13 is bob's."""
    scene = Scene()
    for key, account in ((11, ALICE), (12, ALICE), (13, BOB)):
        scene.one(scene.desk.key_add(key, account, KeyScope.TRADE))
    return scene


def test_a_revoked_key_is_gone_and_its_number_free(scene: Scene) -> None:
    gone = scene.one(scene.desk.key_revoke(11))
    assert (gone["kind"], gone["account"], gone["key_added"]) == (EventKind.KEY_REVOKED, ALICE, 11)
    assert (gone["scopes"], gone["name"]) == (KeyScope.TRADE, "")
    again = scene.one(scene.desk.key_revoke(11))
    assert (again["kind"], again["reason"]) == (EventKind.REJECTED, Reason.UNKNOWN_KEY)
    back = scene.one(scene.desk.key_add(11, BOB))
    assert (back["kind"], back["account"]) == (EventKind.KEY, BOB)


@pytest.mark.parametrize("key", [0, 10, (1 << 32) - 1])
def test_an_unknown_key_is_refused(scene: Scene, key: int) -> None:
    assert scene.one(scene.desk.key_revoke(key))["reason"] == Reason.UNKNOWN_KEY


@pytest.mark.parametrize("first", [11, 12, 13])
def test_engine_snapshot_and_catalogue_forget_it(first: int, tmp_path: Path) -> None:
    """Every key in turn: with three of three slots used, the one that moves into the hole is the last."""
    scene = Scene()
    desk = scene.desk
    commands = [desk.account("alice"), desk.account("bob")]
    commands += [desk.key_add(key, account) for key, account in ((11, 1), (12, 1), (13, 2))]
    commands += [desk.key_add(14, 1), desk.key_revoke(first), desk.key_revoke(first), desk.key_add(14, 1)]
    matcher = Matcher(limits=FEW)
    events = [event_fields(event) for event in matcher.submit(records_of(commands))]
    assert [event["reason"] for event in events[5:]] == [Reason.ENGINE_FULL, 0, Reason.UNKNOWN_KEY, 0]
    left = {11, 12, 13, 14} - {first}
    assert set(matcher.export()["keys"]["key"].tolist()) == left
    loaded = Matcher(state=load_snapshot(write_snapshot(matcher.state, tmp_path), FEW))
    assert loaded.state_hash() == matcher.state_hash()
    further = [desk.key_revoke(key) for key in sorted(left)] + [desk.key_add(key, 2) for key in sorted(left)]
    assert loaded.submit(records_of(further)).tobytes() == matcher.submit(records_of(further)).tobytes()
    assert loaded.state_hash() == matcher.state_hash()

    catalogue = Catalogue(FEW)
    catalogue.apply(event_records(events))
    assert [number for number in (11, 12, 13, 14) if catalogue.key(number)] == sorted(left)
    joined = Catalogue(FEW)
    joined.load(catalogue.export())
    assert [number for number in (11, 12, 13, 14) if joined.key(number)] == sorted(left)
