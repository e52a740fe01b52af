"""What a killed supervisor left behind: `DIR/pids.json` names its processes, and the next start ends them.

On Linux the kernel has ended them already (see `process.py`); this is for where it does not, and for
the moment in between.  A pid alone proves nothing, it may be somebody else's by now: start
time and program must be those that were written down.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from deploy.local import records

SAME_START_S = 1.0
"""Clocks may be set; the same process is seen to have started within this."""
GRACE_S = 5.0


def path(data_dir: Path) -> Path:
    return data_dir / "pids.json"


def describe(pid: int, program: str) -> dict[str, Any]:
    """A process as it is written down.  `program` is the file that was executed."""
    try:
        started_at = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        started_at = time.time()
    return {"pid": pid, "started_at": started_at, "program": Path(program).name}


def end(data_dir: Path) -> list[str]:
    """End what is still there, first asking; answers their names."""
    written: dict[str, Mapping[str, Any]] = records.read(path(data_dir))
    found = {name: process for name, entry in written.items() if (process := find(entry)) is not None}
    for process in found.values():
        _quietly(process.terminate)
    _, stubborn = psutil.wait_procs(found.values(), timeout=GRACE_S)
    for process in stubborn:
        _quietly(process.kill)
    psutil.wait_procs(stubborn, timeout=GRACE_S)
    path(data_dir).unlink(missing_ok=True)
    return sorted(found)


def find(entry: Mapping[str, Any]) -> psutil.Process | None:
    """The process that was written down, if it lives."""
    try:
        process = psutil.Process(int(entry["pid"]))
        same_start = abs(process.create_time() - float(entry["started_at"])) <= SAME_START_S
        # Redis rewrites its command line, but its own name stays in it.
        same_program = str(entry["program"]) in " ".join(process.cmdline())
    except (psutil.Error, KeyError, TypeError, ValueError):
        return None
    return process if same_start and same_program else None


def _quietly(act: Callable[[], None]) -> None:
    with suppress(psutil.Error):  # gone meanwhile, or never ours
        act()
