"""Order lists: the open ones, and the last so many that are done, as ORDER_LIST events tell of them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np

from ringex.messages import LIST_EVENT, text_of, words_of
from ringex.terms import ListKind, ListStatus

DONE_LISTS_MAX: Final = 1 << 16
ORDER_LIST: Final = np.dtype(
    [
        ("order_list_id", "i8"),
        ("order_ids", "i8", (3,)),  # the working one first; 0: there are only two
        ("created_ns", "i8"),
        ("updated_ns", "i8"),
        ("client_order_id", "u8", (5,)),
        ("account", "i4"),
        ("market", "i4"),
        ("kind", "i4"),  # ListKind
        ("status", "i4"),  # ListStatus: the last that was told
    ],
    align=True,
)


@dataclass(frozen=True, slots=True)
class OrderList:
    """An order list as it last was."""

    order_list_id: int
    account: int
    market: int
    kind: ListKind
    status: ListStatus
    client_order_id: str
    order_ids: tuple[int, ...]
    created_ns: int
    updated_ns: int

    @property
    def is_open(self) -> bool:
        return self.status != ListStatus.ALL_DONE


class OrderLists:
    """All open order lists, and the last `done_max` that are done. A client order id means who took it last."""

    def __init__(self, done_max: int = DONE_LISTS_MAX) -> None:
        self.done_max = done_max
        self.forgotten = 0  # how many lists that were done are no longer held
        self._open: dict[int, OrderList] = {}
        self._done: OrderedDict[int, OrderList] = OrderedDict()  # in the order in which they were done
        self._of_account: dict[int, dict[int, None]] = {}  # ids, oldest first
        self._by_client_id: dict[tuple[int, str], int] = {}

    def apply(self, events: np.ndarray) -> None:
        """Take ORDER_LIST events, shape (n,), as LIST_EVENT records."""
        for event in events.view(LIST_EVENT):
            order_list_id = int(event["order_list_id"])
            known = self._open.pop(order_list_id, None)
            names = ("first_order_id", "second_order_id", "third_order_id")
            self._enter(
                OrderList(
                    order_list_id=order_list_id,
                    account=int(event["account"]),
                    market=int(event["market"]),
                    kind=ListKind(int(event["list_kind"])),
                    status=ListStatus(int(event["list_status"])),
                    client_order_id=text_of(event["client_order_id"]),
                    order_ids=tuple(int(event[name]) for name in names if event[name]),
                    created_ns=known.created_ns if known else int(event["time_ns"]),
                    updated_ns=int(event["time_ns"]),
                )
            )

    def with_id(self, order_list_id: int) -> OrderList | None:
        return self._open.get(order_list_id) or self._done.get(order_list_id)

    def with_client_id(self, account: int, text: str) -> OrderList | None:
        order_list_id = self._by_client_id.get((account, text))
        return self.with_id(order_list_id) if order_list_id is not None else None

    def of(self, account: int) -> list[OrderList]:
        """The account's lists that are held, by id."""
        found = (self.with_id(order_list_id) for order_list_id in self._of_account.get(account, ()))
        return [order_list for order_list in found if order_list is not None]

    def open_of(self, account: int) -> list[OrderList]:
        """The account's open lists, by id."""
        return [order_list for order_list in self.of(account) if order_list.is_open]

    def export(self) -> np.ndarray:
        """ORDER_LIST records: those that are done, in that order, then the open ones by id."""
        held = [*self._done.values(), *sorted(self._open.values(), key=lambda one: one.order_list_id)]
        records = np.zeros(len(held), ORDER_LIST)
        for record, one in zip(records, held, strict=True):
            for name in ("order_list_id", "created_ns", "updated_ns", "account", "market", "kind", "status"):
                record[name] = getattr(one, name)
            record["order_ids"][: len(one.order_ids)] = one.order_ids
            record["client_order_id"] = words_of(one.client_order_id)
        return records

    def load(self, records: np.ndarray, forgotten: int) -> None:
        """Fill an empty table from what `export` gave; the caller has checked accounts, markets and enums."""
        self.forgotten = forgotten
        for record in records:
            self._enter(
                OrderList(
                    **{name: int(record[name]) for name in ("order_list_id", "created_ns", "updated_ns")},
                    account=int(record["account"]),
                    market=int(record["market"]),
                    kind=ListKind(int(record["kind"])),
                    status=ListStatus(int(record["status"])),
                    client_order_id=text_of(record["client_order_id"]),
                    order_ids=tuple(int(order_id) for order_id in record["order_ids"] if order_id),
                )
            )
        for ids in self._of_account.values():
            ordered = sorted(ids)
            ids.clear()
            ids.update(dict.fromkeys(ordered))
        held = sorted((*self._done.values(), *self._open.values()), key=lambda one: one.order_list_id)
        self._by_client_id = {(one.account, one.client_order_id): one.order_list_id for one in held}

    def _enter(self, one: OrderList) -> None:
        self._of_account.setdefault(one.account, {}).setdefault(one.order_list_id)
        self._by_client_id[one.account, one.client_order_id] = max(
            one.order_list_id, self._by_client_id.get((one.account, one.client_order_id), 0)
        )
        if one.is_open:
            self._open[one.order_list_id] = one
            return
        self._done[one.order_list_id] = one
        if len(self._done) > self.done_max:
            self._forget(self._done.popitem(last=False)[1])

    def _forget(self, one: OrderList) -> None:
        self.forgotten += 1
        own = self._of_account[one.account]
        del own[one.order_list_id]
        if not own:
            del self._of_account[one.account]
        if self._by_client_id.get((one.account, one.client_order_id)) == one.order_list_id:
            del self._by_client_id[one.account, one.client_order_id]
