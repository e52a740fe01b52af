"""PostgreSQL, Redis and S3 for one run of the tests: started by the first test that asks, shared by all xdist workers.

They are told the pid of the process that runs the tests and end by themselves when it is gone, so that nothing
survives a run, not even one that was killed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psycopg
from filelock import FileLock
from sqlalchemy import make_url

from shared.migrations import migrate

ROOT: Final = Path(__file__).parent.parent
FOLDER: Final = "DARKROOM_TEST_FOLDER"
"""Names the folder of this run, for the xdist workers."""
START_S: Final = 60
TEMPLATE: Final = "migrated"


def begin() -> Path:
    """Once, in the process that runs the tests; nothing is started yet.  The folder of this run, gone at its end."""
    folder = Path(tempfile.mkdtemp(prefix="darkroom-tests-"))
    folder.chmod(0o711)  # PostgreSQL may run as another user, and must reach its folder
    (folder / "owner").write_text(str(os.getpid()))
    os.environ[FOLDER] = str(folder)
    return folder


def end() -> None:
    """Once, in the same process."""
    folder = Path(os.environ.pop(FOLDER))
    pid = folder / "pid"
    if pid.exists():
        _stop(int(pid.read_text()))
    shutil.rmtree(folder, ignore_errors=True)


def _stop(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and _lives(pid):
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    with suppress(ChildProcessError):  # an xdist worker's child, and so not ours to wait for
        os.waitpid(pid, os.WNOHANG)
    return Path(f"/proc/{pid}").exists()


def services() -> dict[str, Any]:
    """Addresses and keys of the services: `database_url`, `broker_url`, `s3_endpoint_url` and the S3 keys."""
    folder = Path(os.environ[FOLDER])
    told = folder / "stack" / "services.json"
    with FileLock(folder / "stack.lock"):
        if not told.exists():
            _start(folder, told)
    return dict(json.loads(told.read_text()))


def _start(folder: Path, told: Path) -> None:
    """By `posix_spawn`, which leaves no object behind that would mind outliving the test that asked first."""
    owner, log = (folder / "owner").read_text(), str(folder / "log")
    command = [sys.executable, "-m", "deploy.local.services", "--data-dir", str(told.parent), "--until-pid", owner]
    actions = [
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pid = os.posix_spawn(sys.executable, command, environment, file_actions=actions, setsid=True)
    (folder / "pid").write_text(str(pid))
    deadline = time.monotonic() + START_S
    while not told.exists():
        if not _lives(pid) or time.monotonic() > deadline:
            raise RuntimeError(f"the services did not start:\n{(folder / 'log').read_text()}")
        time.sleep(0.05)
    _make_template(json.loads(told.read_text())["database_url"])


def _make_template(database_url: str) -> None:
    _create(database_url, TEMPLATE, "template1")
    migrate.upgrade(_named(database_url, TEMPLATE))


def new_database(database_url: str, name: str) -> str:
    """A migrated database of one's own; its URL."""
    with FileLock(Path(os.environ[FOLDER]) / "template.lock"):
        _create(database_url, name, TEMPLATE)
    return _named(database_url, name)


def _create(database_url: str, name: str, template: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())


def _named(database_url: str, name: str) -> str:
    return make_url(database_url).set(database=name).render_as_string(hide_password=False)
