"""Redis 6.2 from its wheel: loopback, a password, every write in an append-only file."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from deploy.local import environment, probes, wheels
from deploy.local.process import Spec

CONFIGURATION = """\
bind 127.0.0.1
protected-mode yes
port {port}
requirepass {password}
dir .
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
"""
"""Read from standard input: in `argv` everybody could see the password."""


def url(port: int, password: str) -> str:
    return f"redis://:{password}@127.0.0.1:{port}/0"


def spec(data_dir: Path, port: int, password: str) -> Spec:
    """The server of this data folder."""
    folder = data_dir / "redis"
    folder.mkdir(mode=0o700, exist_ok=True)
    return Spec(
        name="redis",
        argv=(str(wheels.redis_server()), "-"),
        stdin=CONFIGURATION.format(port=port, password=password).encode(),
        address=f"redis://127.0.0.1:{port}",
        is_ready=partial(probes.redis_answers, port, password),
        env=environment.of_server(folder),
        cwd=folder,
        start_s=120.0,  # it reads the whole append-only file first
    )
