"""A worker process of a test's own: `python -m workers.serve`, as it is run for good."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from shared.settings import Settings

ROOT: Final = Path(__file__).parent.parent
START_S: Final = 60
PR_SET_PDEATHSIG: Final = 1


class WorkerProcess:
    """Started when entered, killed when left if it still runs; its log is a file."""

    def __init__(self, settings: Settings, log: Path, **changed: object) -> None:
        given = settings.model_dump(exclude_defaults=True) | {"log_level": "info"} | changed
        self._environment = {
            **os.environ,
            **{f"DARKROOM_{name.upper()}": _told(value) for name, value in given.items()},
        }
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "workers.serve", "--name", self._log.stem],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
            )
        self.wait_for("worker.started")
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.process.poll() is None:
            self.kill()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for(self, word: str, wait_s: float = START_S) -> None:
        """Until it has logged this."""
        deadline = time.monotonic() + wait_s
        while word not in self.said():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{word} was not said:\n{self.said()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.wait()

    def stop(self, wait_s: float) -> float:
        """SIGTERM; how many seconds it took to end, with exit code 0."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(wait_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {wait_s} s:\n{self.said()}") from None
        assert code == 0, f"exit code {code}:\n{self.said()}"
        return time.monotonic() - began


def _told(value: object) -> str:
    return value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)


def _die_with_parent() -> None:
    """Linux: end with the test process, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
