"""The replayer of recorded market data: reading, conversion, comparison, and one real day through the engine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import databento_dbn
import numpy as np
import pytest
import zstandard
from click.testing import CliRunner
from exchange import Exchange, running

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

import replay_day
from local_exchange import LocalExchange
from marketreplay.client import ExchangeError, ReplayClient
from marketreplay.compare import Difference, Outcome, compare
from marketreplay.convert import Conversion, Converter
from marketreplay.databento import read_databento
from marketreplay.drive import command_records, run_in_process
from marketreplay.instrument import Instrument, instrument_of
from marketreplay.intention import Cause, Fill, Intention, Kind
from marketreplay.lobster import read_lobster
from marketreplay.mbo import FLAG_LAST, FLAG_SNAPSHOT, MBO, PRICE_ONE, RTYPE_MBO

from ringex.config import Durability
from ringex.configfile import load_settings
from ringex.engine import Matcher
from ringex.journal import JournalReader, JournalWriter
from ringex.terms import CommandKind, TimeInForce

ROOT = Path(__file__).resolve().parent.parent
DAY_CONFIG = ROOT / "tools" / "marketreplay" / "esh4.toml"
DAY = Path(os.environ.get("RINGEX_DAY", ROOT.parent / "shared" / "data" / "esh4-20231225.mbo.dbn.zst"))
CENT = PRICE_ONE // 100


def recording(text: str) -> np.ndarray:
    """MBO records from lines of `action side price quantity order`; `.` at the end ends the event, `s`: snapshot."""
    lines = [line.split() for line in text.strip().splitlines()]
    records = np.zeros(len(lines), MBO)
    records["length"], records["rtype"], records["instrument"] = MBO.itemsize // 4, RTYPE_MBO, 7
    flags = {"": 0, ".": FLAG_LAST, "s": FLAG_SNAPSHOT | 8}
    for i, (record, line) in enumerate(zip(records, lines, strict=True)):
        action, side, price, quantity, order_id = line[:5]
        record["action"], record["side"] = action.encode(), side.encode()
        record["price"] = round(float(price) * 100) * CENT
        record["quantity"], record["order_id"] = int(quantity), int(order_id)
        record["flag_bits"] = flags[line[5] if len(line) > 5 else ""]
        record["event_ns"] = record["sequence"] = i
    return records


def asked(conversion: Conversion) -> list[tuple[str, int, str, float, int]]:
    """Every intention in short: kind, order, side, price, quantity."""
    return [
        (i.kind.name, i.order_id, "B" if i.bid else "A", i.price / PRICE_ONE, i.quantity) for i in conversion.intentions
    ]


def fills(intention: Intention) -> list[list[tuple[int, float, int]]]:
    return [[(fill.maker, fill.price / PRICE_ONE, fill.quantity) for fill in trade] for trade in intention.trades]


def test_a_trade_is_an_ioc_and_what_books_it_is_no_message() -> None:
    result = Converter().convert(
        recording(
            """
            A A 10.25 2 1 .
            A A 10.25 5 2 .
            T B 10.25 4 9
            F A 10.25 2 1
            F A 10.25 2 2
            C A 10.25 2 1
            M A 10.25 3 2 .
            """
        )
    )
    assert asked(result) == [
        ("REST", 1, "A", 10.25, 2),
        ("REST", 2, "A", 10.25, 5),
        ("TAKE", 9, "B", 10.25, 4),
    ]
    assert fills(result.intentions[2]) == [[(1, 10.25, 2), (2, 10.25, 2)]]
    assert result.trades == 1
    assert not result.trades_not_asked


def test_trades_of_one_aggressor_at_worsening_prices_are_one_order() -> None:
    result = Converter().convert(
        recording(
            """
            A A 10.25 2 1 .
            A A 10.50 5 2 .
            T B 10.25 2 9
            F A 10.25 2 1
            T B 10.50 1 9
            F A 10.50 1 2
            T B 10.50 1 8
            F A 10.50 1 2
            C A 10.25 2 1
            M A 10.50 3 2 .
            """
        )
    )
    assert asked(result)[2:] == [("TAKE", 9, "B", 10.5, 3), ("TAKE", 8, "B", 10.5, 1)]
    assert fills(result.intentions[2]) == [[(1, 10.25, 2)], [(2, 10.5, 1)]]


def test_an_aggressor_whose_rest_is_added_was_gtc() -> None:
    result = Converter().convert(
        recording(
            """
            A A 10.25 2 1 .
            T B 10.25 2 9
            F A 10.25 2 1
            A B 10.25 3 9
            C A 10.25 2 1 .
            C B 10.25 3 9 .
            """
        )
    )
    assert asked(result)[1:] == [("REST", 9, "B", 10.25, 5), ("CANCEL", 9, "B", 0, 0)]


def test_an_aggressor_that_rested_was_amended_through_the_spread() -> None:
    """Its total counts what it executed before; the fill on its own side names itself."""
    result = Converter().convert(
        recording(
            """
            A B 10.00 4 9 .
            T A 10.00 1 5
            F B 10.00 1 9
            M B 10.00 3 9 .
            A A 10.25 2 1 .
            T B 10.25 2 9
            F B 10.25 2 9
            F A 10.25 2 1
            C A 10.25 2 1
            M B 10.25 1 9 .
            """
        )
    )
    assert asked(result)[-1] == ("AMEND", 9, "B", 10.25, 4)
    assert fills(result.intentions[-1]) == [[(1, 10.25, 2)]]


def test_a_partial_cancel_amends_the_total_down() -> None:
    result = Converter().convert(
        recording(
            """
            A B 10.00 4 9 .
            T A 10.00 1 5
            F B 10.00 1 9
            C B 10.00 1 9 .
            C B 10.00 2 9 .
            """
        )
    )
    assert asked(result)[1:] == [("TAKE", 5, "A", 10.0, 1), ("AMEND", 9, "B", 10.0, 2)]


def test_a_resting_order_that_makes_way_is_cancelled_before_the_aggressor() -> None:
    result = Converter().convert(
        recording(
            """
            A A 10.25 1 1 .
            A A 10.25 1 2 .
            T B 10.25 1 9
            F A 10.25 1 2
            C A 10.25 1 2
            C A 10.25 1 1 .
            """
        )
    )
    assert asked(result)[2:] == [("CANCEL", 1, "A", 0, 0), ("TAKE", 9, "B", 10.25, 1)]


def test_an_iceberg_shows_what_it_is_filled_for_and_then_its_next_part() -> None:
    result = Converter().convert(
        recording(
            """
            A A 10.25 2 1 .
            T B 10.25 7 9
            F A 10.25 7 1
            M A 10.25 1 1 .
            C A 10.25 1 1 .
            """
        )
    )
    assert asked(result)[1:] == [
        ("AMEND", 1, "A", 10.25, 7),
        ("TAKE", 9, "B", 10.25, 7),
        ("REST", 1, "A", 10.25, 1),
        ("CANCEL", 1, "A", 0, 0),
    ]
    assert result.reserves_shown == 1


def test_all_up_to_the_uncross_is_one_opening_book_in_order_of_priority() -> None:
    result = Converter().convert(
        recording(
            """
            A A 10.25 2 1 s
            A A 10.25 2 2 s
            M A 10.25 3 1 .
            A B 10.50 1 3 .
            A B 10.00 4 4 .
            C B 10.00 1 4 .
            T N 10.25 1 0
            F N 10.25 1 3
            F N 10.25 1 2
            C B 10.50 1 3
            C A 10.25 1 2 .
            """
        )
    )
    assert asked(result) == [("REST", 2, "A", 10.25, 1), ("REST", 1, "A", 10.25, 3), ("REST", 4, "B", 10.0, 3)]
    assert result.opening == 3
    assert (result.trades_not_asked[Cause.UNCROSS], result.fills_not_asked[Cause.UNCROSS]) == (1, 2)


def test_a_trade_that_names_no_resting_order_is_counted_not_skipped() -> None:
    result = Converter().convert(
        recording(
            """
            A A 10.25 2 1 .
            T B 10.25 2 9 .
            T B 10.25 1 9
            F A 10.25 1 77 .
            T N 10.25 1 0
            F N 10.25 1 1
            C A 10.25 1 1 .
            """
        )
    )
    assert result.trades == 3
    assert result.trades_not_asked == {Cause.NOT_NAMED: 1, Cause.UNKNOWN_MAKER: 1, Cause.UNCROSS: 1}
    assert asked(result)[1:] == [("AMEND", 1, "A", 10.25, 1)], "what an auction took is taken off all the same"


def _conversion(*trades: list[Fill]) -> Conversion:
    return Conversion([Intention(Kind.TAKE, 9, True, 100, 9, list(trades))], trades=len(trades))


def test_comparison_names_each_difference() -> None:
    a, b, c = Fill(1, 100, 1), Fill(2, 100, 1), Fill(3, 100, 2)
    assert compare(_conversion([a, b], [c]), Outcome({0: [a, b, c]}, {}, True)).trades_matched == 2
    moved = compare(_conversion([b, c, a]), Outcome({0: [a, b, c]}, {}, True))
    assert moved.trades_differing == {Difference.LISTED_LAST: 1}
    assert moved.explained
    for recorded, actual in (
        ([c, a, b], [a, b, c]),  # not the last one is out of place
        ([a, b], [a]),
        ([a, b], [a, Fill(2, 100, 2)]),
        ([a], []),
    ):
        other = compare(_conversion(recorded), Outcome({0: actual}, {}, True))
        assert other.trades_differing[Difference.OTHER] == 1
        assert not other.explained
    more = compare(_conversion([a]), Outcome({0: [a, b]}, {}, True))
    assert more.trades_differing == {Difference.UNEXPECTED: 1}
    assert not more.explained
    assert not compare(_conversion([a]), Outcome({0: [a]}, {0: "UNKNOWN_ORDER"}, True)).explained
    assert not compare(_conversion([a]), Outcome({0: [a]}, {}, False)).explained


def _dbn(path: Path, records: np.ndarray, *, compressed: bool) -> Path:
    metadata = databento_dbn.Metadata(
        dataset="GLBX.MDP3",
        start=0,
        stype_in=databento_dbn.SType.RAW_SYMBOL,
        stype_out=databento_dbn.SType.INSTRUMENT_ID,
        schema=databento_dbn.Schema.MBO,
        symbols=["TEST"],
        partial=[],
        not_found=[],
        mappings=[],
    )
    raw = metadata.encode() + records.tobytes()
    path.write_bytes(zstandard.compress(raw) if compressed else raw)
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_a_dbn_file_is_read_as_databento_reads_it(tmp_path: Path, compressed: bool) -> None:
    written = recording("A A 10.25 2 1 .\nT B 10.25 2 9\nF A 10.25 2 1\nC A 10.25 2 1 .")
    path = _dbn(tmp_path / "day.dbn", written, compressed=compressed)
    read = read_databento(path)
    assert np.array_equal(read, written)
    decoder = databento_dbn.DBNDecoder()
    raw = path.read_bytes()
    decoder.write(zstandard.decompress(raw) if compressed else raw)
    peers = [record for record in decoder.decode() if isinstance(record, databento_dbn.MBOMsg)]
    for ours, peer in zip(read, peers, strict=True):
        assert ours["order_id"] == peer.order_id
        assert ours["price"] == peer.price
        assert ours["quantity"] == peer.size
        assert ours["action"].decode() == str(peer.action)
        assert ours["side"].decode() == str(peer.side)
        assert ours["sequence"] == peer.sequence
        assert ours["event_ns"] == peer.ts_event


def test_a_dbn_file_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    path = tmp_path / "day.dbn"
    path.write_bytes(b"time,type\n")
    with pytest.raises(ValueError, match="is not a DBN file"):
        read_databento(path)
    records = recording("A A 10.25 2 1 .\nA A 10.25 2 2 .")
    records["instrument"][1] = 8
    with pytest.raises(ValueError, match="2 instruments; choose one by --instrument: 7, 8"):
        read_databento(_dbn(path, records, compressed=False))
    assert read_databento(path, 8)["order_id"].tolist() == [2]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match="does not fit into the file"):
        read_databento(path, 8)
    path.write_bytes(_dbn(path, records, compressed=True).read_bytes()[:30])
    with pytest.raises(ValueError, match="is not a DBN file"):
        read_databento(path, 8)


LOBSTER = """\
34200.1,1,20,100,1000000,-1
34200.2,4,11,50,1000000,-1
34200.2,4,20,30,1000000,-1
34200.2,1,21,10,1000000,1
34200.3,5,0,40,999900,1
34200.4,2,11,25,1000000,-1
34200.5,7,0,0,-1,-1
34200.6,3,20,70,1000000,-1
34200.7,6,0,500,1000000,-1
"""


def test_a_lobster_file_becomes_the_same_messages(tmp_path: Path) -> None:
    """Order 11 was there before the file begins, with what is taken from it; lines of one time are one aggressor."""
    path = tmp_path / "day.csv"
    path.write_text(LOBSTER)
    result = Converter().convert(read_lobster(path))
    taker = result.intentions[2].order_id
    assert asked(result) == [
        ("REST", 11, "A", 100.0, 75),
        ("REST", 20, "A", 100.0, 100),
        ("TAKE", taker, "B", 100.0, 80),
        ("REST", 21, "B", 100.0, 10),
        ("CANCEL", 11, "A", 0.0, 0),
        ("CANCEL", 20, "A", 0.0, 0),
    ]
    assert fills(result.intentions[2]) == [[(11, 100.0, 50)], [(20, 100.0, 30)]]
    assert result.trades_not_asked == {Cause.NOT_NAMED: 1, Cause.UNCROSS: 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("34200.1,1,20,100,1000000", "line 1: has 5 fields"),
        ("34200.1,8,20,100,1000000,1", "line 1: type is 8; it must be 1 to 7"),
        ("34200.1,1,20,100,1000000,0", "line 1: direction is 0; it must be 1 or -1"),
        ("34200.1,1,20,0,1000000,1", "line 1: size is 0"),
        ("noon,1,20,1,1000000,1", "line 1: invalid literal"),
        ("", "is empty"),
    ],
)
def test_a_lobster_file_that_cannot_be_used_says_why(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "day.csv"
    path.write_text(line)
    with pytest.raises(ValueError, match=message):
        read_lobster(path)


def test_the_market_fits_the_recording_and_its_configuration_says_the_same(tmp_path: Path) -> None:
    instrument = instrument_of(recording("A A 10.25 2 1 .\nA A 11.50 2 2 ."), "TEST", "SHARE", "USD")
    market = instrument.market
    assert (market.price_scale, market.tick, market.price_max, instrument.quote.scale) == (2, 25, 10_000, 2)
    path = tmp_path / "test.toml"
    path.write_text(instrument.config())
    read, made = load_settings(path), instrument.settings(tmp_path)
    assert (read.assets, read.markets, read.accounts) == (made.assets, made.markets, made.accounts)
    with pytest.raises(ValueError, match="prices of zero or below"):
        instrument_of(recording("A A -1.00 2 1 ."), "TEST", "SHARE", "USD")


SMALL_DAY = """
    A A 10.25 2 1 s
    A A 10.50 5 2 s
    A B 10.00 4 3 s
    A B 9.75 6 4 s
    T B 10.25 2 9
    F A 10.25 2 1
    T B 10.50 2 9
    F A 10.50 2 2
    C A 10.25 2 1
    M A 10.50 3 2 .
    T A 10.00 4 8
    F B 10.00 4 3
    A A 10.00 2 8
    C B 10.00 4 3 .
    T B 10.00 2 4
    F B 10.00 2 4
    F A 10.00 2 8
    M B 10.00 4 4
    C A 10.00 2 8 .
    M B 10.25 4 4 .
    T A 10.25 9 7
    F B 10.25 9 4
    M B 10.25 1 4 .
    C A 10.50 1 2 .
    C A 10.50 2 2 .
    """


def test_a_small_day_through_the_engine_gives_the_recorded_fills() -> None:
    records = recording(SMALL_DAY)
    result = Converter().convert(records)
    instrument = instrument_of(records, "TEST", "SHARE", "USD")
    run = run_in_process(result.intentions, instrument)
    comparison = compare(result, run.outcome)
    assert comparison.explained, comparison.examples
    assert (comparison.trades_expected, comparison.trades_matched) == (5, 5)
    assert (comparison.fills_expected, comparison.fills_matched) == (5, 5)
    taken = next(i for i in result.intentions if i.order_id == 7)
    taken.trades[0][0] = Fill(4, taken.trades[0][0].price, 8)
    assert not compare(result, run.outcome).explained, "one lot less recorded than filled"


def test_what_did_not_rest_is_sent_as_ioc() -> None:
    records = recording(SMALL_DAY)
    intentions = Converter().convert(records).intentions
    sent = command_records(intentions, instrument_of(records, "TEST", "SHARE", "USD"))
    by_kind = {
        Kind.REST: (CommandKind.PLACE, TimeInForce.GTC),
        Kind.TAKE: (CommandKind.PLACE, TimeInForce.IOC),
        Kind.AMEND: (CommandKind.AMEND, 0),
        Kind.CANCEL: (CommandKind.CANCEL, 0),
    }
    expected = [by_kind[intention.kind] for intention in intentions]
    assert list(zip(sent["kind"].tolist(), sent["time_in_force"].tolist(), strict=True)) == expected


def test_the_engine_s_refusals_are_reported() -> None:
    records = recording(SMALL_DAY)
    result = Converter().convert(records)
    result.intentions.append(Intention(Kind.CANCEL, 12345, True))
    comparison = compare(result, run_in_process(result.intentions, instrument_of(records, "TEST", "A", "B")).outcome)
    assert comparison.refused == {"UNKNOWN_ORDER": 1}
    assert not comparison.explained


def test_the_command_line_replays_and_reports(tmp_path: Path) -> None:
    path = _dbn(tmp_path / "day.dbn.zst", recording(SMALL_DAY), compressed=True)
    run = CliRunner().invoke(replay_day.main, [str(path), "--in-process"])
    assert run.exit_code == 0, run.output
    assert "every difference has a known cause" in run.output


def _key(exchange: Exchange) -> tuple[str, str]:
    made = exchange.command("key", "create", "--account", "replay", "--data", str(exchange.data))
    assert made.returncode == 0, made.stderr
    key = exchange.keys()[-1]
    return key["api_key"], key["secret"]


def _over_zeromq(exchange: Exchange, conversion: Conversion, instrument: Instrument, *, binary: bool) -> Outcome:
    seen: list[int] = []
    with ReplayClient(exchange.zmq_endpoint, *_key(exchange)) as client:
        market = client.prepare(instrument)
        if binary:
            outcome = client.replay_binary(conversion.intentions, instrument, market, seen.append)
        else:
            outcome = client.replay(conversion.intentions, instrument, seen.append)
    assert seen[-1] == len(conversion.intentions)
    return outcome


@pytest.mark.parametrize("binary", [False, True])
def test_one_command_replays_through_an_exchange_of_its_own_and_its_journal(tmp_path: Path, binary: bool) -> None:
    path = _dbn(tmp_path / "day.dbn.zst", recording(SMALL_DAY), compressed=True)
    run = CliRunner().invoke(replay_day.main, [str(path), "--start", *(["--binary"] if binary else [])])
    assert run.exit_code == 0, run.output
    assert "every difference has a known cause" in run.output
    events = len(run_in_process(*_small_day()).events) - SEED_EVENTS
    assert f"{events} of {events}" in run.output


SEED_EVENTS = 7
"""The limits, two assets, a market, an account, two deposits."""


def _small_day() -> tuple[list[Intention], Instrument]:
    records = recording(SMALL_DAY)
    return Converter().convert(records).intentions, instrument_of(records, "ESH4", "ES", "USD")


def test_an_exchange_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    records = recording(SMALL_DAY)
    conversion = Converter().convert(records)
    instrument = instrument_of(records, "TEST", "SHARE", "USD")
    other = instrument_of(recording("A A 10.10 2 1 ."), "TEST", "SHARE", "USD")
    config = tmp_path / "small.toml"
    config.write_text(instrument.config())
    with ReplayClient(f"ipc://{tmp_path}/nobody", "", "") as client, pytest.raises(ExchangeError, match="ringex start"):
        client.prepare(instrument)
    with running(tmp_path, "--config", str(config)) as exchange:
        key, secret = _key(exchange)
        for client, asked, why in (
            (ReplayClient(exchange.zmq_endpoint, key, secret), other, "has tick 0.25"),
            (
                ReplayClient(exchange.zmq_endpoint, key, secret),
                instrument_of(records, "NONE", "SHARE", "USD"),
                "has no market NONE, but TEST",
            ),
            (ReplayClient(exchange.zmq_endpoint, "x" * 64, secret), instrument, "key create --account replay"),
            (ReplayClient(exchange.zmq_endpoint, key, "wrong"), instrument, "key create --account replay"),
        ):
            with client, pytest.raises(ExchangeError, match=why):
                client.prepare(asked)
        assert compare(conversion, _over_zeromq(exchange, conversion, instrument, binary=False)).explained
        with (
            ReplayClient(exchange.zmq_endpoint, key, secret) as client,
            pytest.raises(ExchangeError, match="empty book"),
        ):
            client.prepare(instrument)


def test_an_exchange_of_one_s_own_goes_away_with_its_directory() -> None:
    with LocalExchange() as exchange:
        folder = exchange.data.parent
        assert exchange.settings.markets
        assert folder.is_dir()
    assert not folder.exists()


@pytest.fixture(scope="module")
def day() -> tuple[np.ndarray, Conversion]:
    if not DAY.is_file():
        pytest.skip(f"the recorded day is not there: {DAY} (set RINGEX_DAY to its path)")
    records = read_databento(DAY)
    return records, Converter().convert(records)


def test_the_recorded_day_gives_the_recorded_fills(day: tuple[np.ndarray, Conversion]) -> None:
    """The same resting order for the same size in the same order; the exceptions are these and no others."""
    records, conversion = day
    run = run_in_process(conversion.intentions, instrument_of(records, "ESH4", "ES", "USD"))
    comparison = compare(conversion, run.outcome)
    assert comparison.explained, comparison.examples
    assert conversion.trades == 2973
    assert conversion.trades_not_asked == {Cause.UNCROSS: 1}
    assert (comparison.trades_expected, comparison.trades_matched) == (2972, 2941)
    assert comparison.trades_differing == {Difference.LISTED_LAST: 31}
    assert (comparison.fills_expected, comparison.fills_matched) == (6229, 6084)
    assert sum(conversion.messages.values()) == len(records)


def test_the_day_twice_and_from_the_journal_is_the_same(day: tuple[np.ndarray, Conversion], tmp_path: Path) -> None:
    records, conversion = day
    instrument = instrument_of(records, "ESH4", "ES", "USD")
    first, second = (run_in_process(conversion.intentions, instrument) for _ in range(2))
    assert first.events.tobytes() == second.events.tobytes()
    assert first.state_hash == second.state_hash
    with JournalWriter(tmp_path, durability=Durability.OS) as writer:
        assert writer.append(first.commands) == len(first.commands)
    matcher = Matcher(limits=instrument.settings(tmp_path).limits)
    with JournalReader(tmp_path) as reader:
        replayed = b"".join(matcher.submit(batch).tobytes() for batch in reader.read(1))
    assert replayed == first.events.tobytes()
    assert matcher.state_hash() == first.state_hash


@pytest.mark.parametrize("binary", [False, True])
def test_the_day_s_morning_over_a_running_exchange_gives_the_same_fills(
    day: tuple[np.ndarray, Conversion], tmp_path: Path, binary: bool
) -> None:
    records, _ = day
    conversion = Converter().convert(records[:MORNING_RECORDS])
    instrument = instrument_of(records, "ESH4", "ES", "USD")
    with running(tmp_path, "--config", str(DAY_CONFIG)) as exchange:
        outcome = _over_zeromq(exchange, conversion, instrument, binary=binary)
    comparison = compare(conversion, outcome)
    assert comparison.explained, comparison.examples
    assert (comparison.trades_expected, comparison.trades_matched) == (MORNING_TRADES, MORNING_TRADES)
    assert outcome.fills == run_in_process(conversion.intentions, instrument).outcome.fills


MORNING_RECORDS = 12_000
MORNING_TRADES = 121


def test_the_ready_configuration_fits_the_recorded_day(day: tuple[np.ndarray, Conversion], tmp_path: Path) -> None:
    made = instrument_of(day[0], "ESH4", "ES", "USD").settings(tmp_path)
    read = load_settings(DAY_CONFIG)
    assert (read.assets, read.markets, read.accounts) == (made.assets, made.markets, made.accounts)


def test_the_command_line_says_what_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    path.write_text("nonsense\n")
    run = CliRunner().invoke(replay_day.main, [str(path), "--in-process"])
    assert (run.exit_code, "line 1: has 1 fields" in run.output) == (replay_day.UNUSABLE, True)
    run = CliRunner().invoke(replay_day.main, [str(path)])
    assert "choose one of --start, --in-process, --endpoint and --config-out" in run.output
    run = CliRunner().invoke(replay_day.main, [str(path), "--endpoint", "tcp://127.0.0.1:1"])
    assert "--endpoint needs --key and --secret" in run.output
