"""The first commands of a journal: the configured limits, assets, markets, accounts, keys and deposits.

A configuration only seeds. Once the journal holds a command, assets, markets and accounts change by command alone, and
what a configuration says about them is no longer looked at.
"""

from __future__ import annotations

import msgspec
import numpy as np

from ringex.administration import add_account, add_asset, add_key, add_market, deposit, set_filters, set_limits
from ringex.config import Settings
from ringex.gateways.keystore import Key, open_keystore, stored_keys
from ringex.gateways.masterkey import write_private
from ringex.markets import DEMO_ACCOUNT, NO_FILTERS
from ringex.messages import COMMAND
from ringex.terms import KeyScope


def seed(settings: Settings) -> np.ndarray:
    """The commands that an empty journal begins with, in order. COMMAND records, shape (count,); unstamped.

    The limits, then assets, then markets, each with its filters, then accounts (numbered from 1: account 0 collects
    fees), then the deposits, and last, because they are the only ones that may become more, the keys that `keys.json`
    holds for those accounts. The reference of a deposit is `seed-` and the two numbers. Raises KeystoreError for an
    unreadable `keys.json`.
    """
    asset_numbers = {asset.name: number for number, asset in enumerate(settings.assets)}
    account_numbers = {account.name: number for number, account in enumerate(settings.accounts, start=1)}
    assert len(asset_numbers) == len(settings.assets), "an asset's name is used once"
    assert len(account_numbers) == len(settings.accounts), "an account's name is used once"

    records = [set_limits(settings.limits)]
    records += [add_asset(asset) for asset in settings.assets]
    for number, market in enumerate(settings.markets):
        records.append(add_market(market, asset_numbers))
        if market.filters != NO_FILTERS:
            records.append(set_filters(number, market.filters))
    records += [add_account(account.name) for account in settings.accounts]
    for account in settings.accounts:
        number = account_numbers[account.name]
        records += [
            deposit(number, asset_numbers[asset], amount, f"seed-{number}-{asset_numbers[asset]}")
            for asset, amount in account.deposits
        ]
    records += [
        add_key(key.number, account_numbers[key.account], key.scopes)
        for key in stored_keys(settings.keystore_path)
        if key.account in account_numbers
    ]
    # As bytes: NumPy's own copies of records leave out what lies between or behind the fields of their dtype.
    return np.frombuffer(bytearray(b"".join(record.tobytes() for record in records)), COMMAND)


def make_demo_key(settings: Settings) -> Key | None:
    """The demo account's key, made if `keys.json` has none; None if no account is called demo.

    For a first start, before the matcher takes the seed: a key made later would be unknown to the journal. It is also
    written to `demo-key.json`, mode 0600. Raises KeystoreError, MasterKeyError.
    """
    if not any(account.name == DEMO_ACCOUNT for account in settings.accounts):
        return None
    keystore = open_keystore(settings)
    of_demo = [key for key in keystore.keys if key.account == DEMO_ACCOUNT and key.secret]
    key = of_demo[0] if of_demo else keystore.make(DEMO_ACCOUNT, sum(KeyScope))
    shown = {"account": key.account, "api_key": key.api_key, "secret": key.secret}
    write_private(settings.demo_key_path, msgspec.json.encode(shown) + b"\n")
    return key
