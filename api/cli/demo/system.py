"""The Darkroom of a demo: `darkroom up` as a child, started again if it dies, stopped at the end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from api.cli import runtime
from api.cli.runtime import Running

READY_S: Final = 180.0
"""The first start on a slow machine makes a database and runs the migrations."""
STARTS: Final = 5
LOOK_S: Final = 0.1
KILL_AFTER_S: Final = 60.0
FREE_S: Final = 30.0
"""How long somebody else's system on the same folder may take to be gone."""


class SystemFailed(Exception):
    """`darkroom up` does not start or does not stay; what it printed about that was handed on."""


class System:
    """In a `with` block; `say` gets what `darkroom up` prints."""

    def __init__(self, data_dir: Path, workers: int, say: Callable[[str], None]) -> None:
        self.data_dir = data_dir
        self._workers = workers
        self._say = say
        self._starts = 0
        self._log_path = data_dir / "up.log"
        self._log_offset = 0
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._log_path.write_bytes(b"")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(at_once=error is not None)

    def start(self) -> Running:
        """Start it, and wait until it is ready.

        Raises:
            SystemFailed: it ended before, or took too long, or somebody else runs on its folder.
        """
        self._starts += 1
        self._await_free()
        stale = runtime.stamp(self.data_dir)
        self._child = self._launch()
        ends_at = time.monotonic() + READY_S
        while (running := self._running(stale)) is None:
            self.pass_on()
            if self._child.poll() is not None:
                raise SystemFailed(f"darkroom up ended before it was ready; its logs are in {self.data_dir / 'logs'}")
            if time.monotonic() > ends_at:
                raise SystemFailed(f"darkroom up was not ready within {READY_S:g} s; see {self.data_dir / 'logs'}")
            time.sleep(LOOK_S)
        self.pass_on()
        return running

    def tend(self) -> Running | None:
        """Start it again if it has died; where it is then.

        Raises:
            SystemFailed: it dies again and again.
        """
        self.pass_on()
        if self._child is None or self._child.poll() is None:
            return None
        if self._starts >= STARTS:
            raise SystemFailed(f"darkroom up has died {self._starts} times; its logs are in {self.data_dir / 'logs'}")
        self._say(f"darkroom up died (exit code {self._child.returncode}), started again on {self.data_dir}")
        return self.start()

    def pass_on(self) -> None:
        """Hand on the lines that `darkroom up` has printed since."""
        with self._log_path.open("rb") as log:
            log.seek(self._log_offset)
            whole, _, _ = log.read().rpartition(b"\n")
        if whole:
            self._log_offset += len(whole) + 1
            for line in whole.decode(errors="replace").splitlines():
                self._say(line)

    def stop(self, at_once: bool = False) -> None:
        """Let it drain and stop; at once if asked so, or when interrupted meanwhile."""
        child, self._child = self._child, None
        if child is None:
            return
        try:
            self._ask(child, times=2 if at_once else 1)
            child.wait(KILL_AFTER_S if at_once else None)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            self._ask(child, times=2)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(KILL_AFTER_S)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()

    def _await_free(self) -> None:
        """A demo that was killed leaves a system behind, which notices that and stops."""
        from filelock import FileLock, Timeout  # of the extra `local`; what names our errors has no need of it

        try:
            with FileLock(self.data_dir / "lock", timeout=FREE_S, mode=0o600):
                pass
        except Timeout:
            raise SystemFailed(f"{self.data_dir} is in use: stop the darkroom there, or use --data-dir") from None

    def _running(self, stale: tuple[int, int] | None) -> Running | None:
        return Running.find(self.data_dir) if runtime.stamp(self.data_dir) not in (None, stale) else None

    def _ask(self, child: subprocess.Popen[bytes], times: int) -> None:
        for _ in range(times):
            child.send_signal(signal.SIGTERM)
            time.sleep(LOOK_S)  # two signals that come at once count as one

    def _launch(self) -> subprocess.Popen[bytes]:
        command = (sys.executable, "-m", "api.cli", "up", "--data-dir", str(self.data_dir), "--port", "0")
        more = ("--flower-port", "0", "--workers", str(self._workers), "--with-parent")
        with self._log_path.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own program
                (*command, *more),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # a Ctrl-C in the terminal is ours to hand on
            )
