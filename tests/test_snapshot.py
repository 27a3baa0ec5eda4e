"""Snapshots and recovery: what is loaded goes on as the original would, and what is damaged is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference import ReferenceExchange
from reference.arena import SMALL
from reference.desk import ALICE, BOB, BUY, SELL, USDT, Desk
from reference.records import Fields, command_starts, records_of
from reference.streams import ROLL_MAX, ROLLS_PER_COMMAND, Dice, Stream
from scene import LIMITS, Scene

from ringex.administration import set_limits
from ringex.config import Durability, Limits
from ringex.engine import Matcher
from ringex.engine.export import RING_OUT, state_hash
from ringex.engine.matcher import is_continuation_pending
from ringex.engine.replay import Replayer, recover_state
from ringex.engine.snapshot import (
    HEADER,
    MAGIC,
    SnapshotCorrupt,
    load_snapshot,
    newest_valid_snapshot,
    read_snapshot,
    snapshot_paths,
    write_snapshot,
)
from ringex.engine.state import State
from ringex.journal import JournalReader, JournalWriter
from ringex.journal.crc import crc32c
from ringex.messages import RECORDS_PER_COMMAND_MAX
from ringex.replaying import replay_directory
from ringex.terms import CommandKind, EventKind

ROOMY = Limits(
    assets_max=20,
    markets_max=21,
    accounts_max=22,
    keys_max=23,
    balances_max=124,
    orders_max=125,
    levels_max=126,
    requests_remembered_max=127,
    requests_remembered_per_account_max=128,
    references_max=129,
)
ROOMIER = replace(ROOMY, orders_max=1_000, levels_max=1_000, balances_max=1_000, references_max=1_000)
HEADER_BYTES = HEADER.itemsize


def stream_records(seed: int, count: int) -> np.ndarray:
    """A journal of `count` random commands after their opening: orders, refusals, remembered requests, references.

    Where the matcher has to go on by itself (stop orders that fire, orders that expire), its own records are there.
    """
    exchange = ReferenceExchange(SMALL)
    stream, random = Stream(exchange), np.random.default_rng(seed)
    commands = [record for records in stream.opening() for record in records]
    for command in commands:
        exchange.apply(command)

    def send(records: tuple[Fields, ...]) -> None:
        for record in records:
            if not 1 < record["slots"] <= RECORDS_PER_COMMAND_MAX:
                record["slots"] = 1  # as a sequencer stamps it
        exchange.apply(*records)
        commands.extend(records)

    for rolls in random.integers(0, ROLL_MAX, (count, ROLLS_PER_COMMAND)).tolist():
        stream.play(Dice(rolls), send, send)
    records = records_of(commands)
    records["ring"], records["ring_epoch"] = np.arange(len(records)) % 3, 77
    records["ring_sequence"] = np.arange(len(records)) // 3 + 1
    return records


def command_at(records: np.ndarray, cut: int) -> int:
    """Where the command begins that record number `cut` is of; the end, for the end."""
    return max(start for start in command_starts(records) if start <= cut)


def follow(matcher: Matcher, records: np.ndarray) -> bytes:
    """Apply a part of a journal. Its events."""
    return b"".join(events.tobytes() for events in Replayer(matcher.state).apply(records))


@pytest.fixture(scope="module")
def stream() -> np.ndarray:
    return stream_records(seed=1, count=400)


@pytest.fixture(scope="module")
def whole(stream: np.ndarray) -> tuple[bytes, str]:
    """The stream's events and the hash of the state after it."""
    matcher = Matcher(limits=SMALL)
    return follow(matcher, stream), matcher.state_hash()


@pytest.mark.parametrize("cut", [0, 1, 20, 100, 217, 301, 399])
def test_a_loaded_snapshot_goes_on_as_the_original(
    cut: int, stream: np.ndarray, whole: tuple[bytes, str], tmp_path: Path
) -> None:
    cut = command_at(stream, cut)
    before = Matcher(limits=SMALL)
    events = follow(before, stream[:cut])
    loaded = Matcher(state=load_snapshot(write_snapshot(before.state, tmp_path), SMALL))
    assert loaded.state_hash() == before.state_hash()
    events += follow(loaded, stream[cut:])
    assert (events, loaded.state_hash()) == whole
    assert np.array_equal(loaded.export()["rings"], ring_positions(stream))


def ring_positions(stream: np.ndarray) -> np.ndarray:
    """Where each ring stands after the stream, as an export has it."""
    last = {int(record["ring"]): (record["ring"], record["ring_epoch"], record["ring_sequence"]) for record in stream}
    return np.array([last[ring] for ring in sorted(last)], RING_OUT)


def test_the_streams_fill_every_table_of_a_snapshot() -> None:
    """All but the order that is matching on: one that goes on in a later step needs a larger exchange than this."""
    counts: dict[str, int] = {}
    for seed in range(32, 52):
        matcher, stream = Matcher(limits=SMALL), stream_records(seed, count=1_000)
        for command in np.split(stream, command_starts(stream)[1:-1]):
            follow(matcher, command)
            counts = {name: max(counts.get(name, 0), len(table)) for name, table in matcher.export().items()}
        if sum(count == 0 for count in counts.values()) == 1:
            break
    assert [name for name, count in counts.items() if count == 0] == ["pending_order"]


@pytest.mark.parametrize("what", ["sweep", "amend", "cancel all"])
def test_a_snapshot_may_lie_within_a_continued_command(what: str, tmp_path: Path) -> None:
    scene = Scene(orders_per_account_max=5_000)
    scene.do_all(records_of([scene.desk.place(BOB, SELL, 100 + i % 9, 1) for i in range(2_500)]))
    resting = scene.rest(ALICE, BUY, 50, 1)
    desk = scene.desk
    command = {
        "sweep": lambda: desk.place(ALICE, BUY, 200, 2_400),
        "amend": lambda: desk.amend(ALICE, resting, price=200, quantity=2_600),
        "cancel all": lambda: desk.cancel_all(BOB),
    }[what]()
    continuations = [desk.go_on() for _ in range(2)]
    for record, command_number in zip([command, *continuations], range(3), strict=True):
        record["sequence"] = int(scene.matcher.state.root["command_sequence"]) + 1 + command_number
    start = write_snapshot(scene.matcher.state, tmp_path)
    original = Replayer(load_snapshot(start, LIMITS))
    first, rest = records_of([command]), records_of(continuations)
    list(original.apply(first))
    assert is_continuation_pending(original.state.address)
    loaded = Replayer(load_snapshot(write_snapshot(original.state, tmp_path), LIMITS))
    assert is_continuation_pending(loaded.state.address)
    assert events_of(loaded, rest) == events_of(original, rest)
    assert not is_continuation_pending(original.state.address)
    assert Matcher(state=loaded.state).state_hash() == Matcher(state=original.state).state_hash()


def events_of(replayer: Replayer, records: np.ndarray) -> bytes:
    return b"".join(events.tobytes() for events in replayer.apply(records))


def test_remembered_requests_and_references_survive(tmp_path: Path) -> None:
    scene = Scene()
    expires_ns = scene.desk.time_ns + 100
    order = scene.desk.place(ALICE, BUY, 100, 1, client_order_id="r", timestamp_us=1, expires_ns=expires_ns)
    booking = scene.desk.deposit(ALICE, 0, 5, "wire")
    scene.do(order)
    scene.do(booking)
    loaded = Matcher(state=load_snapshot(write_snapshot(scene.matcher.state, tmp_path), LIMITS))
    events = loaded.submit(records_of([order, booking]))
    assert events["kind"].tolist() == [7, 7] and int(events["order_id"][0]) == 1
    later = order | {"time_ns": expires_ns + 1, "expires_ns": expires_ns + 9}
    assert loaded.submit(records_of([later]))["kind"].tolist() == [6]  # forgotten; its id is still in use


def test_the_hash_does_not_know_the_room_of_the_tables(
    stream: np.ndarray, whole: tuple[bytes, str], tmp_path: Path
) -> None:
    small = Matcher(limits=SMALL)
    follow(small, stream)
    path = write_snapshot(small.state, tmp_path)
    roomy = Matcher(state=load_snapshot(path, ROOMY))
    assert roomy.state_hash() == small.state_hash() == whole[1]


def test_a_snapshot_brings_its_limits_along(tmp_path: Path) -> None:
    scene = Scene()
    lowered = replace(LIMITS, orders_max=1, references_max=12)
    assert scene.matcher.submit(set_limits(lowered))["kind"].tolist() == [EventKind.LIMITS]
    path = write_snapshot(scene.matcher.state, tmp_path)
    for state in (load_snapshot(path), load_snapshot(path, ROOMIER)):
        assert state.limits_in_force == lowered
        assert Matcher(state=state).state_hash() == scene.matcher.state_hash() != Scene().matcher.state_hash()


def test_a_use_beyond_the_limits_names_the_limit() -> None:
    scene = Scene()
    for price in (10, 11, 12):
        scene.rest(ALICE, BUY, price, 1)
    expires_ns = scene.desk.time_ns + 5
    for timestamp_us in (1, 2, 3):
        wanted = {"client_order_id": f"n{timestamp_us}", "timestamp_us": timestamp_us, "expires_ns": expires_ns}
        scene.do(scene.desk.place(ALICE, BUY, 10, 0, **wanted))
    state = scene.matcher.state
    state.check_use(LIMITS, scene.desk.time_ns)
    requests = ("requests_remembered_max", "requests_remembered_per_account_max")
    for name in ("orders_max", "levels_max", "balances_max", "references_max", "accounts_max", *requests):
        with pytest.raises(ValueError, match=rf"limits\.{name} is 2: raise the limit"):
            state.check_use(replace(LIMITS, **{name: 2}), scene.desk.time_ns)
    for name in requests:
        state.check_use(replace(LIMITS, **{name: 1}), expires_ns + 1)


# Damage.


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    scene = Scene()
    for price in (10, 11, 12):
        scene.rest(ALICE, BUY, price, 1, client_order_id=f"id {price}")
    return write_snapshot(scene.matcher.state, tmp_path)


def test_any_damaged_byte_is_refused(snapshot: Path) -> None:
    good = snapshot.read_bytes()
    places = [*range(HEADER_BYTES), *range(HEADER_BYTES, len(good), 97), len(good) - 1]
    for place in places:
        damaged = bytearray(good)
        damaged[place] ^= 0x10
        snapshot.write_bytes(damaged)
        with pytest.raises(SnapshotCorrupt, match=snapshot.name):
            read_snapshot(snapshot)


def test_a_cut_or_grown_file_is_refused(snapshot: Path) -> None:
    good = snapshot.read_bytes()
    for bad in (b"", good[:10], good[: HEADER_BYTES - 1], good[:HEADER_BYTES], good[:-1], good + b"\0"):
        snapshot.write_bytes(bad)
        with pytest.raises(SnapshotCorrupt, match=snapshot.name):
            read_snapshot(snapshot)


def with_manifest(raw: bytes, change: Callable[[Any], Any]) -> bytes:
    """The snapshot with another manifest, and a checksum that is right for it."""
    header = np.frombuffer(raw[:HEADER_BYTES], HEADER)[0]
    end = HEADER_BYTES + int(header["manifest_bytes"])
    manifest = change(json.loads(raw[HEADER_BYTES:end]))
    text = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    text += b" " * (-len(text) % 8)
    return np.array([(MAGIC, len(text), crc32c(text))], HEADER).tobytes() + text + raw[end:]


def changed_table(manifest: Any, **values: Any) -> Any:
    tables = manifest["tables"]
    return manifest | {"tables": [tables[0] | values, *tables[1:]]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: b"no json", "manifest"),
        (lambda m: b"\xff\xfe", "manifest"),
        (lambda m: [], "manifest"),
        (lambda m: {}, "manifest"),
        (lambda m: m | {"tables": {}}, "laid out otherwise"),
        (lambda m: m | {"tables": m["tables"][:-1]}, "laid out otherwise"),
        (lambda m: m | {"tables": [*m["tables"], m["tables"][0]]}, "laid out otherwise"),
        (lambda m: m | {"snapshot": 99}, "snapshot format 99"),
        (lambda m: m | {"schema": 99}, "schema 99"),
        (lambda m: changed_table(m, name="other"), "laid out otherwise"),
        (lambda m: changed_table(m, layout=[]), "laid out otherwise"),
        (lambda m: changed_table(m, count=2), "the manifest says"),
        (lambda m: changed_table(m, count=-1), "manifest"),
        (lambda m: changed_table(m, count="1"), "manifest"),
        (lambda m: changed_table(m, checksum=m["tables"][0]["checksum"] ^ 1), "checksum of its 1 counters"),
        (lambda m: changed_table(m, checksum=None), "manifest"),
    ],
)
def test_a_malformed_manifest_is_refused(snapshot: Path, change: Callable[[Any], Any], message: str) -> None:
    snapshot.write_bytes(with_manifest(snapshot.read_bytes(), change))
    with pytest.raises(SnapshotCorrupt, match=message):
        read_snapshot(snapshot)


def test_an_unchanged_manifest_is_read(snapshot: Path) -> None:
    before = read_snapshot(snapshot)
    snapshot.write_bytes(with_manifest(snapshot.read_bytes(), lambda manifest: manifest))
    after = read_snapshot(snapshot)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_the_newest_sound_snapshot_is_taken(tmp_path: Path) -> None:
    assert newest_valid_snapshot(tmp_path / "nowhere") == (None, {}, [])
    scene = Scene()
    paths = []
    for price in (10, 11, 12):
        scene.rest(ALICE, BUY, price, 1)
        paths.append(write_snapshot(scene.matcher.state, tmp_path))
    assert snapshot_paths(tmp_path) == paths
    assert newest_valid_snapshot(tmp_path)[0] == paths[2]
    paths[2].write_bytes(b"")
    paths[1].write_bytes(paths[1].read_bytes()[:-1])
    path, tables, complaints = newest_valid_snapshot(tmp_path)
    assert path == paths[0] and len(tables["orders"]) == 1
    assert [paths[2].name in complaints[0], paths[1].name in complaints[1]] == [True, True]


# Recovery.


@pytest.fixture
def journal(tmp_path: Path, stream: np.ndarray) -> Path:
    directory = tmp_path / "journal"
    with JournalWriter(directory, durability=Durability.OS, segment_records=256) as writer:
        writer.append(stream)
    return directory


@pytest.mark.parametrize("cuts", [(), (217,), (100, 217), (399,)])
@pytest.mark.parametrize("later_limits", [ROOMY, ROOMIER])
def test_recovery_gives_the_state_of_the_whole_journal(
    cuts: tuple[int, ...], later_limits: Limits, stream: np.ndarray, journal: Path, tmp_path: Path
) -> None:
    """Also with more room than there was, though its limits, which it names, were met."""
    matcher, done, paths, expected = Matcher(limits=ROOMY), 0, [None], b""
    for cut in (*cuts, len(stream)):
        cut = command_at(stream, cut)
        if done:
            paths.append(write_snapshot(matcher.state, tmp_path / "snapshots"))
        expected = follow(matcher, stream[done:cut])
        tail, done = cut - done, cut
    events: list[bytes] = []
    state, report = recover_state(
        tmp_path / "snapshots", journal, later_limits, on_events=lambda batch: events.append(batch.tobytes())
    )
    assert b"".join(events) == expected
    assert Matcher(state=state).state_hash() == matcher.state_hash()
    assert (report.snapshot, report.commands, report.complaints) == (paths[-1], tail, [])


@pytest.mark.parametrize("cut", [None, 9, 12, 17])
@pytest.mark.parametrize("limits", [Limits(*[1] * 10), ROOMY, Limits()])
def test_a_journal_needs_no_limits_but_its_own(cut: int | None, limits: Limits, tmp_path: Path) -> None:
    """Its limits are met, raised, met again and lowered; a snapshot before command `cut` or none; any settings."""
    desk, live = Desk(), Matcher(limits=LIMITS)
    few, more = (replace(LIMITS, orders_max=number, levels_max=number) for number in (2, 4))
    commands = [desk.limits(few), desk.asset("BTC", 8), desk.asset("USDT", 8), desk.market(), desk.account("alice")]
    commands += [desk.deposit(ALICE, USDT, 10**12)]
    commands += [desk.place(ALICE, BUY, price, 1) for price in (10, 11, 12)]
    commands += [desk.limits(more), *(desk.place(ALICE, BUY, price, 1) for price in (13, 14, 15))]
    commands += [
        desk.cancel_all(ALICE),
        desk.limits(few),
        *(desk.place(ALICE, BUY, price, 1) for price in (16, 17, 18)),
    ]
    for number, command in enumerate(commands, start=1):
        if number == cut:
            write_snapshot(live.state, tmp_path / "snapshots")
        live.submit(records_of([command]))
    with JournalWriter(tmp_path / "journal", durability=Durability.OS) as writer:
        writer.append(records_of(commands))
    state, _ = recover_state(tmp_path / "snapshots", tmp_path / "journal", limits)
    assert state.limits_in_force == few and state.pools["order_pool"].used == 2
    assert state_hash(state) == live.state_hash() == replay_directory(tmp_path).state_hash


def test_recovery_passes_over_a_bad_snapshot_and_says_so(
    stream: np.ndarray, whole: tuple[bytes, str], journal: Path, tmp_path: Path
) -> None:
    matcher = Matcher(limits=SMALL)
    done = command_at(stream, 200)
    follow(matcher, stream[:done])
    write_snapshot(matcher.state, tmp_path / "snapshots").write_bytes(b"rubbish")
    state, report = recover_state(tmp_path / "snapshots", journal, SMALL)
    assert Matcher(state=state).state_hash() == whole[1]
    assert report.snapshot is None and report.commands == len(stream) and len(report.complaints) == 1


def test_a_replayer_passes_over_what_it_knows_and_misses_nothing(
    stream: np.ndarray, whole: tuple[bytes, str], journal: Path
) -> None:
    replayer = Replayer(State(SMALL))
    events = b""
    with JournalReader(journal) as reader:
        batches = list(reader.read(1))
    events += b"".join(events_of(replayer, batch) for batch in batches)
    assert (events, Matcher(state=replayer.state).state_hash()) == whole
    assert events_of(replayer, batches[0]) == b""
    with pytest.raises(ValueError, match="some are missing"):
        events_of(Replayer(State(SMALL)), stream[1:])


def test_the_journal_holds_its_own_continuations(tmp_path: Path) -> None:
    """A live matcher's commands with the CONTINUE records that its sequencer put in, journaled and recovered."""
    scene = Scene(orders_per_account_max=5_000)
    desk = scene.desk
    commands = [desk.place(BOB, SELL, 100, 1) for _ in range(1_500)]
    first = int(scene.matcher.state.root["command_sequence"]) + 1
    commands += [desk.place(ALICE, BUY, 100, 1_500), desk.go_on()]
    for number, command in enumerate(commands):
        command["sequence"] = first + number
    start = write_snapshot(scene.matcher.state, tmp_path / "snapshots")
    with JournalWriter(tmp_path / "journal", next_sequence=first, durability=Durability.OS) as writer:
        writer.append(records_of(commands))
    state, report = recover_state(tmp_path / "snapshots", tmp_path / "journal", LIMITS)
    live = Matcher(state=load_snapshot(start, LIMITS))
    live.submit(records_of([c for c in commands if c["kind"] != CommandKind.CONTINUE]))
    assert Matcher(state=state).state_hash() == live.state_hash()
    assert report.commands == len(commands) and len(live.orders(0)) == 0
