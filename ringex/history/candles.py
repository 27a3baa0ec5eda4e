"""Candles in memory: of every market the last seconds, minutes, hours and months, and what follows from them.

Candles are made of TRADE events and their time alone; there is no clock. Four layers are kept, each a ring of the
last candles in which anything was traded; a candle of any interval, and a rolling window, is summed from them:

    interval asked for        from the layer of    which holds the last, at least
    1s                        seconds                 128 s
    1m 3m 5m 15m 30m          minutes               1,500 min: a day and more
    1h to 1w                  hours                   192 h: a week and more
    1M                        months                    4 months
    a window                  minutes, then hours

What is older is in the history store. A market costs 120 bytes for each candle that was traded in, 219 KB at most. A
trade costs 33 ns in all. A rolling day is read in 9 µs from Python, those of 5,000 markets that traded in every minute
at once in 1.4 µs each (an EPYC core).

Sums of quantities and of quote amounts can pass 63 bits (a month's turnover in units of 1e-8), so each has two words:
sum = `high` x 2^62 + `low`, with 0 <= low < 2^62. Python sees one number.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from ringex.history.intervals import HOUR_NS, MINUTE_NS, Interval, interval_end, interval_open, open_of
from ringex.jit import compiled, entry, inlined, int64
from ringex.memory import address_of, record_at, zero_bytes
from ringex.messages import EVENT, RECORD_BYTES, TRADE
from ringex.terms import EventKind, Side

SECONDS_KEPT: Final = 128
MINUTES_KEPT: Final = 1500
HOURS_KEPT: Final = 192
MONTHS_KEPT: Final = 4
WORD: Final = 1 << 62
TIME_MAX: Final = (1 << 63) - 1

CANDLE: Final = np.dtype(
    [
        ("open_ns", "i8"),  # when its interval begins
        ("end_ns", "i8"),  # when it ends; not part of it
        ("open", "i8"),  # price of the first trade
        ("high", "i8"),
        ("low", "i8"),
        ("close", "i8"),  # price of the last trade
        ("first_trade_id", "i8"),
        ("last_trade_id", "i8"),  # trade ids have no gaps: there were last - first + 1 trades
        ("volume", "i8"),  # low words of the sums: traded quantity
        ("quote_volume", "i8"),  # quote amount
        ("buy_volume", "i8"),  # the part of it in which the taker bought
        ("buy_quote_volume", "i8"),
        ("volume_high", "i4"),
        ("quote_volume_high", "i4"),
        ("buy_volume_high", "i4"),
        ("buy_quote_volume_high", "i4"),
        ("market", "i8"),
    ],
    align=True,
)
INTERVAL_CANDLE: Final = np.dtype([*((n, CANDLE[n]) for n in CANDLE.names or ()), ("interval", "i8")])
CANDLES: Final = np.dtype(
    [
        ("layers", "i8"),  # address of LAYER records, four for each market, by market number
        ("markets_max", "i8"),
        ("markets_count", "i8"),
    ],
    align=True,
)
LAYER: Final = np.dtype([("ring", "i8"), ("count", "i8")], align=True)
"""One layer of one market: the address of its ring of CANDLE records, and how many candles there have ever been."""

LAYERS: Final = 4
_SECONDS, _MINUTES, _HOURS, _MONTHS = range(LAYERS)
_INTERVALS: Final = tuple(map(int, (Interval.SECOND_1, Interval.MINUTE_1, Interval.HOUR_1, Interval.MONTH_1)))
_KEPT: Final = (SECONDS_KEPT, MINUTES_KEPT, HOURS_KEPT, MONTHS_KEPT)
_NUMBER: Final = np.dtype([("number", "i8")])
CANDLES_PER_MARKET_MAX: Final = sum(_KEPT)
_CANDLE_BYTES: Final = CANDLE.itemsize


class Candle(NamedTuple):
    """What was traded between `open_ns` and `end_ns`; units of the market. Nothing at all: `trade_count` is 0."""

    open_ns: int
    end_ns: int
    open: int
    high: int
    low: int
    close: int
    first_trade_id: int
    last_trade_id: int
    volume: int
    quote_volume: int
    buy_volume: int
    buy_quote_volume: int

    @property
    def trade_count(self) -> int:
        return self.last_trade_id - self.first_trade_id + 1 if self.first_trade_id else 0


class Candles:
    """Candles of at most `markets_max` markets; a market must be added before it trades."""

    def __init__(self, markets_max: int) -> None:
        self._layers = np.zeros((markets_max, LAYERS), LAYER)
        self._rings: list[tuple[np.ndarray, ...]] = []  # of each market that was added
        self._root = np.zeros(1, CANDLES)
        self._root["layers"] = address_of(self._layers)
        self._root["markets_max"] = markets_max
        self.address = address_of(self._root)

    def add_markets(self, count: int) -> None:
        """Make room, so that the markets 0 .. count - 1 have some. Memory is only used once they trade."""
        assert count <= len(self._layers)
        while len(self._rings) < count:
            rings = tuple(np.zeros(kept, CANDLE) for kept in _KEPT)
            self._layers["ring"][len(self._rings)] = [address_of(ring) for ring in rings]
            self._rings.append(rings)
        self._root["markets_count"] = len(self._rings)

    def apply(self, events: np.ndarray) -> None:
        """Take the trades out of EVENT records, C-contiguous; their markets have been added."""
        assert events.dtype == EVENT
        if len(events):
            _apply(self.address, address_of(events), len(events))

    def last_ns(self, market: int) -> int:
        """The second in which the market last traded; 0: never."""
        newest = self._held(market, _SECONDS)[-1:]
        return int(newest["open_ns"][0]) if len(newest) else 0

    def current(self, market: int, interval: Interval) -> Candle | None:
        """The candle of the market's last trade; None before the first. Whether it is over only a clock can tell."""
        last_ns = self.last_ns(market)
        return self.candle(market, interval, open_of(interval, last_ns)) if last_ns else None

    def candle(self, market: int, interval: Interval, open_ns: int) -> Candle:
        """The candle of `interval` that begins at `open_ns`: not one older than what its layer holds."""
        end_ns = int(interval_end(int(interval), open_ns))
        layer = _layer_of(interval)
        found = np.zeros(1, CANDLE)
        _sum(self.address, market, layer, open_ns, end_ns, address_of(found))
        return candle_of(found[0])._replace(open_ns=open_ns, end_ns=end_ns)

    def window(self, market: int, start_ns: int) -> Candle:
        """Everything traded from the minute that holds `start_ns` on: the last day, or less; a week, from a full hour.

        `open_ns` is that minute, `end_ns` where the last hour counted ends.
        """
        return candle_of(self.windows(start_ns, market, 1)[0])

    def windows(self, start_ns: int, first_market: int, count: int) -> np.ndarray:
        """`window` of `count` markets from `first_market` on, at once. CANDLE records, shape (count,)."""
        assert first_market + count <= len(self._rings)
        found = np.zeros(count, CANDLE)
        if count:
            _windows(self.address, first_market, count, open_of(Interval.MINUTE_1, start_ns), address_of(found))
        return found

    def close_before(self, market: int, time_ns: int) -> int:
        """The price of the last trade before the minute that holds `time_ns`; 0 where none is known."""
        start_ns = open_of(Interval.MINUTE_1, time_ns)
        minutes = self._held(market, _MINUTES)
        older = int(np.searchsorted(minutes["open_ns"], start_ns))
        if older:
            return int(minutes["close"][older - 1])
        hours = self._held(market, _HOURS)
        older = int(np.searchsorted(hours["open_ns"], open_of(Interval.HOUR_1, start_ns)))
        return int(hours["close"][older - 1]) if older else 0

    def held(self, market: int, interval: Interval) -> np.ndarray:
        """What the layer of 1s, 1m, 1h or 1M holds, oldest first; CANDLE records, a copy, none without a trade."""
        return self._held(market, _INTERVALS.index(interval))

    def holds_from(self, market: int, interval: Interval) -> int:
        """From when on no candle of `interval` is missing here: 0 where all that the market ever traded is held."""
        layer = _layer_of(interval)
        if int(self._layers["count"][market, layer]) <= _KEPT[layer]:
            return 0
        first = open_of(interval, int(self._held(market, layer)["open_ns"][0]))
        return int(interval_end(int(interval), first))  # that one itself may have lost its beginning

    def export(self, markets_count: int) -> np.ndarray:
        """All CANDLE records of the first `markets_count` markets: market by market, layer by layer, oldest first."""
        parts = [self._held(market, layer) for market in range(markets_count) for layer in range(len(_KEPT))]
        return np.concatenate([np.zeros(0, CANDLE), *parts])

    def counts(self, markets_count: int) -> np.ndarray:
        """How many candles each layer has ever held, by market. i8, shape (markets_count, 4)."""
        return self._layers["count"][:markets_count].copy()

    def load(self, candles: np.ndarray, counts: np.ndarray) -> None:
        """Fill empty layers from what `export` and `counts` gave. Raises ValueError where the two do not fit."""
        self.add_markets(len(counts))
        held = np.minimum(counts, np.array(_KEPT))
        if (counts < 0).any() or int(held.sum()) != len(candles):
            raise ValueError(f"{len(candles)} candles are not what the counts say, {int(held.sum())}")
        at = 0
        for market, row in enumerate(held.tolist()):
            for layer, count in enumerate(row):
                part, at = candles[at : at + count], at + count
                if (part["market"] != market).any() or (np.diff(part["open_ns"]) <= 0).any():
                    raise ValueError(f"candles of market {market} are out of order")
                places = np.arange(int(counts[market][layer]) - count, int(counts[market][layer])) % _KEPT[layer]
                self._rings[market][layer][places] = part
        self._layers["count"][: len(counts)] = counts

    def _held(self, market: int, layer: int) -> np.ndarray:
        assert 0 <= market < len(self._rings)
        count, kept = int(self._layers["count"][market, layer]), _KEPT[layer]
        return self._rings[market][layer][np.arange(max(count - kept, 0), count) % kept]


def candle_of(record: np.void) -> Candle:
    """A CANDLE record as Python numbers, the words of its sums joined."""
    values = record.item()
    sums = (low + high * WORD for low, high in zip(values[8:12], values[12:16], strict=True))
    return Candle(*values[:8], *sums)


def _layer_of(interval: Interval) -> int:
    if interval == Interval.MONTH_1:
        return _MONTHS
    if interval >= Interval.HOUR_1:
        return _HOURS
    return _MINUTES if interval >= Interval.MINUTE_1 else _SECONDS


@compiled
def candles_trade(candles: int, event: int) -> None:
    """Count the TRADE event at address `event` in every layer."""
    table = record_at(candles, 0, CANDLES)
    t = record_at(event, 0, TRADE)
    market = int64(t.market)
    assert 0 <= market < table.markets_count
    for number in range(LAYERS):
        _trade_in(table.layers, market, number, event)


@compiled
def _trade_in(layers: int, market: int, number: int, event: int) -> None:
    layer = record_at(layers, market * LAYERS + number, LAYER)
    t = record_at(event, 0, TRADE)
    kept = int64(_KEPT[number])
    place = layer.ring + max(layer.count - 1, int64(0)) % kept * _CANDLE_BYTES
    if layer.count == 0 or t.time_ns >= record_at(place, 0, CANDLE).end_ns:
        place = layer.ring + layer.count % kept * _CANDLE_BYTES
        candle_start(place, int64(_INTERVALS[number]), event)
        layer.count += 1
    candle_trade(place, event)


@compiled
def candle_start(target: int, interval: int, event: int) -> None:
    """Make the CANDLE at `target` the one, still empty, of `interval` that the TRADE event at `event` lies in."""
    t = record_at(event, 0, TRADE)
    zero_bytes(target, _CANDLE_BYTES)
    c = record_at(target, 0, CANDLE)
    c.open_ns = interval_open(interval, t.time_ns)
    c.end_ns = interval_end(interval, c.open_ns)
    c.open = t.price
    c.high = t.price
    c.low = t.price
    c.first_trade_id = t.trade_id
    c.market = int64(t.market)


@compiled
def candle_trade(target: int, event: int) -> None:
    """Count the TRADE event at `event`, which lies in it, in the CANDLE at `target`."""
    c = record_at(target, 0, CANDLE)
    t = record_at(event, 0, TRADE)
    c.high = max(c.high, t.price)
    c.low = min(c.low, t.price)
    c.close = t.price
    c.last_trade_id = t.trade_id
    low = int64(c.volume + t.quantity)
    c.volume_high = np.int32(int64(c.volume_high) + (low >> 62))
    c.volume = low & (WORD - 1)
    low = int64(c.quote_volume + t.quote_amount)
    c.quote_volume_high = np.int32(int64(c.quote_volume_high) + (low >> 62))
    c.quote_volume = low & (WORD - 1)
    if t.side == Side.BUY:
        low = int64(c.buy_volume + t.quantity)
        c.buy_volume_high = np.int32(int64(c.buy_volume_high) + (low >> 62))
        c.buy_volume = low & (WORD - 1)
        low = int64(c.buy_quote_volume + t.quote_amount)
        c.buy_quote_volume_high = np.int32(int64(c.buy_quote_volume_high) + (low >> 62))
        c.buy_quote_volume = low & (WORD - 1)


@compiled
def candle_add(target: int, later: int) -> None:
    """Add to the CANDLE at `target` another of the same market that follows it; an empty target takes it over."""
    c = record_at(target, 0, CANDLE)
    added = record_at(later, 0, CANDLE)
    if c.first_trade_id == 0:
        c.open = added.open
        c.high = added.high
        c.low = added.low
        c.first_trade_id = added.first_trade_id
        c.market = added.market
    c.high = max(c.high, added.high)
    c.low = min(c.low, added.low)
    c.close = added.close
    c.last_trade_id = added.last_trade_id
    low = int64(c.volume + added.volume)
    c.volume_high = np.int32(int64(c.volume_high) + int64(added.volume_high) + (low >> 62))
    c.volume = low & (WORD - 1)
    low = int64(c.quote_volume + added.quote_volume)
    c.quote_volume_high = np.int32(int64(c.quote_volume_high) + int64(added.quote_volume_high) + (low >> 62))
    c.quote_volume = low & (WORD - 1)
    low = int64(c.buy_volume + added.buy_volume)
    c.buy_volume_high = np.int32(int64(c.buy_volume_high) + int64(added.buy_volume_high) + (low >> 62))
    c.buy_volume = low & (WORD - 1)
    low = int64(c.buy_quote_volume + added.buy_quote_volume)
    c.buy_quote_volume_high = np.int32(
        int64(c.buy_quote_volume_high) + int64(added.buy_quote_volume_high) + (low >> 62)
    )
    c.buy_quote_volume = low & (WORD - 1)


@entry
@compiled
def _apply(candles: int, events: int, count: int) -> None:
    for at in range(count):
        event = events + at * RECORD_BYTES
        if record_at(event, 0, EVENT).kind == EventKind.TRADE:
            candles_trade(candles, event)


def candles_in(events: np.ndarray, markets_count: int) -> np.ndarray:
    """The candles of all intervals that the TRADE events among EVENT records make, of the trades given alone.

    CANDLE records with a further field `interval`: INTERVAL_CANDLE, by interval, then by when they begin.
    """
    count = int((events["kind"] == EventKind.TRADE).sum())
    if not count:
        return np.zeros(0, INTERVAL_CANDLE)
    events = np.ascontiguousarray(events)
    found = np.zeros(count * len(Interval), INTERVAL_CANDLE)
    room, total = np.zeros(count, CANDLE), 0
    for interval in Interval:
        newest = np.zeros(markets_count, np.int64)
        made = _candles_in(address_of(events), len(events), interval, address_of(newest), address_of(room))
        part = found[total : total + made]
        for name in CANDLE.names or ():
            part[name] = room[:made][name]
        part["interval"] = interval
        total += made
    return found[:total]


@entry
@compiled
def _candles_in(events: int, count: int, interval: int, newest: int, target: int) -> int:
    """Write CANDLE records of one interval to `target`; `newest` has the number of each market's last one. How many."""
    made = int64(0)
    for at in range(count):
        event = events + at * RECORD_BYTES
        if record_at(event, 0, EVENT).kind != EventKind.TRADE:
            continue
        t = record_at(event, 0, TRADE)
        own = record_at(newest, int64(t.market), _NUMBER)
        place = target + (own.number - 1) * _CANDLE_BYTES
        if own.number == 0 or t.time_ns >= record_at(place, 0, CANDLE).end_ns:
            place = target + made * _CANDLE_BYTES
            candle_start(place, interval, event)
            made += 1
            own.number = made
        candle_trade(place, event)
    return made


@inlined
def _place(ring: int, kept: int, number: int) -> int:
    """The address of a layer's candle by its number, counted from the first ever."""
    return ring + (number % kept) * _CANDLE_BYTES


@entry
@compiled
def _sum(candles: int, market: int, number: int, start_ns: int, end_ns: int, target: int) -> None:
    """Add to the CANDLE at `target` what the layer has in [start_ns, end_ns)."""
    layer = record_at(record_at(candles, 0, CANDLES).layers, market * LAYERS + number, LAYER)
    ring, count, kept = layer.ring, layer.count, int64(_KEPT[number])
    low, high = max(count - kept, int64(0)), count
    while low < high:  # the first that begins at start_ns or later
        middle = (low + high) // 2
        if record_at(_place(ring, kept, middle), 0, CANDLE).open_ns < start_ns:
            low = middle + 1
        else:
            high = middle
    while low < count:
        if record_at(_place(ring, kept, low), 0, CANDLE).open_ns >= end_ns:
            break
        candle_add(target, _place(ring, kept, low))
        low += 1


@entry
@compiled
def _windows(candles: int, first_market: int, count: int, start_ns: int, targets: int) -> None:
    hour_ns = interval_open(int64(Interval.HOUR_1), start_ns + HOUR_NS - MINUTE_NS)
    for at in range(count):
        target = targets + at * _CANDLE_BYTES
        market = first_market + at
        _sum(candles, market, int64(_MINUTES), start_ns, hour_ns, target)
        _sum(candles, market, int64(_HOURS), hour_ns, TIME_MAX, target)
        c = record_at(target, 0, CANDLE)
        c.market = market
        c.open_ns = start_ns
        hours = record_at(record_at(candles, 0, CANDLES).layers, market * LAYERS + _HOURS, LAYER)
        if hours.count > 0:
            c.end_ns = record_at(_place(hours.ring, int64(HOURS_KEPT), hours.count - 1), 0, CANDLE).end_ns
