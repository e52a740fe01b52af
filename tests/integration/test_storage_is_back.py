"""What waited for S3 goes on as soon as S3 is back, however long its next wait was."""

from __future__ import annotations

from typing import Any

import pytest

from shared import claims, policy
from shared.errors import StorageUnavailable
from shared.lifecycle import State
from tests import rows
from workers import outage
from workers.ports import Ports

LATER: dict[str, Any] = {"due_at": claims.seconds_from_now(300), "waits": 9}


@pytest.mark.parametrize(
    ("columns", "is_hurried"),
    [
        ({"state": State.STORING, "waits_for": policy.OUR_STORAGE}, True),
        ({"state": State.QUEUED, "waits_for": policy.OUR_STORAGE}, True),
        ({"state": State.STORING, "waits_for": None}, False),
        ({"state": State.STORING, "waits_for": policy.OUR_STORAGE, "claimed_by": "process_somebody"}, False),
        ({"state": State.QUEUED, "waits_for": "rate_limited"}, False),
    ],
)
def test_what_waits_for_our_storage_comes_due_when_an_outage_is_over(
    ports: Ports, monkeypatch: pytest.MonkeyPatch, columns: dict[str, Any], is_hurried: bool
) -> None:
    job = rows.make(ports, **LATER, **columns)
    with monkeypatch.context() as away:
        away.setattr(ports.store, "check", _is_away)
        outage.look(ports)
    assert rows.due_in_s(ports, job) > 200

    outage.look(ports)

    assert (rows.due_in_s(ports, job) <= 0) is is_hurried


def _is_away() -> None:
    raise StorageUnavailable("it is away")


def test_a_result_that_s3_did_not_take_waits_for_our_storage(ports: Ports) -> None:
    job = rows.make(ports, state=State.STORING, claimed_by=ports.process_id, waits=3, waits_for=policy.WORKER_DIED)
    for _ in range(2):
        with ports.transaction() as session:
            claim = claims.held_by(session, job.id, State.STORING, ports.process_id)
            assert claim is not None
            claims.store_later(session, claim, 0, "S3 is away", is_counted=False)
            claims.take_storing(session, ports.process_id, ports.spool.name, job_ids=[job.id])

    assert (rows.read(ports, job).waits, rows.read(ports, job).waits_for) == (2, policy.OUR_STORAGE)
