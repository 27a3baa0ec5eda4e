"""`ringex history`: the history store exported, or made anew from the journal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ringex.clitools import directory_argument

if TYPE_CHECKING:
    from ringex.config import Settings

_CONFIG = click.option(
    "--config", type=click.Path(path_type=Path), help="The exchange's TOML file, where its store is in PostgreSQL."
)


@click.group("history")
def history_group() -> None:
    """What has happened: export it, or tell it anew."""


@history_group.command("export")
@directory_argument
@click.option("--to", "folder", type=click.Path(path_type=Path, file_okay=False), required=True, help="Where to.")
@click.option("--from", "start", help="The first moment, as 2024-03-01 or 2024-03-01T12:00:00, in UTC.")
@click.option("--until", help="The moment before which to end, in the same way.")
@_CONFIG
def history_export(directory: Path, folder: Path, start: str | None, until: str | None, config: Path | None) -> None:
    """Write what the store of the data directory DIR holds as Parquet files; the exchange may run meanwhile."""
    from ringex.history.exporting import ExportError, export
    from ringex.history.store.opening import open_store
    from ringex.history.store.store import TIME_MAX, StoreError

    start_ns, end_ns = _moment("--from", start, 0), _moment("--until", until, TIME_MAX)
    try:
        store = open_store(_settings(directory, config), writes=False)
        try:
            store.check()
            written = export(store, folder, start_ns, end_ns)
        finally:
            store.close()
    except (ExportError, StoreError, OSError) as error:
        raise click.ClickException(str(error)) from error
    for name, count in written.items():
        click.echo(f"{folder / name}.parquet: {count} rows")


@history_group.command("rebuild")
@directory_argument
@_CONFIG
def history_rebuild(directory: Path, config: Path | None) -> None:
    """Make the store of the data directory DIR anew from its journal; the exchange must be stopped."""
    from ringex.history.store.opening import open_store
    from ringex.history.store.store import StoreError
    from ringex.journal.errors import JournalError
    from ringex.preflight import CannotStart, DataDirLock
    from ringex.retelling import rebuild

    settings = _settings(directory, config)
    try:
        lock = DataDirLock(settings)
    except CannotStart as error:
        raise click.ClickException(str(error)) from error
    try:
        store = open_store(settings, writes=True)
        try:
            count = rebuild(settings, store)
            gaps = store.gaps()
        finally:
            store.close()
    except (StoreError, JournalError, OSError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        lock.release()
    click.echo(f"{count} events were told anew")
    for after, last, *_ in gaps:
        click.echo(f"the events {int(after) + 1} to {last} are held nowhere any more: trades among them are missing")


def _settings(directory: Path, config: Path | None) -> Settings:
    from ringex.configfile import ConfigError, load_settings

    try:
        return replace(load_settings(config), data_dir=directory.absolute())
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


def _moment(option: str, text: str | None, default: int) -> int:
    if text is None:
        return default
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: {text!r} is no moment such as 2024-03-01T12:00:00") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000_000_000
