"""What follows, all the way, from refusals after which nothing was charged: another try, or another way to ask."""

from __future__ import annotations

import pytest

from shared.lifecycle import State
from tests import rows
from tests.sandbox import SandboxServer
from workers import submit
from workers.ports import Ports


def refuse(sandbox: SandboxServer, route: str, prompt: str) -> None:
    """The first call there with this prompt is one that the channel cannot express."""
    match = {"route": route, "prompt_contains": prompt.split(" [[")[0]}
    sandbox.script([{"match": match, "times": 1, "do": {"fail": "500_convert"}}])


@pytest.mark.parametrize("fault", ["500_placeholder", "503_upstream"])
def test_speech_that_was_not_made_is_asked_for_again_and_counts_no_attempt(
    ports: Ports, sandbox: SandboxServer, fault: str
) -> None:
    prompt = rows.prompt(f"fail={fault}")
    job = rows.make(ports, prompt=prompt, model="tts-1", operation="audio.speech", params={"voice": "alloy"})

    submit.submit([job.id], ports)

    assert (rows.read(ports, job).state, rows.read(ports, job).attempt) == (State.QUEUED, 0)
    assert sandbox.ledger(prompt.split(" [[")[0]) == []


def test_a_picture_after_the_same_error_may_have_been_made_and_is_held(ports: Ports, sandbox: SandboxServer) -> None:
    job = rows.make(ports, prompt=rows.prompt("fail=500_placeholder"))

    submit.submit([job.id], ports)

    assert rows.read(ports, job).state is State.HELD


def test_a_picture_that_one_format_cannot_express_comes_by_another_and_is_paid_for_once(
    ports: Ports, sandbox: SandboxServer
) -> None:
    prompt = rows.prompt()
    refuse(sandbox, "images.generate", prompt)
    job = rows.make(ports, prompt=prompt)

    submit.submit([job.id], ports)

    row = rows.read(ports, job)
    assert (row.state, row.attempt) == (State.SUCCEEDED, 1)
    assert len(rows.artifacts(ports, job)) == 1
    assert len(sandbox.ledger(prompt.split(" [[")[0])) == 1


def test_a_channel_that_expresses_neither_fails_the_job_at_once_and_costs_nothing(
    ports: Ports, sandbox: SandboxServer
) -> None:
    prompt = rows.prompt("fail=500_convert")
    job = rows.make(ports, prompt=prompt)

    submit.submit([job.id], ports)

    row = rows.read(ports, job)
    assert (row.state, row.attempt) == (State.FAILED, 1)
    assert rows.error(ports, job)["code"] == "convert_request_failed"
    assert sandbox.ledger(prompt.split(" [[")[0]) == []
