"""Jobs from before there were several credentials, and a worker that has none."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import text

from shared import db
from shared.migrations import migrate
from tests import stack as services

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("state", "params", "pinned"),
    [
        ("queued", '{"task_id": "177", "custom_id": "MJ"}', True),
        ("held", '{"task_id": "177"}', True),
        ("queued", '{"seconds": 4}', False),
        ("succeeded", '{"task_id": "177"}', False),
    ],
)
def test_what_waits_for_a_task_when_the_column_comes_is_pinned_to_its_credential(
    stack: dict[str, Any], state: str, params: str, pinned: bool
) -> None:
    url = services.new_database(stack["database_url"], f"pinned-{uuid.uuid4().hex}")
    engine = db.engine(url, 2, "darkroom-tests", None)
    with engine.connect() as connection:
        config = migrate.config()
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")
        connection.execute(text("INSERT INTO projects (id, name, created_at) VALUES ('project_1', 'one', now())"))
        connection.execute(
            text(
                "INSERT INTO jobs (id, project_id, operation, model, lane, state, priority, attempt, max_attempts,"
                " waits, on_unknown, moved_at, progress, misses, vanished, doubted, store_tries, created_at)"
                " VALUES ('job_1', 'project_1', 'midjourney.action', 'midjourney', 'default.midjourney', :state,"
                " 5, 0, 3, 0, 'hold', now(), 0, 0, 0, false, 0, now())"
            ),
            {"state": state},
        )
        connection.execute(
            text(
                "INSERT INTO job_requests (job_id, prompt, inputs, params, metadata)"
                " VALUES ('job_1', 'a boat', '{}', CAST(:params AS json), '{}')"
            ),
            {"params": params},
        )
        connection.commit()

    migrate.upgrade(url)

    with engine.connect() as connection:
        found = connection.execute(text("SELECT pinned FROM jobs")).scalar_one()
    engine.dispose()
    assert found is pinned


def test_a_worker_without_a_key_says_what_it_lacks_and_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workers.serve"],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 1
    assert "DARKROOM_GATEWAY_API_KEY or DARKROOM_GATEWAYS" in done.stderr
