"""The studio: processes that draw, so that the server never waits for a pen."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import Any, Final

from deploy.sandbox.studio import films, pictures

Spec = dict[str, Any]


class Studio:
    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool = self._open()
        self._drawing = 0

    @property
    def is_idle(self) -> bool:
        """Whether work that nobody waits for yet may be handed in."""
        return self._drawing < 2 * self._processes

    async def draw(self, spec: Spec, path: Path) -> None:
        """Have the file made; it is whole when it appears."""
        self._drawing += 1
        try:
            await self._hand_in(spec, path)
        finally:
            self._drawing -= 1

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _hand_in(self, spec: Spec, path: Path) -> None:
        """Draw; once more in a new studio if somebody killed the one that we were in."""
        pool = self._pool
        try:
            await asyncio.get_running_loop().run_in_executor(pool, draw, spec, path)
        except BrokenProcessPool:
            if pool is self._pool:
                self._pool = self._open()
            await asyncio.get_running_loop().run_in_executor(self._pool, draw, spec, path)

    def _open(self) -> ProcessPoolExecutor:
        # Spawned, not forked: a fork would inherit the listening socket and the event loop.
        return ProcessPoolExecutor(self._processes, get_context("spawn"), initializer=_enter)


def draw(spec: Spec, path: Path) -> None:
    """Make one file, in whichever process this is.

    Shape of `spec`: `draws` (a key of DRAWERS), `format` (its suffix), and what that drawer wants.
    """
    fresh = path.with_suffix(f".{os.getpid()}.new")
    DRAWERS[spec["draws"]](spec, fresh)
    os.replace(fresh, path)


def _picture(spec: Spec, path: Path) -> None:
    path.write_bytes(pictures.encode(pictures.picture(spec), spec["format"]))


def _grid(spec: Spec, path: Path) -> None:
    path.write_bytes(pictures.encode(pictures.grid(spec), spec["format"]))


DRAWERS: Final[dict[str, Callable[[Spec, Path], None]]] = {"picture": _picture, "grid": _grid, "film": films.write}


def _enter() -> None:
    """Yield to the server, and leave when it does, however it does: Ctrl-C is its business."""
    os.nice(5)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(0)
