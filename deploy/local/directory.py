"""The data folder: who holds it, one at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from deploy.local import leftovers, records
from shared.errors import DarkroomError


class Held(DarkroomError):
    """Somebody else runs on this folder."""

    code = "held"


@contextmanager
def hold(data_dir: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Make the folder if need be, lock it, and end what a killed holder left in it.

    Raises:
        Held: names the pid of the holder.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(data_dir / "lock", mode=0o600), data_dir / "holder.json"
    try:
        lock.acquire(blocking=False)
    except Timeout:
        pid = records.read(holder).get("pid", "unknown")
        raise Held(f"{data_dir} is in use: darkroom runs there already (pid {pid})") from None
    try:
        records.write(holder, {"pid": os.getpid()})
        for name in leftovers.end(data_dir):
            say(f"{name:<10} was left over from a killed start, and ended")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
