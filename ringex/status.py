"""What runs on a data directory: from `run.json`, the process table and the rings' cursors; and how to stop it."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from typing import Any

import psutil

from ringex.config import Settings
from ringex.journal.readers import told
from ringex.preflight import is_locked

_GONE_SECONDS = 0.02
GATEWAY_ROLES = ("gateway-", "web-")
FLOWS = ("requests", "replies", "refusals", "commands", "binary_commands", "events", "http_requests")
"""Counts that are shown with their rates."""


def read_status(settings: Settings) -> dict[str, Any]:
    """A JSON-able document: `running`, `data`, and while something runs all of `run.json`, processes and rings.

    A process has `pid` (None while it is between two lives), `restarts`, and where it lives `cpu_seconds` and
    `memory_bytes`, a gateway also what the board shows of it (`counts`, `rates`, `now`); a ring `capacity`,
    `published`, and a command ring `waiting`: commands not yet durable.
    """
    found: dict[str, Any] = {"running": is_locked(settings), "data": str(settings.data_dir)}
    if not found["running"]:
        return found
    document = _run_document(settings)
    if document is None:
        return found | {"state": "starting"}
    rings = {name: _ring(name) for name in (*document.pop("command_rings"), document.pop("event_ring"))}
    for child in document["children"].values():
        child.update(_process(child["pid"]))
    names = [name for name in document["children"] if name.startswith(GATEWAY_ROLES)]
    for name, shown in zip(names, _board(document.pop("board")), strict=False):
        document["children"][name] |= shown
    return found | document | {"rings": rings, "readers": _readers(settings, rings)}


def _readers(settings: Settings, rings: dict[str, Any]) -> dict[str, Any]:
    """How many events registered readers of the journal have not on disk yet, as they last said: once a second."""
    published = max((ring.get("published", 0) for name, ring in rings.items() if name.endswith("-e")), default=0)
    return {
        name: {"events_behind": max(published - int(document.get("event_sequence", 0)), 0)}
        for name, document in told(settings.readers_dir).items()
    }


def describe(found: dict[str, Any]) -> str:
    """The document of `read_status` for people, several lines."""
    if not found["running"]:
        return f"no exchange runs on {found['data']}"
    lines = [f"{found['state']} on {found['data']}"]
    if "pid" not in found:
        return lines[0]
    lines[0] += f", pid {found['pid']}, for {(time.time_ns() - found['started_ns']) / 1e9:.0f} s"
    lines += [f"  clients      {' '.join(found['zmq'])}", f"  market data  {found['pub']}"]
    lines.append(f"  http         {found['http'] or 'off'}")
    lines.append(f"  durability   {found['durability']}")
    for name, child in found["children"].items():
        state = "between two lives"
        if "cpu_seconds" in child:
            state = f"cpu {child['cpu_seconds']:.1f} s, memory {child['memory_bytes'] >> 20} MiB"
        lines.append(f"  {name:<12} pid {child['pid'] or '-'}, {state}, {child['restarts']} restarts")
        if "counts" in child:
            lines += _described_counts(child)
    for name, ring in found["rings"].items():
        waiting = f", {ring['waiting']} of {ring['capacity']} waiting" if "waiting" in ring else ""
        lines.append(f"  {name}: {ring.get('published', 'no such ring')} published{waiting}")
    lines += [f"  {name} is {reader['events_behind']} events behind" for name, reader in found["readers"].items()]
    return "\n".join(lines)


def _described_counts(told: dict[str, Any]) -> list[str]:
    """What a gateway has counted, in a few lines: what is now, how much comes and goes, and what went wrong."""
    now, counts, rates = told["now"], told["counts"], told["rates"]
    held = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in now.items())
    moved = ", ".join(f"{counts[name]} {name} ({rates.get(name, 0):g}/s)" for name in FLOWS if name in counts)
    wrong = ", ".join(f"{name} {counts[name]}" for name in sorted(counts.keys() - set(FLOWS)) if counts[name])
    lines = [f"    now: {held}", f"    so far: {moved or 'nothing'}"]
    return [*lines, f"    also: {wrong}"] if wrong else lines


def _board(name: str) -> list[dict[str, Any]]:
    from ringex.gateways.board import read_board

    try:
        return read_board(name, time.time_ns())
    except OSError:  # it has just stopped
        return []


def stop_exchange(settings: Settings, timeout_seconds: float) -> bool:
    """SIGTERM to the supervisor, then wait. Whether the data directory is free by then."""
    deadline = time.monotonic() + timeout_seconds
    document = _run_document(settings)
    if document is not None:
        try:
            pidfd = os.pidfd_open(document["pid"])
        except ProcessLookupError:
            pass  # it died; its processes are dying with it
        else:
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
            select.select([pidfd], [], [], max(0.0, deadline - time.monotonic()))
            os.close(pidfd)
    while is_locked(settings) and time.monotonic() < deadline:
        time.sleep(_GONE_SECONDS)
    return not is_locked(settings)


def _run_document(settings: Settings) -> dict[str, Any] | None:
    """`run.json` as the supervisor wrote it; None before it has."""
    try:
        document: dict[str, Any] = json.loads(settings.run_path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return document


def _process(pid: int | None) -> dict[str, Any]:
    if pid is None:
        return {}
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            return {"cpu_seconds": times.user + times.system, "memory_bytes": process.memory_info().rss}
    except psutil.NoSuchProcess:
        return {}


def _ring(name: str) -> dict[str, Any]:
    from ringex.ring import Ring, RingError, ring_consumed, ring_published

    try:
        with Ring.attach(name) as ring:
            published = int(ring_published(ring.address))
            found = {"capacity": ring.capacity, "published": published}
            if ring.gated:
                found["waiting"] = published - int(ring_consumed(ring.address))
            return found
    except RingError:
        return {}
