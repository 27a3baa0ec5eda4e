"""A small exchange of real processes that do nothing but what a test asks, run by the real supervisor.

    python -m tests.supervised DATA_DIR NAME=BEHAVIOUR ...

Options: zmq=ENDPOINT pub=ENDPOINT http=HOST:PORT restarts=N slots=N

Each process appends a line to DATA_DIR/trace when it starts (`start NAME pid incarnation leftovers`) and when SIGTERM
ends it (`stop NAME`). Behaviours: serve; die (before ready); raise (before ready); crash (each life serves, then dies);
stubborn (ignores SIGTERM); fail (serves, and ends with exit code 3 on SIGTERM); slow (never gets ready).
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

from ringex.child import Role
from ringex.config import Run, Settings
from ringex.ring import Ring
from ringex.supervisor import run_exchange

STAGES = {"matcher": (0, 2), "replica": (1, 3), "gateway-0": (2, 0), "publisher": (2, 1)}


def live(name: str, behaviour: str, settings: Settings, run: Run) -> int:
    def trace(line: str) -> None:
        with (settings.data_dir / "trace").open("a") as file:
            file.write(line + "\n")

    signals = {signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    for ring_name in (*run.command_rings, run.event_ring, *run.leftover_rings):
        Ring.attach(ring_name).close()
    trace(f"start {name} {os.getpid()} {run.incarnation} {','.join(run.leftover_rings) or '-'}")
    if behaviour == "die":
        return 4
    if behaviour == "raise":
        raise RuntimeError("a fault\nof two lines")
    if behaviour != "slow":
        os.write(run.ready_fd, f"{name}\n".encode())
    if behaviour == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    while behaviour == "stubborn":
        signal.sigwait(signals)
    signal.sigwait(signals)
    trace(f"stop {name}")
    return 3 if behaviour == "fail" else 0


def main() -> int:
    data_dir, *pairs = sys.argv[1:]
    options = dict(pair.split("=", 1) for pair in pairs)
    settings = Settings(
        data_dir=Path(data_dir),
        zmq_endpoint=options.pop("zmq", f"ipc://{data_dir}/zmq.sock"),
        pub_endpoint=options.pop("pub", f"ipc://{data_dir}/pub.sock"),
        http_endpoint=options.pop("http", ""),
        restarts_per_minute_max=int(options.pop("restarts", 10)),
        event_ring_slots=int(options.pop("slots", 2048)),
        segment_records=int(options.pop("records", 4096)),
        command_ring_slots=256,
        cores=tuple(sorted(os.sched_getaffinity(0))) if options.pop("pin", "") else (),
    )
    behaviours = dict.fromkeys(STAGES, "serve") | options
    roles = [
        Role(name, partial(live, name, behaviours[name]), start, stop, stop_seconds=2.0, core_rank=rank)
        for rank, (name, (start, stop)) in enumerate(STAGES.items())
    ]
    return run_exchange(settings, roles)


if __name__ == "__main__":
    sys.exit(main())
