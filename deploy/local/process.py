"""One process of ours: what it is (`Spec`), and one life of it after another (`Child`).

A child leads a session of its own, so that Ctrl-C in a terminal reaches the supervisor alone, and the
kernel kills it when the supervisor dies.  That promise hangs on the *thread* that started it:
children are started from the main thread only.
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from deploy.local.identity import OURSELVES, Identity

LOG_LIMIT_BYTES = 10 * 2**20
"""A log that is larger when its process starts becomes `NAME.log.1`."""
TAIL_LINES = 20
TAIL_BYTES = 16 * 2**10
FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 10.0
STEADY_AFTER_S = 30.0
"""Who lived this long starts again with the first delay."""
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def nothing() -> None:
    """Neither preparation nor tidying."""


@dataclass(frozen=True)
class Spec:
    """What to start and how to know that it is ready.  `env` is the whole environment."""

    name: str
    argv: tuple[str, ...]
    address: str
    """What is said of it: a URL without a password, or a word."""
    env: Mapping[str, str] = field(repr=False)
    is_ready: Callable[[], bool] = field(default=lambda: True, repr=False)
    ready_word: str = ""
    """Something that it must have logged besides, when it has no address to ask."""
    quiet_after_s: float = math.inf
    """After this long without that word it counts as ready: its log level may hide it."""
    stdin: bytes = field(default=b"", repr=False)
    """What it reads first; a way for secrets, since everybody can see `argv`."""
    cwd: Path | None = None
    identity: Identity = OURSELVES
    prepare: Callable[[], None] = nothing
    """Done before each start."""
    tidy: Callable[[], None] = nothing
    """Done after it has stopped for good."""
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 10.0
    """How long it may take to stop before it is killed."""
    start_s: float = 30.0
    """How long it may take to be ready."""
    answers: bool = False
    """Its standard output is a short answer for us, which no log may hold."""


def delay_s(failures: int) -> float:
    """How long to wait before the next start, after this many deaths in a row (from 1)."""
    return min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failures - 1, 10))


def count_failure(failures: int, lived_s: float) -> int:
    """How many deaths in a row there are now, with that of a process that lived so long."""
    return 1 if lived_s >= STEADY_AFTER_S else failures + 1


def cause_of_death(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"


class Child:
    """A process that was started at least once.  `restart_at` is set (monotonic) while it is dead and due again."""

    def __init__(self, spec: Spec, log_path: Path) -> None:
        self.spec = spec
        self.log_path = log_path
        self.failures = 0
        self.restart_at: float | None = None
        self.launch()

    def launch(self) -> None:
        """Start it.

        Raises:
            OSError, subprocess.SubprocessError, SettingsError: it could not even be started.
        """
        self.spec.prepare()
        with _open_log(self.log_path) as log:
            self.log_start = log.tell()
            self.process = _spawn(self.spec, log)
        self.started_at = time.monotonic()
        self.restart_at = None
        self.is_buried = False
        _feed(self.process, self.spec.stdin)

    @property
    def pid(self) -> int:
        return self.process.pid

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def lived_s(self) -> float:
        return time.monotonic() - self.started_at

    def is_ready(self) -> bool:
        word = self.spec.ready_word
        has_said_so = not word or word in self.said() or self.lived_s() > self.spec.quiet_after_s
        return has_said_so and self.spec.is_ready()

    def fail(self) -> float:
        """Note its death; answers after how many seconds it is due again."""
        self.failures = count_failure(self.failures, self.lived_s())
        wait_s = delay_s(self.failures)
        self.restart_at = time.monotonic() + wait_s
        return wait_s

    def ask_to_stop(self) -> None:
        self.restart_at = None
        if not self.has_ended():
            self.process.send_signal(self.spec.stop_signal)

    def kill(self) -> None:
        """Kill it and what it started in its process group.  Once: later the number may be another group's."""
        if self.is_buried:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        self.is_buried = True

    def answer(self) -> str:
        """What it wrote to its standard output, once it has ended."""
        if self.process.stdout is None:
            return ""
        with self.process.stdout as stdout:
            return stdout.read().decode(errors="replace")

    def said(self) -> str:
        """The end of what it wrote to its log in this life."""
        with self.log_path.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self.log_start, end - TAIL_BYTES))
            return log.read().decode(errors="replace")

    def last_lines(self) -> str:
        return "\n".join(self.said().splitlines()[-TAIL_LINES:])


def _spawn(spec: Spec, log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own programs
        spec.argv,
        env=dict(spec.env),
        cwd=spec.cwd,
        stdin=subprocess.PIPE if spec.stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE if spec.answers else log,
        stderr=log,
        start_new_session=True,
        preexec_fn=partial(settle, spec.identity, os.getpid()),  # noqa: PLW1509 - we have one thread
        **spec.identity.popen_arguments(),
    )


def settle(identity: Identity, parent: int) -> None:
    """In the child, between fork and exec.  A change of identity forgets the death signal, so that comes last."""
    identity.enter()
    if sys.platform == "linux":
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)


def _feed(process: subprocess.Popen[bytes], text: bytes) -> None:
    if process.stdin is not None:
        with suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(text)


def _open_log(path: Path) -> IO[bytes]:
    with suppress(FileNotFoundError):
        if path.stat().st_size > LOG_LIMIT_BYTES:
            path.replace(path.with_name(f"{path.name}.1"))
    log = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
    log.seek(0, os.SEEK_END)
    return log
