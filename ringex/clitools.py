"""What commands of the command line share: which data directory is meant, and asking the exchange that runs on it.

Commands import what they need when they run: `ringex status` need not wait for what only `ringex start` uses.
"""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ringex.config import Settings

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    envvar="RINGEX_DATA",
    show_envvar=True,
    help="The data directory. [default: ./ringex-data]",
)

directory_argument = click.argument(
    "directory", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR"
)
to_option = click.option(
    "--to",
    "to_sequence",
    metavar="SEQ",
    type=click.IntRange(min=0),
    help="Stop after this command. [default: the last]",
)
reference_option = click.option(
    "--reference", help="The same reference is booked once, however often it is sent. [default: a new one]"
)


def time_ms(text: str) -> int:
    """A time as milliseconds since 1970: ISO 8601 with its offset from UTC, or +SECONDS from now."""
    if text.startswith("+") and text[1:].isdigit():
        return int(time.time() * 1000) + int(text) * 1000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no time; 2030-01-31T09:00:00Z is, and +90 (seconds from now)") from None
    if moment.tzinfo is None:
        raise click.BadParameter(f"{text!r} has no offset from UTC; end it with Z, or with one such as +07:00")
    return int(moment.timestamp() * 1000)


def administer(data: Path | None, method: str, params: dict[str, Any], hint: str = "") -> None:
    """Ask gateway 0 and print its result, one `name: value` a line."""
    for name, value in ask(data, method, params, hint).items():
        if isinstance(value, dict):
            value = [f"{key} {part}" for key, part in value.items()]
        click.echo(f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}")


def ask(data: Path | None, method: str, params: dict[str, Any], hint: str = "") -> dict[str, Any]:
    """Gateway 0's result."""
    from ringex.adminclient import AdminError, NoAnswerError, request

    settings = running(data)
    try:
        return request(settings.admin_endpoint, method, params)
    except NoAnswerError as error:
        raise click.ClickException(f"{error}{hint}") from error
    except AdminError as error:
        raise click.ClickException(str(error)) from error


def settings_of(data: Path | None) -> Settings:
    from ringex.configfile import ConfigError, load_settings

    try:
        return load_settings(None, {"data": data})
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


def running(data: Path | None) -> Settings:
    """Settings of the data directory. Raises ClickException if no exchange runs on it."""
    from ringex.preflight import is_locked

    settings = settings_of(data)
    if not is_locked(settings):
        raise click.ClickException(
            f"no exchange runs on {settings.data_dir}; start one with `ringex start`, or name another with --data"
        )
    return settings
