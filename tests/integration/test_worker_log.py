"""The log of a worker process: lines of JSON from the first to the last, and no page of it for what passes."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import psycopg

from shared.settings import Settings
from tests import stack as services
from tests.worker import WorkerProcess

QUICK = {"heartbeat_s": 0.5, "dead_after_s": 2.0, "tick_s": 0.2, "worker_threads": 4, "database_pool": 5}


def end_connections(url: str) -> None:
    """What the workers of this database send next fails."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'darkroom-worker%'"
        )


def test_an_outage_of_database_and_broker_is_told_in_a_line_each_without_a_traceback(
    settings: Settings, stack: dict[str, Any], tmp_path: Path
) -> None:
    url = services.new_database(stack["database_url"], f"log-{uuid.uuid4().hex}")
    nowhere = settings.model_copy(
        update={"database_url": url, "broker_url": "redis://:hunter2@127.0.0.1:1/0", "data_dir": tmp_path}
    )

    with WorkerProcess(nowhere, tmp_path / "one.log", **QUICK) as worker:
        worker.wait_for("Cannot connect")
        deadline = time.monotonic() + 30
        while "tick.failed" not in worker.said() or "tick.works" not in worker.said():
            assert time.monotonic() < deadline, worker.said()
            end_connections(url)

    whole = [line for line in worker.said().splitlines(keepends=True) if line.endswith("\n")]
    lines = [json.loads(line) for line in whole]  # neither a banner nor a warning before the first
    assert lines[0]["process"] == "worker"
    assert [line for line in lines if "exception" in line or "Traceback" in line["event"]] == []
    failed = [line for line in lines if line["event"] == "tick.failed"]
    assert all(line["level"] == "warning" and line["error"] and line["told"] for line in failed)
    (lost, *_) = [line["event"] for line in lines if "Cannot connect" in line["event"]]
    assert "Trying again" in lost
    assert "\n" not in lost
    assert "hunter2" not in worker.said()
