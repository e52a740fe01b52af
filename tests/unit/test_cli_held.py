"""What the command line shows of a held job."""

from __future__ import annotations

import httpx

from tests.unit.pretend_api import JOB, PretendApi, page, run

HELD = {
    "since": "2026-11-20T09:14:05Z",
    "sent_at": "2026-11-20T09:14:00Z",
    "came_back": {
        "class": "unknown_outcome",
        "code": "http_502",
        "message": "HTTP 502 without a reason",
        "upstream_status": 502,
        "upstream_request_id": "20260304101112Ab",
        "body": "an HTML page",
        "at": "2026-11-20T09:14:05Z",
    },
    "balance": {
        "before": "7.631",
        "before_at": "2026-11-20T09:12:00Z",
        "after": None,
        "after_at": None,
        "used_between": None,
        "currency": "USD",
        "unknown_because": "the balance was not seen since; workers look every few minutes",
    },
    "looked_for": [{"at": "2026-11-20T09:15:00Z", "found": None, "told": "no task has its mark"}],
    "looks_again_at": None,
    "mark": "job_1.1",
    "what_to_do": "To give it up: darkroom resolve job_1 --as failed",
}


def test_a_held_job_shows_what_is_known_and_what_to_do(api: PretendApi) -> None:
    api.answers["GET /v1/jobs/job_1"] = httpx.Response(200, json={**JOB, "state": "held", "held": HELD})
    api.answers["GET /v1/jobs/job_1/events"] = page()

    code, said, _ = run("job", "job_1")

    words = " ".join(said.split())
    assert code == 0
    for told in ("held since", "http_502, HTTP 502", "20260304101112Ab", "$7.631 at", "no task has its mark"):
        assert told in words, told
    assert "darkroom resolve job_1 --as failed" in words


def test_a_job_that_is_not_held_shows_nothing_of_it(api: PretendApi) -> None:
    api.answers["GET /v1/jobs/job_1"] = httpx.Response(200, json={**JOB, "held": None})
    api.answers["GET /v1/jobs/job_1/events"] = page()

    _, said, _ = run("job", "job_1")

    assert "held" not in said
    assert "what to do" not in said
