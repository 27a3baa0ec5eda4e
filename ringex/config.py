"""Settings: what an exchange is started with, and what its processes are told about the run they are part of.

`Settings` comes from the command line and a TOML file; a bad value names file, key and what is allowed before anything
starts. `Run` is made by the supervisor for one life of the whole group and inherited by the processes it forks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from ringex.markets import DEFAULT_ASSETS, Account, Asset, Market, default_accounts, default_markets
from ringex.messages import LIMIT_NAMES, ORDER_LIMIT_NAMES

UNLIMITED: Final = (1 << 31) - 1
"""Of an order limit: more than there can be."""


class Durability(StrEnum):
    """When a command counts as safe, and its events may be seen."""

    FSYNC = "fsync"  # on disk
    OS = "os"  # written to the operating system: survives the death of any process
    NONE = "none"  # in memory


@dataclass(frozen=True)
class Limits:
    """Bounds of everything that holds data; all memory is reserved at the start (untouched pages cost nothing).

    The matcher journals them (LIMITS_SET): they decide refusals, so a journal must say by which it was applied.
    """

    assets_max: int = 1 << 10
    markets_max: int = 1 << 14
    accounts_max: int = 1 << 20
    keys_max: int = 1 << 20
    balances_max: int = 1 << 21
    orders_max: int = 1 << 20
    levels_max: int = 1 << 20
    requests_remembered_max: int = 1 << 20
    requests_remembered_per_account_max: int = 1 << 16
    references_max: int = 1 << 20
    fee_schedules_max: int = 1 << 16

    def widened(self, other: Limits) -> Limits:
        """Of each number the larger one: what has room for both."""
        return Limits(**{name: max(getattr(self, name), getattr(other, name)) for name in LIMIT_NAMES})


assert tuple(Limits.__dataclass_fields__) == LIMIT_NAMES


@dataclass(frozen=True, slots=True)
class OrderLimits:
    """How many orders one account may send, and have open in all markets. What is UNLIMITED is as good as none."""

    orders_10s_max: int = UNLIMITED
    orders_1d_max: int = UNLIMITED
    open_orders_max: int = UNLIMITED


assert tuple(OrderLimits.__dataclass_fields__) == ORDER_LIMIT_NAMES


@dataclass(frozen=True)
class RateLimits:
    """How much clients may ask of the gateways, and how many orders of the matcher."""

    enabled: bool = True
    weight_per_address: int = 6_000  # request weight a minute, of what no key has signed
    weight_per_key: int = 6_000  # request weight a minute
    raw_requests: int = 61_000  # requests in five minutes, of an address or of a key
    orders_10s: int = 1_000_000  # new orders of an account in ten seconds, less what its fills take away
    orders_1d: int = 200_000_000  # on a day
    open_orders: int = 1_000_000  # of an account in all markets
    tokens_10s: int = 1_000  # of a key in ten seconds, over Pintu Pro's envelope
    connections_per_address: int = 300  # open at a time
    messages_per_second: int = 100  # of one WebSocket
    ban_after: int = 60  # requests refused in one minute
    ban_seconds: int = 120  # the first ban; each further one is twice as long
    ban_seconds_max: int = 259_200
    exempt: tuple[str, ...] = ("127.0.0.0/8", "::1/128")  # networks whose peers are counted and not limited

    @property
    def order_limits(self) -> OrderLimits:
        """What the matcher enforces for accounts without limits of their own, wherever their orders come from."""
        return OrderLimits(self.orders_10s, self.orders_1d, self.open_orders) if self.enabled else OrderLimits()


@dataclass(frozen=True)
class Settings:
    data_dir: Path
    durability: Durability = Durability.FSYNC
    gateways: int = 1
    cores: tuple[int, ...] = ()
    zmq_endpoint: str = "tcp://127.0.0.1:7070"
    pub_endpoint: str = "tcp://127.0.0.1:7071"
    http_endpoint: str = "127.0.0.1:7080"  # host:port that all web gateways share; "" leaves them out
    web_gateways: int = 1
    tls: tuple[Path, Path] | None = None  # certificate chain and private key (PEM) of the web gateways
    trusted_proxies: tuple[str, ...] = ()  # networks whose X-Forwarded-For web gateways believe
    command_ring_slots: int = 1 << 14
    event_ring_slots: int = 1 << 17
    journal_buffer_slots: int = 1 << 16
    segment_records: int = 1 << 18
    snapshot_commands: int = 1 << 20  # the replica snapshots after that many commands, and at a clean stop
    restarts_per_minute_max: int = 10  # of one process; beyond that the exchange stops
    history_url: str = ""  # of a PostgreSQL database; empty: SQLite in the data directory
    history_lag_segments_max: int = 256  # journal segments that are kept for a history process that lags
    limits: Limits = field(default_factory=Limits)
    rate_limits: RateLimits = field(default_factory=RateLimits)
    assets: tuple[Asset, ...] = DEFAULT_ASSETS
    markets: tuple[Market, ...] = field(default_factory=default_markets)
    accounts: tuple[Account, ...] = field(default_factory=lambda: default_accounts(DEFAULT_ASSETS))

    @property
    def journal_dir(self) -> Path:
        return self.data_dir / "journal"

    @property
    def snapshot_dir(self) -> Path:
        return self.data_dir / "snapshots"

    @property
    def history_path(self) -> Path:
        """The history store, where it is SQLite."""
        return self.data_dir / "history.db"

    @property
    def readers_dir(self) -> Path:
        """How far readers of the journal are that it must be kept for."""
        return self.data_dir / "readers"

    @property
    def listen_keys_dir(self) -> Path:
        """Listen keys of user streams, a file for each."""
        return self.data_dir / "listenkeys"

    @property
    def keystore_path(self) -> Path:
        return self.data_dir / "keys.json"

    @property
    def master_key_path(self) -> Path:
        """What `keys.json` is sealed under, where RINGEX_MASTER_KEY is not set."""
        return self.data_dir / "master.key"

    @property
    def demo_key_path(self) -> Path:
        """The demo account's key, for the first steps; written at the first start."""
        return self.data_dir / "demo-key.json"

    @property
    def lock_path(self) -> Path:
        """Held (flock) by every process of the exchange that uses this directory."""
        return self.data_dir / "lock"

    @property
    def run_path(self) -> Path:
        """What runs here now, as JSON; written by the supervisor, removed at a clean stop."""
        return self.data_dir / "run.json"

    @property
    def numbered_gateways(self) -> int:
        """All that have a command ring: the ZeroMQ gateways from 0 on, then the web gateways."""
        return self.gateways + (self.web_gateways if self.http_endpoint else 0)

    @property
    def event_readers(self) -> int:
        """Readers of the event ring that have a doorbell: the numbered gateways, then publisher and history."""
        return self.numbered_gateways + 2

    @property
    def http_address(self) -> tuple[str, int]:
        """(host, port) of the web gateways. Only where there are any."""
        host, _, port = self.http_endpoint.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def http_url(self) -> str:
        """Where clients find the web gateways; "" where there are none."""
        return f"http{'s' if self.tls else ''}://{self.http_endpoint}" if self.http_endpoint else ""

    def gateway_endpoint(self, gateway: int) -> str:
        """Where gateway number `gateway` listens: `zmq_endpoint` is number 0's, and every next one is two ports on.

        (The port between belongs to the publisher, by default.) An ipc:// path gets the number appended.
        """
        assert 0 <= gateway < self.gateways, f"gateway {gateway} of {self.gateways}"
        if gateway == 0:
            return self.zmq_endpoint
        if self.zmq_endpoint.startswith("ipc://"):
            return f"{self.zmq_endpoint}.{gateway}"
        host, _, port = self.zmq_endpoint.rpartition(":")
        return f"{host}:{int(port) + 2 * gateway}"

    @property
    def admin_endpoint(self) -> str:
        """Gateway 0 answers the command line's administrative requests here (file mode 0600)."""
        return f"ipc://{self.data_dir}/admin.sock"

    @property
    def replica_endpoint(self) -> str:
        """The replica serves `join` and `events` here."""
        return f"ipc://{self.data_dir}/replica.sock"


@dataclass(frozen=True)
class Run:
    """One life of the whole group: its rings and doorbells.

    Gateways are numbered, the web gateways after the others. Gateway k is reader k of the event ring, the publisher is
    the reader after the last one, the history the one after that. Doorbells are eventfds made before the fork, so the
    number means the same in every process.
    """

    epoch: int
    event_ring: str
    command_rings: tuple[str, ...]
    doorbells: tuple[int, ...]
    board: str = ""  # shared memory in which they show what they have counted; empty: they do not
    tallies: str = ""  # shared memory in which the gateways count requests; empty: each for itself
    leftover_rings: tuple[str, ...] = ()  # command rings of a crashed run, to be drained first, by name
    ready_fd: int = -1  # a pipe of this process alone: it writes one line `role\n` once it serves
    incarnation: int = 0  # which life of this process: larger for every restart, across runs too; fits a u4
