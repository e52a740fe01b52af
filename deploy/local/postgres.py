"""PostgreSQL 18 from its wheel: one user, one database, both `darkroom`; TCP on loopback with SCRAM, no socket file."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from deploy.local import environment, probes, wheels
from deploy.local.identity import Identity, unprivileged
from deploy.local.process import Spec, settle
from shared.errors import SettingsError

USER = "darkroom"
GRACE_S = 20.0
INITDB_S = 60.0

OPTIONS = {
    "listen_addresses": "127.0.0.1",
    # Nobody needs the socket file, and its path may have 107 bytes at most.
    "unix_socket_directories": "",
    # API, workers and tests with a pool each.
    "max_connections": "200",
    "shared_buffers": "256MB",
    # Durability stays on: the database is the truth.  A longer distance between checkpoints costs disk only.
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    # Claims are short statements on indexes: compiling them costs more than running them, and disks are SSDs.
    "jit": "off",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Prompts are parameters.  They stay out of the log, and so do the statements of expected conflicts.
    "log_parameter_max_length_on_error": "0",
    "log_checkpoints": "off",
    "log_min_error_statement": "fatal",
}


def url(port: int, password: str) -> str:
    return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{USER}"


def spec(data_dir: Path, port: int, password: str) -> Spec:
    """The server of this data folder.

    Raises:
        SettingsError: it would have to run as root, or its wheel is missing.
    """
    programs, folder = wheels.postgres_folder(), data_dir / "postgres"
    identity = unprivileged(programs / "postgres", data_dir)
    options = [part for name, value in OPTIONS.items() for part in ("-c", f"{name}={value}")]
    return Spec(
        name="postgres",
        argv=(str(programs / "postgres"), "-D", str(folder), "-p", str(port), *options),
        address=f"postgresql://127.0.0.1:{port}",
        is_ready=partial(probes.postgres_accepts, port, USER),
        env=environment.of_server(folder),
        identity=identity,
        prepare=partial(prepare, programs, folder, password, identity),
        stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait for clients to leave
        grace_s=GRACE_S,
        start_s=120.0,  # after a crash it replays its log first
    )


def prepare(programs: Path, folder: Path, password: str, identity: Identity) -> None:
    """Before each start: a folder that is complete, ours to read, and in nobody's hands."""
    if not folder.exists():
        _create(programs, folder, password, identity)
    identity.own(folder)
    if (folder / "postmaster.pid").exists():
        _end_orphans(folder)


def _create(programs: Path, folder: Path, password: str, identity: Identity) -> None:
    """Into a draft that is renamed when it is complete: a killed `initdb` leaves nothing that looks like a database."""
    draft = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    identity.own(draft)
    with tempfile.NamedTemporaryFile("w", dir=folder.parent) as password_file:  # mode 0600
        password_file.write(password)
        password_file.flush()
        os.chown(password_file.name, *identity.owner)
        _run(_initdb(programs, draft, password_file.name), "", draft, identity)
    _run((str(programs / "postgres"), "--single", "-D", str(draft), "postgres"), _DATABASE, draft, identity)
    draft.rename(folder)


_DATABASE = f"CREATE DATABASE {USER};\n"


def _initdb(programs: Path, folder: Path, password_path: str) -> Sequence[str]:
    return (
        *(str(programs / "initdb"), "-D", str(folder), "-U", USER, f"--pwfile={password_path}"),
        *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
        *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
    )


def _run(argv: Sequence[str], text: str, folder: Path, identity: Identity) -> None:
    done = subprocess.run(  # noqa: S603 - the wheel's programs
        argv,
        input=text.encode(),
        env=environment.of_server(folder),
        cwd="/",
        capture_output=True,
        preexec_fn=partial(settle, identity, os.getpid()),
        timeout=INITDB_S,
        check=False,
        **identity.popen_arguments(),
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode(errors="replace").strip()
        raise SettingsError(f"{Path(argv[0]).name} could not make {folder} (exit code {done.returncode}):\n{said}")


def _end_orphans(folder: Path) -> None:
    """Kill the backends of a postmaster that was killed: busy ones have not noticed, and a new one waits for them.

    We hold the lock on the data folder and our postmaster is dead, so whoever works in its folder is such a one.
    """
    orphans = [each for each in psutil.process_iter(["name", "cwd"]) if _works_in(each, folder)]
    for orphan in orphans:
        orphan.kill()
    psutil.wait_procs(orphans, timeout=5)
    (folder / "postmaster.pid").unlink(missing_ok=True)


def _works_in(process: psutil.Process, folder: Path) -> bool:
    return bool(process.info["name"] == "postgres" and process.info["cwd"] == str(folder))
