"""One exercise: rounds of load and kills on one data directory, and after each everything is compared with the truth.

A round: traders send for a while, processes are killed at random moments, then the traders fall silent, whatever they
do not know the outcome of is asked for and sent again, and the checks run. `faults` has what was found wrong.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
import zmq
from exchange import Client, Exchange

from crashtest.trader import Request, Trader
from crashtest.truth import Truth
from crashtest.watchers import MarketWatcher, UserStream
from ringex.adminclient import AdminError, NoAnswerError, request
from ringex.config import Limits, Settings
from ringex.decimals import format_scaled, parse_scaled
from ringex.replica import SNAPSHOTS_KEPT
from ringex.ring import Ring
from ringex.supervisor import ring_prefix, tallies_prefix
from ringex.terms import OrderStatus, Side

SYMBOLS: Final = ["AAAUSD", "BBBUSD"]
PRICE_SCALE: Final = 2
QUANTITY_SCALE: Final = 3
GATEWAYS: Final = 2
ACCOUNTS: Final = ["demo", "second", "third"]
ROLES: Final = ("matcher", "gateway-0", "gateway-1", "publisher", "replica")
TOGETHER: Final = (
    "matcher+gateway-0",
    "matcher+gateway-1",
    "matcher+replica",
    "replica+publisher",
    "replica+gateway-1",
)
"""Killed at one moment: what the first leaves undone, the second can no longer tell."""
WHOLE: Final = ("supervisor", "group", "group-twice")
"""`supervisor`: it alone, and its children die with it; `group`: every process, in random order; `group-twice`: once
more while it starts again."""
OTHERS: Final = ", others meanwhile"
FOLLOW_SECONDS: Final = 0.5
SETTLE_SECONDS: Final = 60.0
SAMPLE: Final = 40
RESTART_KILL_SECONDS_MAX: Final = 4.0

CONFIG: Final = """
gateways = {gateways}
durability = "{durability}"
command_ring_slots = {command_ring_slots}
event_ring_slots = {event_ring_slots}
journal_buffer_slots = {journal_buffer_slots}
segment_records = {segment_records}
snapshot_commands = {snapshot_commands}
restarts_per_minute_max = 100000

[[assets]]
name = "AAA"
scale = 8
[[assets]]
name = "BBB"
scale = 3
[[assets]]
name = "USD"
scale = 8
"""
MARKET: Final = """
[[markets]]
symbol = "{base}USD"
base = "{base}"
quote = "USD"
tick = "0.01"
lot = "0.001"
price_max = "1000000"
quantity_max = "1000"
orders_per_account_max = 5000
"""
ACCOUNT: Final = """
[[accounts]]
name = "{name}"
deposits = {{ AAA = "100000", BBB = "100000", USD = "5000000000" }}
"""


@dataclass(frozen=True)
class Shape:
    """How large things are: small ones wrap and roll over often."""

    durability: str = "fsync"
    command_ring_slots: int = 1 << 14
    event_ring_slots: int = 1 << 17
    journal_buffer_slots: int = 1 << 16
    segment_records: int = 1 << 14
    snapshot_commands: int = 20_000

    @property
    def config(self) -> str:
        text = CONFIG.format(gateways=GATEWAYS, **vars(self))
        text += "".join(MARKET.format(base=symbol.removesuffix("USD")) for symbol in SYMBOLS)
        return text + "".join(ACCOUNT.format(name=name) for name in ACCOUNTS)


LARGE: Final = Shape()
SMALL: Final = Shape(
    command_ring_slots=1 << 8,
    event_ring_slots=1 << 12,
    journal_buffer_slots=1 << 12,
    segment_records=1 << 12,
    snapshot_commands=5000,
)


@dataclass
class Tally:
    """What an exercise has done."""

    kills: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    """Kind -> seconds from the kill to the next acknowledgement of a request sent after it."""

    def add(self, other: Tally) -> None:
        self.kills += other.kills
        self.checked += other.checked
        for kind, seconds in other.recoveries.items():
            self.recoveries.setdefault(kind, []).extend(seconds)

    def lines(self) -> list[str]:
        kills = ", ".join(f"{kind} {count}" for kind, count in sorted(self.kills.items()))
        checked = ", ".join(f"{what} {count}" for what, count in sorted(self.checked.items()))
        lines = [f"kills: {self.kills.total()} ({kills})", f"checked: {checked}"]
        for kind, seconds in sorted(self.recoveries.items()):
            middle, worst = statistics.median(seconds), max(seconds)
            lines.append(f"next acknowledgement after killing {kind}: median {middle:.2f} s, max {worst:.2f} s")
        return lines


class Exercise:
    """An exchange in `folder` (made), its clients, and the truth. Used as a context."""

    def __init__(self, folder: Path, seed: int, shape: Shape) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.rng = random.Random(seed)
        self.shape = shape
        self.tally = Tally()
        self.faults: list[str] = []
        config = folder / "crash.toml"
        config.write_text(shape.config)
        self.exchange = Exchange(folder, "--config", str(config))
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._done: list[tuple[Trader, Request]] = []
        self._references: dict[str, str] = {}
        self._cancels: dict[int, int] = {}
        self._awaited: list[tuple[str, float]] = []
        self._followed_at = 0.0

    def __enter__(self) -> Exercise:
        try:
            self._open()
        except BaseException:
            self.exchange.kill_group()
            raise
        return self

    def _open(self) -> None:
        self.exchange.start()
        admin = f"ipc://{self.exchange.data}/admin.sock"
        for name in ACCOUNTS[1:]:
            request(admin, "admin.keys.create", {"account": name, "scopes": ["TRADE", "USER_DATA", "USER_STREAM"]})
        stored = self.exchange.keys()
        keys = {key["account"]: key for key in stored}
        gateways = [self.exchange.zmq_endpoint, f"{self.exchange.zmq_endpoint}.1"]
        self.traders = []
        for index in range(6):
            account, lockstep = index % len(ACCOUNTS), index >= 4
            key = keys[ACCOUNTS[account]]
            self.traders.append(
                Trader(
                    name=f"t{index}",
                    account=account + 1,
                    key=key["api_key"],
                    secret=key["secret"],
                    endpoint=gateways[index % GATEWAYS],
                    symbols=SYMBOLS,
                    rng=random.Random(self.rng.random()),
                    context=self._context,
                    depth=self.rng.choice([4, 16, 64]),
                    lockstep=lockstep,
                )
            )
        self.market = MarketWatcher(self._context, self.exchange.pub_endpoint, SYMBOLS)
        self.streams = {
            gateway: UserStream(endpoint, keys["second"]["api_key"], keys["second"]["secret"])
            for gateway, endpoint in enumerate(gateways)
        }
        self.public = Client(gateways[0])
        self.truth = Truth(self.exchange.data, Limits())

    def __exit__(self, *_: object) -> None:
        self.exchange.kill_group()
        for name in self._segments():  # after an exercise that was broken off
            Ring.unlink(name)
        for closing in (*self.traders, self.market, *self.streams.values(), self.public, self.truth):
            closing.close()
        self._context.term()

    # ---- a round

    def round(self, kinds: list[str], seconds: float) -> None:
        """Load, kills of `kinds` at random moments, and the checks. Raises AssertionError, TimeoutError."""
        moments = sorted(self.rng.uniform(0.05, seconds) for _ in kinds)
        begun = time.monotonic()
        self._deposit()
        for kind, moment in zip(kinds, moments, strict=True):
            self._step_until(lambda moment=moment: time.monotonic() - begun >= moment, load=True)
            self._kill(kind)
        patient = self.rng.random() < 0.5  # else outcomes are asked for while processes still come back
        self._step_until(lambda: time.monotonic() - begun >= seconds and not (patient and self._awaited), load=True)
        self._step_until(lambda: not any(trader.busy for trader in self.traders), load=False)
        self._resolve()
        self._check()

    def lap(self, role: str) -> None:
        """Stop a reader of the event ring until the ring has gone round without it; then the checks."""
        pid = self.exchange.child(role)
        assert pid, f"{role} runs between rounds"
        self.truth.follow()
        goal = int(self.truth.state.root["event_sequence"]) + 2 * self.shape.event_ring_slots
        os.kill(pid, signal.SIGSTOP)
        try:
            self._step_until(lambda: int(self.truth.state.root["event_sequence"]) >= goal, load=True)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.round([], seconds=0.5)
        self.tally.checked["laps"] += 1

    def finish(self) -> None:
        """A clean stop, and what the command line says about the data directory afterwards."""
        assert self.exchange.stop() == 0, self.exchange.log[-4000:]
        self.truth.follow()
        data = str(self.exchange.data)
        verified = self.exchange.command("journal", "verify", data)
        self._expect(verified.returncode == 0 and "sound" in verified.stdout, f"journal verify: {verified}")
        for _ in range(2):
            replayed = self.exchange.command("replay", data)
            said = dict(line.split(": ", 1) for line in replayed.stdout.splitlines() if ": " in line)
            self._expect(said.get("hash") == self.truth.hash, f"ringex replay: {replayed}; expected {self.truth.hash}")
        for line in self.exchange.log.splitlines():
            self._expect("ended with" not in line and "Traceback" not in line, f"nobody killed it: {line}")
        snapshots = sorted(path.name for path in (self.exchange.data / "snapshots").iterdir())
        pairs = {path.partition(".")[0] for path in snapshots}
        complete = sorted(f"{stem}.{kind}" for stem in pairs for kind in ("model", "snap"))
        self._expect(snapshots == complete and len(pairs) <= SNAPSHOTS_KEPT, f"snapshots are no pairs: {snapshots}")
        left = self._segments()
        self._expect(not left, f"left in shared memory: {left}")

    def _segments(self) -> list[str]:
        settings = Settings(data_dir=self.exchange.data)
        return [name for prefix in (ring_prefix(settings), tallies_prefix(settings)) for name in Ring.list(prefix)]

    def _expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.faults.append(otherwise)

    def _step_until(self, done: Callable[[], bool], *, load: bool, seconds: float = SETTLE_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing settled within {seconds:g} s:\n{self.exchange.log[-3000:]}")
            for trader in self.traders:
                trader.step(load)
            self.market.step()
            for stream in self.streams.values():
                stream.step()
            self._note_recoveries()
            if time.monotonic() - self._followed_at > FOLLOW_SECONDS:
                self.truth.follow()
                self._followed_at = time.monotonic()
            time.sleep(0.002)

    def _deposit(self) -> None:
        """A deposit that may be interrupted, and is sent until it is known to be booked."""
        reference = f"ref-{len(self._references)}"
        self._references[reference] = "unknown"
        self._book(reference, seconds=0.05)

    def _book(self, reference: str, seconds: float) -> None:
        admin = f"ipc://{self.exchange.data}/admin.sock"
        params = {"account": "third", "asset": "AAA", "amount": "0.00000007", "reference": reference}
        try:
            request(admin, "admin.account.deposit", params, seconds)
        except (NoAnswerError, AdminError):  # an answer in time is "unknown" too
            return
        self._references[reference] = "acknowledged"

    # ---- kills

    def _kill(self, kind: str) -> None:
        before = time.monotonic()
        if kind in WHOLE:
            self._kill_whole(kind)
            self.tally.kills[kind] += 1
        elif self._kill_roles(kind.split("+")) == 0:
            return
        self._awaited = [(f"{named.removesuffix(OTHERS)}{OTHERS}", since) for named, since in self._awaited]
        if kind.startswith("matcher") or kind in WHOLE:
            self._awaited.append((kind, before))

    def _note_recoveries(self) -> None:
        """Whether the first request sent after a kill has been acknowledged."""
        for kind, since in list(self._awaited):
            answered = [at for sent, at in (trader.acknowledged for trader in self.traders) if sent > since]
            if answered:
                self._awaited.remove((kind, since))
                self.tally.recoveries.setdefault(kind, []).append(min(answered) - since)

    def _kill_roles(self, roles: list[str]) -> int:
        return sum(self._kill_role(role) for role in roles)

    def _kill_role(self, role: str) -> bool:
        """Kill one process, unless it is down at this moment."""
        pid = self.exchange.child(role)
        try:
            if not pid or psutil.Process(pid).ppid() != self.exchange.pid:
                return False
            os.kill(pid, signal.SIGKILL)
        except (psutil.NoSuchProcess, ProcessLookupError):
            return False
        self.tally.kills[role] += 1
        if role.startswith("gateway"):
            self.streams[int(role[-1])].lost()
        if role == "publisher":
            self.market.disturbed()
        return True

    def _kill_whole(self, kind: str) -> None:
        self._kill_processes(alone=kind == "supervisor")
        if kind == "group-twice":
            self.exchange.launch()
            time.sleep(self.rng.uniform(0.0, RESTART_KILL_SECONDS_MAX))
            self._kill_processes(alone=False)
        self.exchange.start()
        self.market.disturbed()
        for stream in self.streams.values():
            stream.lost()

    def _kill_processes(self, *, alone: bool) -> None:
        supervisor = psutil.Process(self.exchange.pid)
        pids = [supervisor.pid]
        if not alone:
            pids += [child.pid for child in supervisor.children()]
            self.rng.shuffle(pids)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # its supervisor died first, and took it along
                continue
        self.exchange.reap()

    # ---- what is unknown

    def _resolve(self) -> None:
        """Ask for the outcome of everything unanswered, send it again, and hold both against each other."""
        for trader in self.traders:
            unknown, trader.unknown = trader.unknown, []
            for request_ in unknown:
                self.tally.checked["unknown"] += 1
                if not request_.client_order_id:
                    continue
                symbol, client_order_id = request_.params["symbol"], request_.client_order_id
                said = trader.ask("order.status", symbol=symbol, origClientOrderId=client_order_id)
                found = said.get("result")
                trader.send_again(request_)
                self._compare_again(trader, request_, found)
        for reference, state in list(self._references.items()):
            while state == "unknown" and self._references[reference] == "unknown":
                self._book(reference, seconds=5.0)

    def _compare_again(self, trader: Trader, request_: Request, found: dict[str, Any] | None) -> None:
        reply = request_.reply
        assert reply is not None
        result = reply.get("result") or {}
        order = result.get("newOrderResponse", result)
        what = f"{trader.name}: {request_.params}: status said {found}, sent again {reply}"
        if found is None:
            self._expect(not result.get("duplicate"), f"there was an order after all: {what}")
            self.tally.checked["executed at the second sending"] += bool(result)
        else:
            same = result.get("duplicate") is True and order.get("orderId") == found["orderId"]
            self._expect(same, f"not the first one's outcome: {what}")
            self.tally.checked["flagged duplicate"] += 1

    # ---- the checks

    def _check(self) -> None:
        self._settle_truth()
        for trader in self.traders:
            for request_ in trader.answered:
                self._check_answer(trader, request_)
                self._done.append((trader, request_))
            trader.answered.clear()
            self.faults += trader.faults
            trader.faults.clear()
        for order_id, executed in self._cancels.items():
            order = self.truth.orders[order_id]
            still = order.status == OrderStatus.CANCELED and order.executed == executed
            self._expect(still, f"order {order_id} was canceled with {executed} executed, now: {order}")
        for key, order_ids in self.truth.by_client_id.items():
            self._expect(len(order_ids) == 1, f"{key} has the orders {order_ids}")
        for reference, state in self._references.items():
            if state == "acknowledged":
                booked = self.truth.bookings[reference]
                self._expect(booked == [7], f"{reference} was booked as {booked}")
        self.faults += self.truth.ledger_faults()
        self.faults += self.truth.faults
        self._check_queries()
        self._check_market()
        self._check_streams()
        self.tally.checked["rounds"] += 1

    def _settle_truth(self) -> None:
        """Read the journal to its end; an answer to a query of each trader came, so everything it sent is in."""
        for trader in self.traders:
            trader.ask("account.status")
        self.truth.follow()

    def _check_answer(self, trader: Trader, request_: Request) -> None:
        """What a trader was told, against the truth."""
        assert request_.reply is not None
        result, method, told = request_.reply.get("result"), request_.method, f"{request_.params}: {request_.reply}"
        placed = self.truth.by_client_id.get((trader.account, request_.client_order_id), [])
        if result is None:
            if method == "order.place":
                self._expect(not placed, f"refused, but executed as {placed}: {told}")
            self.tally.checked["refusals"] += 1
            return
        self.tally.checked["acknowledgements"] += 1
        if method == "order.place":
            self._check_placed(trader, result, placed, told)
        elif method == "order.cancelReplace":
            if result.get("duplicate"):
                self._check_placed(trader, result, placed, told)
            else:
                self._check_canceled(result["cancelResponse"], told)
                self._check_placed(trader, result["newOrderResponse"], placed, told)
        elif method == "order.cancel":
            self._check_canceled(result, told)
        elif method == "openOrders.cancelAll":
            for canceled in result:
                self._check_canceled(canceled, told)
        elif method == "order.amend":
            amended = result["amendedOrder"]
            price = parse_scaled(amended["price"], PRICE_SCALE)
            expected = (int(amended["orderId"]), price, parse_scaled(amended["qty"], QUANTITY_SCALE))
            found = self.truth.amendments.get(int(result["executionId"]))
            self._expect(found == expected, f"amended as {expected}, the truth is {found}: {told}")
            self._check_fills(result, told)

    def _check_placed(self, trader: Trader, result: dict[str, Any], placed: list[int], told: str) -> None:
        self._expect(placed == [int(result["orderId"])], f"the truth has orders {placed}: {told}")
        if not placed:
            return
        executed = self.truth.orders[placed[0]].executed
        self._expect(
            executed >= parse_scaled(result.get("executedQty", "0"), QUANTITY_SCALE),
            f"only {executed} executed: {told}",
        )
        self._check_fills(result, told)

    def _check_fills(self, result: dict[str, Any], told: str) -> None:
        symbol = result.get("symbol") or result["amendedOrder"]["symbol"]
        order_id = int(result.get("orderId") or result["amendedOrder"]["orderId"])
        for fill in result.get("fills", ()):
            trade = self.truth.trades.get((SYMBOLS.index(symbol), int(fill["tradeId"])))
            price, quantity = parse_scaled(fill["price"], PRICE_SCALE), parse_scaled(fill["qty"], QUANTITY_SCALE)
            same = trade is not None and (trade.price, trade.quantity, trade.taker_order) == (price, quantity, order_id)
            self._expect(same, f"fill {fill}, the truth is {trade}: {told}")
            self.tally.checked["fills"] += 1

    def _check_canceled(self, result: dict[str, Any], told: str) -> None:
        order_id, executed = int(result["orderId"]), parse_scaled(result["executedQty"], QUANTITY_SCALE)
        known = order_id in self.truth.orders and order_id not in self._cancels
        self._expect(known, f"unknown, or canceled twice: {told}")
        if known:
            self._cancels[order_id] = executed
        self.tally.checked["cancels"] += 1

    def _check_queries(self) -> None:
        """What the gateways' read models answer, against the truth."""
        tables = self.truth.tables
        for trader in self.traders[: len(ACCOUNTS) + 1]:
            status = trader.ask("account.status")["result"]
            told = {row["asset"]: (row["free"], row["locked"]) for row in status["balances"]}
            own = tables["balances"][tables["balances"]["account"] == trader.account]
            for balance in own:
                asset = tables["assets"][int(balance["asset"])]
                name, scale = asset["name"].decode(), int(asset["scale"])
                held = format_scaled(int(balance["free"]), scale), format_scaled(int(balance["locked"]), scale)
                self._expect(
                    told.get(name) == held, f"account {trader.account}: {name} is {held}, told {told.get(name)}"
                )
            listed = trader.ask("openOrders.status")["result"]
            told_open = {int(row["orderId"]): row["executedQty"] for row in listed}
            orders = tables["orders"][tables["orders"]["account"] == trader.account]
            open_now = {int(o["order_id"]): format_scaled(int(o["executed"]), QUANTITY_SCALE) for o in orders}
            different = set(told_open.items()) ^ set(open_now.items())
            self._expect(not different, f"account {trader.account}: open orders differ: {sorted(different)[:6]}")
        sample = self._done[-SAMPLE:] + [self._done[self.rng.randrange(len(self._done))] for _ in range(SAMPLE)]
        for trader, request_ in sample:
            self._check_status(trader, request_)

    def _check_status(self, trader: Trader, request_: Request) -> None:
        assert request_.reply is not None
        if request_.method != "order.place" or "result" not in request_.reply:
            return
        order = self.truth.orders[int(request_.reply["result"]["orderId"])]
        said = trader.ask("order.status", symbol=request_.params["symbol"], orderId=order.order_id)
        told = said.get("result", {})
        executed = format_scaled(order.executed, QUANTITY_SCALE)
        same = (told.get("status"), told.get("executedQty")) == (OrderStatus(order.status).name, executed)
        self._expect(same, f"order.status says {said}, the truth is {order}")
        self.tally.checked["order.status"] += 1

    def _check_market(self) -> None:
        """The subscriber's book, the depth query and the open orders agree; every trade told has happened."""
        for number, symbol in enumerate(SYMBOLS):
            last = int(self.truth.tables["markets"][number]["book_update_id"])
            if self.market.books[symbol] is None or self.market.is_disturbed(symbol):
                self.market.load(symbol, self.public)
            self._step_until(lambda symbol=symbol, last=last: self.market.update_id[symbol] >= last, load=False)
            book = {
                name: {
                    format_scaled(price, PRICE_SCALE): format_scaled(quantity, QUANTITY_SCALE)
                    for price, quantity in self.truth.book(number)[side].items()
                }
                for name, side in (("b", Side.BUY), ("a", Side.SELL))
            }
            self._expect(self.market.update_id[symbol] == last, f"{symbol}: update {self.market.update_id[symbol]}")
            self._expect(self.market.books[symbol] == book, f"{symbol}: the streamed book is not the orders'")
            snapshot = self.public.call("depth", {"symbol": symbol, "limit": 5000})["result"]
            queried = {"b": dict(snapshot["bids"]), "a": dict(snapshot["asks"])}
            self._expect(queried == book, f"{symbol}: depth is not the open orders'")
        for symbol, number, price, quantity in self.market.trades:
            trade = self.truth.trades.get((SYMBOLS.index(symbol), number))
            told = parse_scaled(price, PRICE_SCALE), parse_scaled(quantity, QUANTITY_SCALE)
            same = trade is not None and (trade.price, trade.quantity) == told
            self._expect(same, f"{symbol}@trade {number}: {told}, the truth is {trade}")
            self.tally.checked["streamed trades"] += 1
        self.market.trades.clear()
        self.faults += self.market.faults
        self.market.faults.clear()

    def _check_streams(self) -> None:
        """Every unbroken span of a user stream has each of the account's reports between its first and its last."""
        executions = self.truth.executions[2]
        for stream in self.streams.values():
            for span in stream.spans:
                if span:
                    first, last = executions.index(span[0]), executions.index(span[-1])
                    self._expect(span == executions[first : last + 1], f"a user stream's span {span[0]}..{span[-1]}")
                    self.tally.checked["reports"] += len(span)
            stream.spans = [span[-1:] for span in stream.spans[-1:]]
            self.faults += stream.faults
            stream.faults.clear()
