"""The read model: what the exchange looks like to its clients, built from events alone.

It holds the catalogue, balances, open and recently closed orders, recent trades, candles and aggregated books; queries
are answered from it and never touch the matcher. It is a pure function of the events, so a model that was loaded at
event T and then fed the later ones equals one that saw them all.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import gcd
from typing import Final

import msgspec
import numpy as np

from ringex.config import Limits
from ringex.history.application import MODEL, PAIR, apply_events
from ringex.history.auctions import AUCTION, Auctions
from ringex.history.averages import MARKET_MINUTE, Averages
from ringex.history.balances import BALANCE, Balances
from ringex.history.candles import CANDLE, CANDLES_PER_MARKET_MAX, LAYERS, Candles
from ringex.history.catalogue import Asset, Catalogue, Key, Market
from ringex.history.countdowns import COUNTDOWN, Countdowns
from ringex.history.frames import FORMAT_VERSION, Frame, FrameError, check, frame_of, records_of
from ringex.history.ordercounts import ACCOUNT_COUNTS, OrderCounts
from ringex.history.orderlists import ORDER_LIST, OrderLists
from ringex.history.orders import (
    FORGOTTEN,
    ORDER,
    Orders,
)
from ringex.history.prevented import (
    PREVENTED_MATCH,
    PreventedMatch,
    PreventedMatches,
    match_of,
)
from ringex.history.trades import RECENT_TRADE, RecentTrades
from ringex.marketdata.depth import LEVEL, Depth, Quote
from ringex.markets import LEVELS_BY_PRICE_MAX
from ringex.memory import address_of, array_at
from ringex.messages import (
    CLIENT_ORDER_ID_BYTES_MAX,
    EVENT,
    RECORD_BYTES,
    SCHEMA_VERSION,
    text_of,
    words_of,
)
from ringex.reasons import Reason
from ringex.terms import EventKind, ListKind, ListStatus, OrderStatus, OrderType, SelfTradePrevention, Side, TimeInForce

CLOSED_ORDERS_MAX: Final = 1 << 19
TRADES_PER_MARKET_MAX: Final = 1000
PREVENTED_MATCHES_MAX: Final = 1 << 16

_RAW: Final = np.dtype(f"V{RECORD_BYTES}")
_BOOK_HEADER: Final = np.dtype([("update_id", "i8"), ("bids", "i8"), ("asks", "i8")])
"""Of one book in the frames: its last update, and how many levels of each side follow."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it last was; units as in `ringex.messages`.

    `quantity` is what the order asked for or was amended to, and `prevented_quantity` what self-trade prevention took
    off it: quantity - executed_quantity - prevented_quantity may still trade while the order is open. (The matcher's
    own events show the quantity without what was taken off.) `working_ns` is 0 until a stop order is triggered.
    """

    order_id: int
    account: int
    market: int
    price: int
    quantity: int
    executed_quantity: int
    executed_quote: int
    quote_quantity: int
    created_ns: int
    updated_ns: int
    trade_count: int
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    status: OrderStatus
    reason: Reason
    client_order_id: str
    stop_price: int
    iceberg_quantity: int
    good_till_ns: int
    trailing_delta: int
    peg_price_type: int
    peg_offset: int
    strategy_id: int
    strategy_type: int
    self_trade_prevention: SelfTradePrevention
    working_ns: int
    prevented_quantity: int
    prevented_match_id: int
    order_list_id: int

    @property
    def is_open(self) -> bool:
        return self.status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.PENDING_NEW)


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account has of asset number `asset`, in its smallest unit. `withdrawing` is a part of `locked`."""

    asset: int
    free: int
    locked: int
    withdrawing: int


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade of a market, as everybody may see it."""

    trade_id: int
    time_ns: int
    price: int
    quantity: int
    quote_amount: int
    aggregate_id: int
    buyer_is_maker: bool


class _Header(msgspec.Struct):
    """The first of a model's frames."""

    format_version: int
    schema_version: int
    sequence: int


class ReadModel:
    """Bounded by `limits`, by `closed_orders_max` in all, by `trades_per_market` recent trades of each market and by
    `prevented_matches_max` in all."""

    def __init__(
        self,
        limits: Limits,
        *,
        closed_orders_max: int = CLOSED_ORDERS_MAX,
        trades_per_market: int = TRADES_PER_MARKET_MAX,
        prevented_matches_max: int = PREVENTED_MATCHES_MAX,
    ) -> None:
        self._limits = limits
        self._trades_per_market = trades_per_market
        self.catalogue = Catalogue(limits)
        self.books = Depth(limits.markets_max, limits.levels_max)
        self._orders = Orders(limits.accounts_max, limits.orders_max, closed_orders_max)
        self._balances = Balances(limits.accounts_max, limits.balances_max)
        self._trades = RecentTrades(limits.markets_max, trades_per_market)
        self._prevented = PreventedMatches(prevented_matches_max)
        self.order_lists = OrderLists()
        self.candles = Candles(limits.markets_max)
        self.averages = Averages(limits.markets_max)
        self.auctions = Auctions(limits.markets_max)
        self.countdowns = Countdowns(limits.accounts_max)
        self.order_counts = OrderCounts(limits.accounts_max)
        self._pairs = np.zeros(limits.markets_max, PAIR)
        self._root = np.zeros(1, MODEL)
        self._root["pairs"] = address_of(self._pairs)
        self._root["depth"] = self.books.address
        self._root["orders"] = self._orders.address
        self._root["balances"] = self._balances.address
        self._root["trades"] = self._trades.address
        self._root["prevented"] = self._prevented.address
        self._root["candles"] = self.candles.address
        self._root["averages"] = self.averages.address
        self._root["auctions"] = self.auctions.address
        self._root["countdowns"] = self.countdowns.address
        self._root["order_counts"] = self.order_counts.address
        self._address = address_of(self._root)

    # Events in

    def apply(self, events: np.ndarray) -> None:
        """Apply EVENT records that follow on `sequence` without a gap; a gap fails an assertion."""
        assert events.dtype == EVENT
        if not len(events):
            return
        first, last = int(events["sequence"][0]), int(events["sequence"][-1])
        assert first == self.sequence + 1 and last == self.sequence + len(events), "events must follow without a gap"
        self.catalogue.apply(
            events
        )  # additions first: what refers to them comes later, and no event depends on a status
        self.candles.add_markets(len(self.markets))
        apply_events(self._address, address_of(events), len(events))
        of_lists = events["kind"] == EventKind.ORDER_LIST
        if of_lists.any():
            self.order_lists.apply(np.ascontiguousarray(events.view(_RAW)[of_lists]).view(EVENT))

    def apply_at(self, address: int, count: int) -> None:
        """`apply` for `count` EVENT records that lie at `address`."""
        self.apply(array_at(address, count, EVENT))

    @property
    def sequence(self) -> int:
        """The sequence of the last event applied; 0 before the first."""
        return int(self._root["sequence"][0])

    @property
    def limits(self) -> Limits:
        return self._limits

    @property
    def orders_address(self) -> int:
        """Of the table of orders, for compiled code (`ringex.history.orders`)."""
        return self._orders.address

    # Queries: the catalogue

    @property
    def markets(self) -> list[Market]:
        """By number. Not to be changed."""
        return self.catalogue.markets

    @property
    def assets(self) -> list[Asset]:
        """By number. Not to be changed."""
        return self.catalogue.assets

    def market_named(self, symbol: str) -> Market | None:
        return self.catalogue.market_named(symbol)

    def account_named(self, name: str) -> int | None:
        return self.catalogue.account_named(name)

    def key(self, number: int) -> Key | None:
        return self.catalogue.key(number)

    # Queries: accounts and orders

    def balances(self, account: int) -> list[Balance]:
        """The account's balances in order of first use; none for an unknown account."""
        if not self._knows(account):
            return []
        records = self._balances.of(account)[["asset", "free", "locked", "withdrawing"]]
        return [Balance(*record) for record in records.tolist()]

    def order_by_id(self, account: int, order_id: int) -> Order | None:
        """The account's order, if it is open or still held."""
        record = self._orders.with_id(order_id)
        return order_of_record(record) if record is not None and int(record["account"]) == account else None

    def order_by_client_id(self, account: int, text: str) -> Order | None:
        """The account's order that took this client order id last: the open one, if there is one."""
        if not text or len(text) > CLIENT_ORDER_ID_BYTES_MAX or not text.isascii():
            return None
        record = self._orders.with_client_id(account, words_of(text))
        return order_of_record(record) if record is not None else None

    def open_orders(self, account: int, market: int | None = None) -> list[Order]:
        """The account's open orders, in `market` or in all, oldest first."""
        return [order_of_record(record) for record in self.open_order_records(account, market)]

    def open_order_records(self, account: int, market: int | None = None) -> np.ndarray:
        """Copies of their ORDER records, shape (n,)."""
        if not self._knows(account):
            return np.zeros(0, ORDER)
        records = self._orders.open_of(account)
        return records if market is None else records[records["market"] == market]

    def has_forgotten(self, account: int) -> bool:
        """Whether closed orders of the account are no longer held: then "not found" does not mean "never was"."""
        return self._knows(account) and self._orders.forgotten(account) > 0

    def prevented_matches(self, account: int, market: int) -> list[PreventedMatch]:
        """The recent prevented matches of the market that the account had a part in, oldest first."""
        return [match_of(record) for record in self._prevented.of(account, market)]

    @property
    def holds_all_prevented(self) -> bool:
        """Whether no prevented match has ever been pushed out of memory."""
        return len(self._prevented.last(self._prevented.capacity)) < self._prevented.capacity

    def prevented_match(self, market: int, prevented_match_id: int) -> PreventedMatch | None:
        """The market's prevented match with this number, if it is still held."""
        record = self._prevented.with_id(market, prevented_match_id)
        return match_of(record) if record is not None else None

    # For the history

    def order_records(self, ids: np.ndarray) -> np.ndarray:
        """Copies of the ORDER records of those order ids that are held; shape (n,)."""
        return self._orders.with_ids(ids)

    def all_order_records(self) -> np.ndarray:
        """Copies of all ORDER records that are held; shape (n,)."""
        return self._orders.export(len(self.catalogue.accounts))[0]

    def all_balances(self) -> tuple[np.ndarray, np.ndarray]:
        """(accounts, assets) of all balances that are held."""
        held = self._balances.export()
        return held["account"].copy(), held["asset"].copy()

    def orders_since(self, account: int, market: int, time_ns: int) -> list[Order]:
        """The account's orders in the market that are open, or were closed at `time_ns` or later; by id."""
        if not self._knows(account):
            return []
        records = np.concatenate([self._orders.open_of(account), self._orders.closed_since(time_ns)])
        own = records[(records["account"] == account) & (records["market"] == market)]
        return [order_of_record(record) for record in own[np.argsort(own["order_id"])]]

    def forgotten_ns(self, account: int) -> int:
        """When the account's youngest closed order that is no longer held was closed; 0: all are held."""
        return self._orders.forgotten_ns(account) if self._knows(account) else 0

    def recent_trade_records(self, market: int) -> np.ndarray:
        """All RECENT_TRADE records of the market that are held, oldest first; a copy, shape (n,)."""
        return self._trades.recent(market, self._trades_per_market)

    def balance_records(self, accounts: np.ndarray, assets: np.ndarray) -> np.ndarray:
        """BALANCE records of (account, asset) pairs, zeros where there is none; shape (n,)."""
        return self._balances.of_pairs(accounts, assets)

    def last_prevented(self, count_max: int) -> np.ndarray:
        """The last PREVENTED_MATCH records of all markets, at most `count_max`, oldest first."""
        return self._prevented.last(count_max)

    # Queries: market data

    def depth(self, market: int, limit: int) -> tuple[int, np.ndarray, np.ndarray]:
        """(last update id, bids, asks): i8 arrays of (price, quantity), best first, at most `limit` rows each."""
        return self.books.snapshot(market, limit)

    def best(self, market: int, side: Side) -> Quote:
        """The best bid (BUY) or ask (SELL); (0, 0) where there is none."""
        return self.books.best(market, side)

    def recent_trades(self, market: int, limit: int) -> list[Trade]:
        """The market's last trades, at most `limit`, oldest first."""
        records = self._trades.recent(market, limit)
        columns = (records[field.name].tolist() for field in fields(Trade)[:-1])
        makers = records["buyer_is_maker"].astype(bool).tolist()
        return [Trade(*row) for row in zip(*columns, makers, strict=True)]

    @property
    def aggregates(self) -> np.ndarray:
        """Where the counting of aggregate trades is: AGGREGATE records by market number. Not to be changed."""
        return self._trades.aggregates

    def last_price(self, market: int) -> int:
        """The price of the market's last trade; 0 before the first."""
        last = self._trades.recent(market, 1)
        return int(last["price"][0]) if len(last) else 0

    # From process to process

    def export(self) -> list[Frame]:
        """The model as frames for `load`. Equal models give equal frames, whatever way they came about."""
        header = msgspec.msgpack.encode(_Header(FORMAT_VERSION, SCHEMA_VERSION, self.sequence))
        orders, forgotten = self._orders.export(len(self.catalogue.accounts))
        parts = [orders, forgotten, self._balances.export(), self._trades.export(len(self.markets)), *self._books_out()]
        parts += [self._prevented.export(), self.candles.export(len(self.markets))]
        parts.append(self.candles.counts(len(self.markets)))
        parts += [self.averages.export(len(self.markets)), self.auctions.export(len(self.markets))]
        parts.append(self.countdowns.export())
        parts.append(self.order_counts.export(len(self.catalogue.accounts)))
        parts += [self.order_lists.export(), np.array([self.order_lists.forgotten])]
        return [header, self.catalogue.export(), *(frame_of(part) for part in parts)]

    def load(self, frames: list[Frame]) -> None:
        """Fill this model, which must be empty, from `export`'s frames.

        Raises FrameError where they are of another version, do not fit this model's limits or contradict each other;
        then the model must not be used.
        """
        assert self.sequence == 0 and not self.markets, "only an empty model can be loaded"
        check(len(frames) == 17, f"{len(frames)} frames; a read model has 17")
        try:
            header = msgspec.msgpack.decode(frames[0], type=_Header)
        except msgspec.MsgspecError as error:
            raise FrameError(f"header: {error}") from error
        versions = (header.format_version, header.schema_version)
        check(
            versions == (FORMAT_VERSION, SCHEMA_VERSION),
            f"header: format and schema versions {versions}; expected {(FORMAT_VERSION, SCHEMA_VERSION)}",
        )
        check(header.sequence >= 0, "header: a negative sequence")
        self.catalogue.load(frames[1])
        self._load_orders(frames[2], frames[3])
        self._load_balances(frames[4])
        self._load_trades(frames[5])
        self._load_books(frames[6], frames[7])
        self._load_prevented(frames[8])
        self._load_candles(frames[9], frames[10])
        self._load_standing(*frames[11:14])
        self._load_order_counts(frames[14])
        self._load_lists(frames[15], frames[16])
        self._root["sequence"] = header.sequence

    def __eq__(self, other: object) -> bool:
        """Whether both would answer every query alike, now and after any further events."""
        return isinstance(other, ReadModel) and self.export() == other.export()

    __hash__ = None  # type: ignore[assignment]

    def _knows(self, account: int) -> bool:
        return 0 <= account < len(self.catalogue.accounts)

    def _books_out(self) -> tuple[np.ndarray, np.ndarray]:
        """(headers, levels): per market a _BOOK_HEADER, and its bids, then its asks, best first."""
        headers = np.zeros(len(self.markets), _BOOK_HEADER)
        parts = [np.zeros(0, LEVEL)]
        for market in range(len(headers)):
            sides = [self.books.levels(market, side, self._limits.levels_max) for side in (Side.BUY, Side.SELL)]
            headers[market] = (self.books.last_update_id(market), len(sides[0]), len(sides[1]))
            parts.extend(sides)
        return headers, np.concatenate(parts)

    def _load_orders(self, frame: Frame, forgotten_frame: Frame) -> None:
        orders = records_of(frame, ORDER, self._orders.capacity, "orders")
        accounts_count = len(self.catalogue.accounts)
        forgotten = records_of(forgotten_frame, FORGOTTEN, accounts_count, "forgotten orders")
        _check_range(orders["account"], 1, accounts_count, "orders: account")
        _check_range(orders["market"], 0, len(self.markets), "orders: market")
        check(len(np.unique(orders["order_id"])) == len(orders), "orders: an id occurs twice")
        is_open = np.isin(orders["status"], (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.PENDING_NEW))
        opened, closed = int(is_open.sum()), int((~is_open).sum())
        check(opened <= self._limits.orders_max, f"orders: {opened} are open; at most {self._limits.orders_max} fit")
        closed_max = self._orders.capacity - self._limits.orders_max
        check(closed <= closed_max, f"orders: {closed} are closed; at most {closed_max} fit")
        self._orders.load(orders, forgotten)

    def _load_balances(self, frame: Frame) -> None:
        balances = records_of(frame, BALANCE, self._limits.balances_max, "balances")
        _check_range(balances["account"], 0, len(self.catalogue.accounts), "balances: account")
        _check_range(balances["asset"], 0, len(self.assets), "balances: asset")
        self._balances.load(balances)

    def _load_trades(self, frame: Frame) -> None:
        trades = records_of(frame, RECENT_TRADE, self._limits.markets_max * self._trades_per_market, "trades")
        _check_range(trades["market"], 0, len(self.markets), "trades: market")
        self._trades.load(trades)

    def _load_prevented(self, frame: Frame) -> None:
        matches = records_of(frame, PREVENTED_MATCH, self._prevented.capacity, "prevented matches")
        _check_range(matches["market"], 0, len(self.markets), "prevented matches: market")
        for role in ("taker", "maker"):
            accounts = matches[f"{role}_account"]
            _check_range(accounts, 1, len(self.catalogue.accounts), f"prevented matches: {role} account")
        _check_range(matches["mode"], 1, len(SelfTradePrevention), "prevented matches: mode")
        self._prevented.load(matches)

    def _load_order_counts(self, frame: Frame) -> None:
        accounts_count = len(self.catalogue.accounts)
        counts = records_of(frame, ACCOUNT_COUNTS, accounts_count, "order counts")
        _check_range(counts["account"], 1, accounts_count, "order counts: account")
        self.order_counts.load(counts)

    def _load_lists(self, frame: Frame, forgotten_frame: Frame) -> None:
        lists = records_of(frame, ORDER_LIST, self._limits.orders_max + self.order_lists.done_max, "order lists")
        _check_range(lists["account"], 1, len(self.catalogue.accounts), "order lists: account")
        _check_range(lists["market"], 0, len(self.markets), "order lists: market")
        _check_range(lists["kind"], 1, len(ListKind) + 1, "order lists: kind")
        _check_range(lists["status"], 1, len(ListStatus) + 1, "order lists: status")
        forgotten = records_of(forgotten_frame, np.dtype("i8"), 1, "forgotten order lists")
        check(len(forgotten) == 1, f"forgotten order lists: {len(forgotten)} counts")
        self.order_lists.load(lists, int(forgotten[0]))

    def _load_candles(self, frame: Frame, counts_frame: Frame) -> None:
        counts = records_of(counts_frame, np.dtype("i8"), len(self.markets) * LAYERS, "counts of candles")
        check(len(counts) == len(self.markets) * LAYERS, f"counts of candles: {len(counts)} for {len(self.markets)}")
        candles = records_of(frame, CANDLE, len(self.markets) * CANDLES_PER_MARKET_MAX, "candles")
        try:
            self.candles.load(candles, counts.reshape(-1, LAYERS))
        except ValueError as error:
            raise FrameError(str(error)) from error

    def _load_standing(self, averages: Frame, auctions: Frame, countdowns: Frame) -> None:
        """What goes on in markets and accounts besides orders."""
        kept = [market.filters.average_minutes for market in self.markets]
        rows = records_of(averages, MARKET_MINUTE, sum(kept), "averages")
        _check_range(rows["market"], 0, len(self.markets), "averages: market")
        self.averages.load(kept, rows)
        indications = records_of(auctions, AUCTION, len(self.markets), "auctions")
        check(len(indications) == len(self.markets), f"auctions: {len(indications)} for {len(self.markets)} markets")
        self.auctions.load(indications)
        running = records_of(countdowns, COUNTDOWN, self._limits.accounts_max, "countdowns")
        _check_range(running["account"], 1, len(self.catalogue.accounts), "countdowns: account")
        _check_range(running["market"], -1, len(self.markets), "countdowns: market")
        check(bool((running["due_ns"] > 0).all()), "countdowns: one is due at no time")
        self.countdowns.load(running)

    def _load_books(self, headers_frame: Frame, levels_frame: Frame) -> None:
        headers = records_of(headers_frame, _BOOK_HEADER, self._limits.markets_max, "books")
        levels = records_of(levels_frame, LEVEL, self._limits.levels_max, "levels")
        check(len(headers) == len(self.markets), f"books: {len(headers)}; there are {len(self.markets)} markets")
        counts = headers[["bids", "asks"]].tolist()
        check(all(bids >= 0 and asks >= 0 for bids, asks in counts), "books: a negative count of levels")
        check(sum(map(sum, counts)) == len(levels), f"levels: {len(levels)} are not what the books need")
        at = 0
        for market, (bids, asks) in zip(self.markets, counts, strict=True):
            self._pairs[market.number] = (market.base.number, market.quote.number)
            sides = levels[at : at + bids], levels[at + bids : at + bids + asks]
            found = [int(price) for price in levels["price"][at : at + bids + asks]]  # by earlier rules, perhaps
            grid, top = gcd(market.tick, *found), max(market.price_max, *found, 0)
            check(top // grid < LEVELS_BY_PRICE_MAX, f"levels: the prices of {market.symbol} are too far apart")
            self.books.add_market(grid, top)
            for side in sides:
                fits = (side["price"] > 0) & (side["quantity"] > 0)
                check(bool(fits.all()), f"levels: one breaks the rules of {market.symbol}")
            self.books.load_book(market.number, int(headers["update_id"][market.number]), *sides)
            at += bids + asks


def _check_range(values: np.ndarray, lowest: int, end: int, noun: str) -> None:
    check(bool(((values >= lowest) & (values < end)).all()), f"{noun} outside {lowest} .. {end - 1}")


def order_of_record(record: np.void) -> Order:
    """An ORDER record as Python values."""
    return Order(
        order_id=int(record["order_id"]),
        account=int(record["account"]),
        market=int(record["market"]),
        price=int(record["price"]),
        quantity=int(record["quantity"]),
        executed_quantity=int(record["executed_quantity"]),
        executed_quote=int(record["executed_quote"]),
        quote_quantity=int(record["quote_quantity"]),
        created_ns=int(record["created_ns"]),
        updated_ns=int(record["updated_ns"]),
        trade_count=int(record["trade_count"]),
        side=Side(int(record["side"])),
        order_type=OrderType(int(record["order_type"])),
        time_in_force=TimeInForce(int(record["time_in_force"])),
        status=OrderStatus(int(record["status"])),
        reason=Reason(int(record["reason"])),
        client_order_id=text_of(record["client_order_id"]),
        stop_price=int(record["stop_price"]),
        iceberg_quantity=int(record["iceberg_quantity"]),
        good_till_ns=int(record["good_till_ns"]),
        trailing_delta=int(record["trailing_delta"]),
        peg_price_type=int(record["peg_price_type"]),
        peg_offset=int(record["peg_offset"]),
        strategy_id=int(record["strategy_id"]),
        strategy_type=int(record["strategy_type"]),
        self_trade_prevention=SelfTradePrevention(int(record["self_trade_prevention"])),
        working_ns=int(record["working_ns"]),
        prevented_quantity=int(record["prevented_quantity"]),
        prevented_match_id=int(record["prevented_match_id"]),
        order_list_id=int(record["order_list_id"]),
    )
