"""The command line: `ringex start`, and what looks at, stops or administers what runs. Every error is one line.

Commands import what they need when they run: `ringex status` need not wait for what only `ringex start` uses.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Final

import click

from ringex.cliaccounts import ACCOUNT_COMMANDS
from ringex.clihistory import history_group
from ringex.climarkets import MARKET_COMMANDS
from ringex.clitools import administer, ask, data_option, directory_argument, running, settings_of, to_option

SCOPES: Final = ("TRADE", "USER_DATA", "USER_STREAM", "FIX_API", "FIX_API_READ_ONLY")
STOP_SECONDS_DEFAULT: Final = 150.0


def main() -> None:
    """Run the command line; exit code 0, or 1 and one line on stderr (2 for wrong usage)."""
    try:
        sys.exit(cli.main(prog_name="ringex", standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = 2
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "ringex"
        code = _complain(f"{_one_line(error.format_message())} (see `{command} --help`)", 2)
    except click.ClickException as error:
        code = _complain(error.format_message(), 1)
    except (click.Abort, KeyboardInterrupt):
        code = _complain("interrupted", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of our output has gone
        code = 1
    except Exception as error:
        if os.environ.get("RINGEX_DEBUG"):
            raise
        code = _complain(f"{type(error).__name__}: {_one_line(str(error))} (RINGEX_DEBUG=1 shows where)", 1)
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ringex", message="%(version)s")
def cli() -> None:
    """A spot exchange: start it, look at it, administer it."""


cli.add_command(history_group)


# ---- running


@cli.command()
@click.option("--config", type=click.Path(path_type=Path), help="A TOML file; options given here win over it.")
@data_option
@click.option("--cores", metavar="0,1,…", help="Cores to pin to: the matcher's, the gateways', then the rest's.")
@click.option("--gateways", type=int, help="How many gateway processes. [default: 1]")
@click.option("--durability", help="When a command counts as safe: fsync, os or none. [default: fsync]")
@click.option("--zmq", metavar="ENDPOINT", help="Where clients connect. [default: tcp://127.0.0.1:7070]")
@click.option("--pub", metavar="ENDPOINT", help="Where market data is published. [default: tcp://127.0.0.1:7071]")
@click.option("--http", metavar="HOST:PORT", help="REST and WebSocket; off leaves them out. [default: 127.0.0.1:7080]")
@click.option("--web-gateways", "web_gateways", type=int, help="How many processes share that port. [default: 1]")
@click.option("--tls", nargs=2, metavar="CERT KEY", help="PEM files: serve HTTPS and WSS instead.")
@click.option(
    *("--trusted-proxy", "trusted_proxies"),
    multiple=True,
    metavar="CIDR",
    help="Whose X-Forwarded-For tells the client's address. May be repeated. [default: nobody's]",
)
def start(config: Path | None, cores: str | None, trusted_proxies: tuple[str, ...], **options: Any) -> int:
    """Start the exchange and run it until it is stopped."""
    # OpenBLAS would start its threads when NumPy is imported, and the supervisor forks: there may be none.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from ringex.configfile import ConfigError, load_settings
    from ringex.supervisor import run_exchange

    try:
        settings = load_settings(
            config, {"cores": _cores(cores), "trusted_proxies": trusted_proxies or None, **options}
        )
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    return run_exchange(settings)


def _cores(text: str | None) -> list[int] | str | None:
    """ "0,1" -> [0, 1]. What is no such list is handed on as it is, to be refused with what is allowed."""
    if text is None:
        return None
    words = text.split(",")
    return [int(word) for word in words] if all(word.strip().isdecimal() for word in words) else text


@cli.command()
@data_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(data: Path | None, as_json: bool) -> int:
    """Say what runs, and how it is. Exit code 1 if nothing does."""
    from ringex.status import describe, read_status

    found = read_status(settings_of(data))
    click.echo(json.dumps(found, indent=2) if as_json else describe(found))
    return 0 if found["running"] else 1


@cli.command()
@data_option
@click.option("--timeout", type=float, default=STOP_SECONDS_DEFAULT, show_default=True, help="Seconds to wait.")
def stop(data: Path | None, timeout: float) -> None:
    """Stop the exchange cleanly, and wait until it has."""
    from ringex.status import stop_exchange

    settings = running(data)
    if not stop_exchange(settings, timeout):
        raise click.ClickException(f"the exchange on {settings.data_dir} has not stopped within {timeout:g} s")
    click.echo(f"stopped {settings.data_dir}")


# ---- administering


@cli.group("key")
def key_group() -> None:
    """API keys."""


@key_group.command("create")
@data_option
@click.option("--account", required=True, help="The account that the key acts for; made if there is none.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="May be repeated. [default: all]")
@click.option(
    "--public-key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A PEM file: the key signs with Ed25519, and no secret is made. [default: HMAC-SHA256 with a secret]",
)
@click.option("--ip", "addresses", multiple=True, metavar="CIDR", help="Used from there only; may be repeated.")
def key_create(
    data: Path | None, account: str, scopes: tuple[str, ...], public_key: Path | None, addresses: tuple[str, ...]
) -> None:
    """Make a key and print it. A secret is shown this once."""
    params: dict[str, Any] = {"account": account, "scopes": list(scopes or SCOPES)}
    if public_key is not None:
        params["publicKey"] = _public_key(public_key)
    if addresses:
        params["addresses"] = list(addresses)
    administer(data, "admin.keys.create", params)


def _public_key(path: Path) -> str:
    from ringex.gateways.keystore import ed25519_key

    text = path.read_text(encoding="ascii", errors="replace")
    try:
        ed25519_key(text)
    except ValueError as error:
        raise click.ClickException(f"{path}: {error}") from error
    return text


@key_group.command("list")
@data_option
@click.option("--account", help="Of this account only.")
def key_list(data: Path | None, account: str | None) -> None:
    """Print the keys that work, one a line: API key, account, signature, scopes, networks."""
    result = ask(data, "admin.keys.list", {"account": account} if account else {})
    for key in result["keys"]:
        words = (key["apiKey"], key["account"], key["signature"], ",".join(key["scopes"]))
        click.echo(" ".join((*words, ",".join(key["addresses"]) or "anywhere")))
    if result["omitted"]:
        click.echo(f"{result['omitted']} more; name an account with --account", err=True)


@key_group.command("revoke")
@data_option
@click.argument("api_key")
def key_revoke(data: Path | None, api_key: str) -> None:
    """Let the key API_KEY open nothing any more: its sessions and streams end at once, its orders stay."""
    administer(data, "admin.keys.revoke", {"apiKey": api_key})


@key_group.command("rotate-master")
@data_option
def key_rotate_master(data: Path | None) -> None:
    """Seal the keys' secrets under a new master key: a new one in the file, or the one in RINGEX_MASTER_KEY_NEW.

    The exchange must be stopped.
    """
    from ringex.gateways.keystore import NEW_ENVIRONMENT, KeystoreError, rotate_master_key
    from ringex.gateways.masterkey import MasterKeyError
    from ringex.preflight import CannotStart, DataDirLock

    settings = settings_of(data)
    if not settings.keystore_path.exists():
        raise click.ClickException(f"{settings.keystore_path}: there are no keys")
    try:
        lock = DataDirLock(settings)
    except CannotStart as error:
        raise click.ClickException(str(error)) from error
    new = os.environ.get(NEW_ENVIRONMENT, "")
    try:
        rotate_master_key(settings, new)
    except (KeystoreError, MasterKeyError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        lock.release()
    kept = "the one given; start with it in RINGEX_MASTER_KEY" if new else str(settings.master_key_path)
    click.echo(f"master key: {kept}")


@cli.group()
def kill() -> None:
    """Stop an account or a market, and cancel the orders."""


@kill.command("account")
@data_option
@click.argument("name")
def kill_account(data: Path | None, name: str) -> None:
    """Block the account NAME and cancel all its orders, at one stroke."""
    administer(data, "admin.account.kill", {"name": name})


@kill.command("market")
@data_option
@click.argument("symbol")
def kill_market(data: Path | None, symbol: str) -> None:
    """Halt the market SYMBOL and cancel everybody's orders in it, at one stroke."""
    administer(data, "admin.market.kill", {"symbol": symbol})


for account_command in ACCOUNT_COMMANDS:
    cli.add_command(account_command)


for market_command in MARKET_COMMANDS:
    cli.add_command(market_command)


# ---- looking at what is on disk


@cli.command()
@directory_argument
@to_option
def replay(directory: Path, to_sequence: int | None) -> None:
    """Apply the journal of the data directory DIR again; print sequence, command counts and the state's hash."""
    from ringex.replaying import ReplayError, replay_directory

    try:
        report = replay_directory(directory, to_sequence)
    except ReplayError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"sequence: {report.sequence}")
    if report.from_sequence > 1:
        click.echo(f"from: {report.from_sequence} (snapshot {report.from_sequence - 1})")
    for name, count in report.counts.items():
        click.echo(f"{name}: {count}")
    click.echo(f"events: {report.events}")
    click.echo(f"hash: {report.state_hash}")


@cli.command()
@directory_argument
@to_option
def audit(directory: Path, to_sequence: int | None) -> None:
    """Rebuild every balance from the journal of the data directory DIR, and compare.

    Exit code 0: everything agrees; 1: something does not, or the audit cannot be made.
    """
    from ringex.audit.directory import AuditError, audit_directory
    from ringex.audit.text import lines_of

    try:
        report = audit_directory(directory, to_sequence)
    except AuditError as error:
        raise click.ClickException(str(error)) from error
    for line in lines_of(report):
        click.echo(line)
    if not report.is_sound:
        raise click.ClickException(f"{len(report.findings)} differences; the books of {directory} do not agree")


@cli.group()
def journal() -> None:
    """The journal's files."""


@journal.command("verify")
@directory_argument
def journal_verify(directory: Path) -> None:
    """Check every record of the journal in DIR (a data directory, or its journal folder)."""
    from ringex.journal.verify import verify

    report = verify(_journal_dir(directory))
    click.echo(f"segments: {report.segments}")
    click.echo(f"records: {report.records} ({report.first_sequence}..{report.last_sequence})")
    if report.torn_records:
        click.echo(f"torn tail: {report.torn_records} records at byte {report.torn_offset} of {report.torn_file}")
    if not report.is_sound:
        raise click.ClickException(report.corruption)
    click.echo("sound")


@journal.command("dump")
@directory_argument
@click.option("--from", "from_sequence", metavar="SEQ", type=click.IntRange(min=1), default=1, help="[default: 1]")
@click.option("--to", "to_sequence", metavar="SEQ", type=click.IntRange(min=0), help="[default: the last]")
def journal_dump(directory: Path, from_sequence: int, to_sequence: int | None) -> None:
    """Print the journal's commands, one JSON object a line."""
    from ringex.journal.errors import JournalError
    from ringex.journal.verify import dump

    try:
        for command in dump(_journal_dir(directory), from_sequence, to_sequence):
            click.echo(json.dumps(command))
    except JournalError as error:
        raise click.ClickException(str(error)) from error


def _journal_dir(directory: Path) -> Path:
    inside = directory / "journal"
    return inside if inside.is_dir() else directory


# ---- helpers


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _complain(message: str, code: int) -> int:
    click.echo(f"ringex: {message}", err=True)
    return code
