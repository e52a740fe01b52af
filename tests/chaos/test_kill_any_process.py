"""I6: any process may die at any moment, and another finishes its work.  A whole Darkroom, and `kill -9`."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from api.client import Darkroom
from tests.house import House

FAST = """
[models."sora-2"]
first_look_s = 2
look_every_s = 1
[models.midjourney]
first_look_s = 2
look_every_s = 1
"""
"""Looks at short intervals, so that a lost one costs little time."""
IMPATIENT = {"DARKROOM_HEARTBEAT_S": "1", "DARKROOM_DEAD_AFTER_S": "4", "DARKROOM_HINT_LOST_AFTER_S": "6"}
PATIENCE_S = 120


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("house"), workers=2, catalog=FAST, **IMPATIENT) as made:
        yield made


@pytest.fixture
def client(house: House) -> Iterator[Darkroom]:
    with house.client() as made:
        yield made


def a_mix(client: Darkroom, about: str) -> list[str]:
    """Jobs of every kind, which may be paid twice: what is asked here is that they end."""
    bodies = [
        {"model": "nano-banana", "params": {"response_format": "url"}},
        {"model": "gpt-image-1", "params": {"response_format": "b64_json"}},
        {"model": "sora-2", "params": {"seconds": 4}},
        {"model": "midjourney"},
    ]
    return [
        client.jobs.create(prompt=f"{about} {number}", on_unknown="retry", max_attempts=10, **body).id  # type: ignore[misc]
        for number, body in enumerate(bodies)
    ]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["api", "worker-1", "worker-2", "postgres", "redis", "s3", "sandbox", "flower"])
def test_killing_a_process_only_delays_the_jobs(house: House, client: Darkroom, name: str) -> None:
    pids = house.runtime["processes"]
    jobs = a_mix(client, f"kill {name}")

    time.sleep(0.7)  # not a wait for anything: the kill should hit the middle of the work
    house.kill(name)

    with house.client() as again:  # the address of a restarted API is the same, its connections are not
        ended = [again.jobs.wait(job, timeout_s=PATIENCE_S) for job in jobs]
    assert [job.state for job in ended] == ["succeeded"] * len(jobs), [job.raw["state_reason"] for job in ended]
    assert all(job.artifacts for job in ended)
    assert f"{name} died" in house.told
    assert house.runtime["processes"][name] != pids[name]


@pytest.mark.timeout(300)
def test_a_call_under_way_when_its_worker_dies_is_held_and_paid_once(house: House, client: Darkroom) -> None:
    prompt = "held for a person [[sandbox latency=8]]"
    job = client.jobs.create(model="nano-banana", prompt=prompt)
    wait_for_charge(house, "held for a person")

    for worker in ("worker-1", "worker-2"):
        house.kill(worker)

    held = wait_for_state(client, job.id, "held")
    assert held.error is not None
    assert held.error["class"] == "unknown_outcome"
    assert len(charges(house, "held for a person")) == 1
    again = client.jobs.retry(job.id)
    assert again.raw["attempt"] == 1
    assert wait_for_state(client, job.id, "succeeded").raw["attempt"] == 2
    assert len(charges(house, "held for a person")) == 2


def charges(house: House, prompt: str) -> list[object]:
    told = house.sandbox("GET", "ledger", params={"prompt": prompt})
    return list(told["data"])


def wait_for_charge(house: House, prompt: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not charges(house, prompt):
        assert time.monotonic() < deadline, "nothing was paid"
        time.sleep(0.05)


def wait_for_state(client: Darkroom, job_id: str, state: str):  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + PATIENCE_S
    while (job := client.jobs.get(job_id)).state != state:
        assert time.monotonic() < deadline, f"{job.state}: {job.raw['state_reason']}"
        time.sleep(0.1)
    return job
