"""Hand-worked scenarios of fee schedules and the fee asset, on the reference exchange and on the engine.

Ten hundredths of a coin at 1.00 are 10,000,000 base units for 10,000,000 quote units; the market's taker pays 0.1 %,
its maker 0.05 %.
"""

from __future__ import annotations

from typing import Any

import pytest
from reference.desk import ALICE, BOB, BTC, BUY, CAROL, SELL, USDT
from reference.records import Fields
from reference.scene import Scene as ReferenceScene
from scene import Scene as EngineScene

from ringex.engine.fees import MORE_THAN_ANYBODY_HAS, divided_up
from ringex.messages import AMOUNT_MAX
from ringex.reasons import Reason
from ringex.terms import EventKind, OrderType, TimeInForce

Scene = Any
FEES = {"taker_fee": 100_000, "maker_fee": 50_000}
FEE_ACCOUNT = 0
BNB, BNBUSDT = 2, 1
THREE_QUARTERS = 75_000_000


@pytest.fixture(params=[ReferenceScene, EngineScene], ids=["reference", "engine"])
def scene(request: pytest.FixtureRequest) -> Scene:
    return request.param(**FEES)


def trade(scene: Scene, maker: int = ALICE, taker: int = BOB, **fields: Any) -> Fields:
    """The maker sells ten at 100 to the taker. The TRADE."""
    scene.place(maker, SELL, 100, 10, **fields)
    return last_trade(scene.place(taker, BUY, 100, 10, **fields))


def last_trade(events: list[Fields]) -> Fields:
    (event,) = [event for event in events if event["kind"] == EventKind.TRADE]
    return event


def refused(scene: Scene, command: Fields) -> Reason:
    event = scene.one(command)
    assert event["kind"] == EventKind.REJECTED
    return Reason(event["reason"])


def with_a_fee_asset(scene: Scene, price: int = 29_999, owned: int = 10**8) -> None:
    """BNB, traded once at `price` (300.00 is 30,000), of which bob owns some, and pays his fees in."""
    desk = scene.desk
    scene.do(desk.asset("BNB", 8))
    scene.do(desk.market("BNBUSDT", base=BNB, quote=USDT))
    scene.do(desk.fee_asset(BNB, THREE_QUARTERS))
    scene.do(desk.pay_in_fee_asset(BOB))
    scene.do(desk.deposit(CAROL, BNB, 10**8))
    if owned:
        scene.do(desk.deposit(BOB, BNB, owned))
    if price:
        scene.place(CAROL, SELL, price, 10, market=BNBUSDT)
        scene.place(ALICE, BUY, price, 10, market=BNBUSDT)


# ---- schedules ----------------------------------------------------------------------------------------------------


def test_the_narrower_schedule_wins(scene: Scene) -> None:
    desk = scene.desk
    fees = [trade(scene)["taker_fee"]]
    for command in (
        desk.fees(BOB, 0, 200_000),
        desk.fees(BOB, 0, 300_000, market=0),
        desk.fees(BOB, 0, 0, market=0, in_force=0),
        desk.fees(BOB, 0, 0, in_force=0),
        desk.fees(BOB, 0, 0, in_force=0),  # there is none: no error
    ):
        scene.do(command)
        fees.append(trade(scene)["taker_fee"])
    assert fees == [10_000, 20_000, 30_000, 20_000, 10_000, 10_000]
    assert scene.balance(FEE_ACCOUNT, BTC) == (100_000, 0)


def test_a_schedule_is_of_one_account_and_role(scene: Scene) -> None:
    scene.do(scene.desk.fees(BOB, 70_000, 30_000))
    event = trade(scene)
    assert (event["taker_fee"], event["maker_fee"]) == (3_000, 5_000)
    event = trade(scene, maker=BOB, taker=ALICE)
    assert (event["taker_fee"], event["maker_fee"]) == (10_000, 7_000)


def test_the_rate_is_that_of_the_trade_not_of_the_order(scene: Scene) -> None:
    scene.place(ALICE, SELL, 100, 10)
    scene.do(scene.desk.fees(ALICE, 10_000, 0))
    event = last_trade(scene.place(BOB, BUY, 100, 10))
    assert event["maker_fee"] == 1_000
    assert (event["maker_quote_free"], event["maker_fee_asset"]) == (10**13 + 10_000_000 - 1_000, 0)


def test_a_schedule_holds_for_balances_made_later(scene: Scene) -> None:
    scene.do(scene.desk.fees(BOB, 0, 300_000))
    scene.do(scene.desk.asset("BNB", 8))
    scene.do(scene.desk.market("BNBUSDT", base=BNB, quote=USDT, **FEES))
    scene.do(scene.desk.deposit(ALICE, BNB, 10**8))
    assert trade(scene, market=BNBUSDT)["taker_fee"] == 30_000


def test_a_rebate_is_cut_to_what_has_been_earned(scene: Scene) -> None:
    scene.do(scene.desk.fees(ALICE, -500_000, 0))  # 50,000 of 10,000,000
    event = trade(scene)
    assert (event["taker_fee"], event["maker_fee"]) == (10_000, 0)  # account 0 has no quote yet
    scene.place(ALICE, BUY, 100, 10)
    event = last_trade(scene.place(BOB, SELL, 100, 10))
    assert (event["taker_fee"], event["maker_fee"]) == (10_000, -10_000)  # all the base that it has
    assert scene.balance(FEE_ACCOUNT, BTC) == (0, 0)
    assert scene.balance(FEE_ACCOUNT, USDT) == (10_000, 0)


def test_what_a_schedule_may_not_be(scene: Scene) -> None:
    desk = scene.desk
    assert refused(scene, desk.fees(FEE_ACCOUNT, 0, 0)) == Reason.UNKNOWN_ACCOUNT
    assert refused(scene, desk.fees(4, 0, 0, market=7)) == Reason.UNKNOWN_ACCOUNT
    assert refused(scene, desk.fees(BOB, 0, 0, market=1)) == Reason.INVALID_SYMBOL
    assert refused(scene, desk.fees(BOB, 0, 0, market=-2)) == Reason.INVALID_SYMBOL
    assert refused(scene, desk.fees(BOB, 10**8, 0, in_force=2)) == Reason.INVALID_COMMAND
    assert refused(scene, desk.fees(BOB, 10**8, 0)) == Reason.INVALID_FEES
    assert refused(scene, desk.fees(BOB, 0, -(10**8))) == Reason.INVALID_FEES
    event = scene.one(desk.fees(BOB, 10**8, 0, in_force=0))  # rates are not looked at, nor told
    assert (event["kind"], event["account"], event["market"]) == (EventKind.FEES, BOB, -1)
    assert (event["maker_fee"], event["taker_fee"], event["in_force"]) == (0, 0, 0)


# ---- the fee asset ------------------------------------------------------------------------------------------------


def test_a_fee_in_the_fee_asset_is_rounded_up(scene: Scene) -> None:
    with_a_fee_asset(scene)
    event = trade(scene)
    # 0.075 % of 10,000,000 quote units are 7,500; at 299.99 that is 25.0008… units of BNB
    assert (event["taker_fee"], event["taker_fee_asset"]) == (26, BNB + 1)
    assert (event["maker_fee"], event["maker_fee_asset"]) == (5_000, 0)
    assert event["taker_base_free"] == 10**13 + 10_000_000  # nothing taken off
    assert scene.balance(BOB, BNB) == (10**8 - 26, 0)
    assert scene.balance(FEE_ACCOUNT, BNB) == (26, 0)


def test_an_exact_price_is_not_rounded(scene: Scene) -> None:
    with_a_fee_asset(scene, price=30_000)
    assert trade(scene)["taker_fee"] == 25


def test_the_sellers_value_is_the_same(scene: Scene) -> None:
    with_a_fee_asset(scene)
    event = trade(scene, maker=BOB, taker=ALICE)
    # the maker's rate: 0.0375 % of 10,000,000 are 3,750; at 299.99 that is 12.5004…
    assert (event["maker_fee"], event["maker_fee_asset"]) == (13, BNB + 1)
    assert event["maker_quote_free"] == 10**13 + 10_000_000


@pytest.mark.parametrize("why", ["no price", "not enough", "no balance", "opted out", "no fee asset", "a rebate"])
def test_else_the_fee_is_in_what_is_received_in_full(scene: Scene, why: str) -> None:
    desk = scene.desk
    owned = {"not enough": 25, "no balance": 0}.get(why, 10**8)
    with_a_fee_asset(scene, price=0 if why == "no price" else 29_999, owned=owned)
    if why == "opted out":
        scene.do(desk.pay_in_fee_asset(BOB, in_force=0))
    if why == "no fee asset":
        scene.do(desk.fee_asset(BNB, 0, in_force=0))
    if why == "a rebate":
        scene.do(desk.fees(BOB, 0, -10_000))
    event = trade(scene)
    expected = 0 if why == "a rebate" else 10_000  # account 0 has nothing to pay it from
    assert (event["taker_fee"], event["taker_fee_asset"]) == (expected, 0)
    assert scene.balance(BOB, BNB) == (owned, 0)


def test_the_last_units_are_enough(scene: Scene) -> None:
    with_a_fee_asset(scene, owned=26)
    assert trade(scene)["taker_fee"] == 26
    assert scene.balance(BOB, BNB) == (0, 0)


def test_the_value_in_base_where_quote_has_no_price(scene: Scene) -> None:
    desk = scene.desk
    with_a_fee_asset(scene, price=0)
    scene.do(desk.market("BNBBTC", base=BNB, quote=BTC))
    scene.place(CAROL, SELL, 3, 10, market=2)  # 0.03 BTC
    scene.place(ALICE, BUY, 3, 10, market=2)
    # 0.075 % of 10,000,000 base units are 7,500; at 0.03 that is 250,000 units of BNB
    event = trade(scene)
    assert (event["taker_fee"], event["taker_fee_asset"]) == (250_000, BNB + 1)


def test_the_fee_asset_itself_is_traded(scene: Scene) -> None:
    desk = scene.desk
    scene.do(desk.fee_asset(BTC, THREE_QUARTERS))
    scene.do(desk.pay_in_fee_asset(BOB))
    event = trade(scene)  # bob receives the fee asset: three quarters of 10,000
    assert (event["taker_fee"], event["taker_fee_asset"]) == (7_500, BTC + 1)
    assert event["taker_base_free"] == 10**13 + 10_000_000 - 7_500
    scene.place(ALICE, BUY, 100, 10)
    event = last_trade(scene.place(BOB, SELL, 100, 10))  # he gives it, from his hold, and pays from what is free
    assert (event["taker_fee"], event["taker_fee_asset"]) == (7_500, BTC + 1)
    assert event["taker_base_free"] == 10**13 - 15_000
    assert event["taker_quote_free"] == 10**13


def test_a_market_order_does_not_pay_from_what_it_spends(scene: Scene) -> None:
    desk = scene.desk
    scene.do(desk.fee_asset(BTC, THREE_QUARTERS))
    scene.do(desk.pay_in_fee_asset(BOB))
    scene.place(ALICE, BUY, 100, 10)
    event = last_trade(scene.do(desk.market_order(BOB, SELL, 10)))
    assert (event["taker_fee"], event["taker_fee_asset"]) == (10_000, 0)
    scene.place(ALICE, SELL, 100, 10)
    event = last_trade(scene.do(desk.market_order(BOB, BUY, 10)))  # it spends quote: the base it gets can pay
    assert (event["taker_fee"], event["taker_fee_asset"]) == (7_500, BTC + 1)


def test_a_market_order_can_spend_all_of_a_quote_that_is_the_fee_asset(scene: Scene) -> None:
    desk = scene.desk
    scene.do(desk.fee_asset(USDT, THREE_QUARTERS))
    scene.do(desk.pay_in_fee_asset(BOB))
    scene.do(desk.withdraw(BOB, USDT, 10**13 - 20_000_000))
    scene.place(ALICE, SELL, 100, 10)
    scene.place(ALICE, SELL, 100, 10)
    events = scene.do(desk.market_order(BOB, BUY, 20))
    assert [event["taker_fee"] for event in events[1:]] == [10_000, 10_000]
    assert scene.balance(BOB, USDT) == (0, 0)


def test_the_first_market_that_prices_it_counts_even_if_it_came_later(scene: Scene) -> None:
    desk = scene.desk
    scene.do(desk.asset("BNB", 8))
    scene.do(desk.fee_asset(BNB, THREE_QUARTERS))
    scene.do(desk.market("BNBUSDT", base=BNB, quote=USDT))
    scene.do(desk.market("BNBUSDT2", base=BNB, quote=USDT))
    scene.do(desk.pay_in_fee_asset(BOB))
    for account in (BOB, CAROL):
        scene.do(desk.deposit(account, BNB, 10**8))
    scene.place(CAROL, SELL, 100, 10, market=2)
    scene.place(ALICE, BUY, 100, 10, market=2)
    assert trade(scene)["taker_fee_asset"] == 0
    scene.place(CAROL, SELL, 30_000, 10, market=1)
    scene.place(ALICE, BUY, 30_000, 10, market=1)
    assert (trade(scene)["taker_fee"]) == 25


def test_immediate_orders_pay_it_too(scene: Scene) -> None:
    with_a_fee_asset(scene)
    scene.place(ALICE, SELL, 100, 10)
    event = last_trade(scene.place(BOB, BUY, 100, 10, time_in_force=TimeInForce.IOC))
    assert event["taker_fee"] == 26
    scene.place(ALICE, SELL, 100, 10)
    scene.place(BOB, BUY, 99, 10, order_type=OrderType.LIMIT_MAKER)
    event = last_trade(scene.place(BOB, BUY, 100, 10))
    assert event["taker_fee"] == 26


def test_what_a_fee_asset_may_not_be(scene: Scene) -> None:
    desk = scene.desk
    assert refused(scene, desk.pay_in_fee_asset(4, in_force=7)) == Reason.UNKNOWN_ACCOUNT
    assert refused(scene, desk.pay_in_fee_asset(BOB, in_force=7)) == Reason.INVALID_COMMAND
    assert refused(scene, desk.fee_asset(BNB, -1)) == Reason.UNKNOWN_ASSET
    assert refused(scene, desk.fee_asset(BTC, -1)) == Reason.INVALID_FEES
    assert refused(scene, desk.fee_asset(BTC, 10**8 + 1)) == Reason.INVALID_FEES
    event = scene.one(desk.fee_asset(BTC, 10**8))
    assert (event["account"], event["market"], event["multiplier"], event["in_force"]) == (0, BTC, 10**8, 1)
    event = scene.one(desk.fee_asset(BTC, 10**8, in_force=0))
    assert (event["account"], event["market"], event["multiplier"], event["in_force"]) == (0, 0, 0, 0)
    event = scene.one(desk.pay_in_fee_asset(BOB))
    assert (event["account"], event["market"], event["in_force"]) == (BOB, 0, 1)


# ---- the conversion -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [-18, -3, 0, 1, 8, 18, 36])
def test_the_conversion_is_exact(exponent: int) -> None:
    numbers = (0, 1, 2, 7, 999, 10**9 + 7, 10**18 - 1, AMOUNT_MAX - 1, AMOUNT_MAX)
    for value in numbers:
        for price in numbers[1:]:
            whole = value * 10 ** max(exponent, 0)
            exact = -(-whole // (price * 10 ** max(-exponent, 0)))
            found = divided_up(value, price, exponent)
            assert found == exact or (exact > AMOUNT_MAX and found > AMOUNT_MAX), (value, price)
            assert found <= MORE_THAN_ANYBODY_HAS
