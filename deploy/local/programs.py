"""Our own processes: how each is started, and how one sees that it is ready."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from deploy.local import probes
from deploy.local.process import Spec

Environment = Mapping[str, str]

FLOWER_USER = "darkroom"
FLOWER_OPTIONS = ("--address=127.0.0.1", "--max-tasks=10000", "--purge-offline-workers=300")
"""Flower keeps what it saw in memory; the first number bounds that."""
QUIET_WORKER_S = 10.0
STOP_AFTER_DRAIN_S = 10.0
"""Celery with threads does not always end after its last task; it is killed this long after the drain time."""


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def prepare(env: Environment) -> Spec:
    """Migrations, bucket, first admin key; it prints one JSON object with `admin_key` and ends."""
    return Spec(
        name="prepare",
        argv=(sys.executable, "-m", "api.cli", "prepare", "--json"),
        address="",
        env=env,
        answers=True,
        start_s=600.0,  # a migration of many rows takes its time
    )


def sandbox(port: int, data_dir: Path, key: str) -> Spec:
    """The sandbox gateway.  It gets its key and none of our other secrets."""
    return Spec(
        name="sandbox",
        argv=(sys.executable, "-m", "deploy.sandbox", "--port", str(port), "--data-dir", str(data_dir / "sandbox")),
        address=url(port),
        env={**os.environ, "PYTHONUNBUFFERED": "1", "DARKROOM_SANDBOX_KEY": key},
        is_ready=partial(probes.http_ok, f"{url(port)}/healthz"),
    )


def api(port: int, env: Environment) -> Spec:
    return Spec(
        name="api",
        argv=(sys.executable, "-m", "api.serve", "--port", str(port)),
        address=url(port),
        env=env,
        is_ready=partial(probes.http_ok, f"{url(port)}/readyz"),
        start_s=60.0,
    )


def worker(number: int, env: Environment, drain_s: float) -> Spec:
    name = f"worker-{number}"
    return Spec(
        name=name,
        argv=(sys.executable, "-m", "workers.serve", "--name", name),
        address="",
        env=env,
        ready_word="ready",
        quiet_after_s=QUIET_WORKER_S,
        grace_s=drain_s + STOP_AFTER_DRAIN_S,
        start_s=60.0,
    )


def flower(port: int, env: Environment, broker_url: str, password: str) -> Spec:
    """Its broker and its password come by the environment: everybody can see `argv`."""
    own = {
        "CELERY_BROKER_URL": broker_url,
        "BROKER_URL": broker_url,  # Celery's command line prefers it, and somebody's shell may have one
        "FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{password}",
    }
    return Spec(
        name="flower",
        argv=(sys.executable, "-m", "celery", "-A", "workers.app:app", "flower", f"--port={port}", *FLOWER_OPTIONS),
        address=url(port),
        env={**env, **own},
        is_ready=partial(probes.http_ok, f"{url(port)}/healthcheck"),
        grace_s=5.0,
        start_s=60.0,
    )
