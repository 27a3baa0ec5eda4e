"""The exchange's own processes: what each runs, in which order they start and stop, and what they share from before.

Importing this imports all of them, Numba included, so it is done once, in the supervisor, before it forks.
"""

from __future__ import annotations

from functools import partial

from ringex.child import Role
from ringex.config import Settings
from ringex.engine.process import matcher_main
from ringex.gateways.keystore import KeystoreError, open_keystore
from ringex.gateways.masterkey import MasterKeyError
from ringex.gateways.web.process import web_gateway_main
from ringex.gateways.zmq import gateway_main
from ringex.marketdata.publisher import publisher_main
from ringex.preflight import CannotStart
from ringex.recorder import recorder_main
from ringex.replica import replica_main
from ringex.seed import make_demo_key, seed
from ringex.warmup import warm_up


def prepare(settings: Settings) -> tuple[Role, ...]:
    """The roles, with everything compiled that they need; at a first start the demo account's key is made and printed.

    Raises CannotStart.
    """
    first_start = not any(settings.journal_dir.iterdir())
    try:
        open_keystore(settings)  # a master key that does not fit is told now, not by each gateway
        key = make_demo_key(settings) if first_start else None
    except (KeystoreError, MasterKeyError) as error:
        raise CannotStart(str(error)) from error
    warm_up()
    if key is not None:
        print(f"account={key.account} api_key={key.api_key} secret={key.secret}", flush=True)
    return default_roles(settings)


def default_roles(settings: Settings) -> tuple[Role, ...]:
    gateways = tuple(
        Role(f"gateway-{k}", partial(gateway_main, number=k), start_stage=2, stop_stage=0, core_rank=1 + k)
        for k in range(settings.gateways)
    )
    web = tuple(
        Role(
            f"web-{k}",
            partial(web_gateway_main, number=number),
            start_stage=2,
            stop_stage=0,
            core_rank=1 + number,
        )
        for k, number in enumerate(range(settings.gateways, settings.numbered_gateways))
    )
    rest = 1 + settings.numbered_gateways
    return (
        Role(
            "matcher",
            partial(matcher_main, seed=partial(seed, settings)),
            start_stage=0,
            stop_stage=2,
            stop_seconds=30.0,
            core_rank=0,
        ),
        Role("replica", replica_main, start_stage=1, stop_stage=4, stop_seconds=60.0, niceness=10, core_rank=rest),
        *gateways,
        *web,
        Role("publisher", publisher_main, start_stage=2, stop_stage=1, core_rank=rest),
        Role("history", recorder_main, start_stage=2, stop_stage=3, stop_seconds=30.0, niceness=10, core_rank=rest),
    )
