"""The drills: what is done to a Darkroom while it works.  Each goes on until it is told to stop."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import redis

from api.client import Darkroom
from shared.hints import Hints
from tests.chaos import judge
from tests.house import House

FAST: Final = """
[models."sora-2"]
first_look_s = 1
look_every_s = 1
[models.midjourney]
first_look_s = 1
look_every_s = 1
"""
LANES: Final = {"nano-banana": 6, "gpt-image": 6, "sora": 8, "midjourney": 8}
MODELS: Final = {"nano-banana": 6, "gpt-image-1": 6, "sora-2": 8}
"""Most at once, by model."""
CATALOG: Final = FAST + "".join(
    f"[lanes.{name}]\nlimit = {limit}\nrate_per_minute = 60000\n" for name, limit in LANES.items()
)
SETTINGS: Final = {"DARKROOM_HEARTBEAT_S": "1", "DARKROOM_DEAD_AFTER_S": "5", "DARKROOM_HINT_LOST_AFTER_S": "8"}
"""Dead processes and lost hints are found soon, so that a drill takes seconds."""
END_S: Final = 150.0
"""So long after the trouble all jobs must have come to an end."""
GAP_S: Final = 2.0
SPEED: Final = 4.0
"""Of the sandbox's films and pictures: three seconds instead of twelve."""

MIX: Final[Sequence[Mapping[str, Any]]] = (
    {"model": "nano-banana", "params": {"response_format": "url"}},
    {"model": "gpt-image-1", "params": {"response_format": "b64_json"}},
    {"model": "sora-2", "params": {"seconds": 4}},
    {"model": "midjourney"},
)
STORM: Final[Sequence[Mapping[str, Any]]] = (
    {"do": {"fail": "429"}},
    {"do": {"fail": "503_overloaded", "retry_after": 1}},
    {"do": {"fail": "502"}},
    {"do": {"cut": "before_charge"}},
    {"do": {"cut": "after_charge"}},
    {"do": {"fail_after": "524"}},
    {"match": {"route": "videos.fetch"}, "do": {"fail": "500_do_request_failed"}},
    {"match": {"route": "videos.content"}, "do": {"fail": "502"}},
)
"""What the gateway does, one after the other."""


@dataclass(frozen=True)
class Drill:
    """One kind of trouble."""

    name: str
    told: str
    trouble: Callable[[House, threading.Event], None]
    keeps_limits: bool = True
    """Whether no worker dies in a call, which the gateway would go on with."""


def run(house: House, drill: Drill, jobs: int, seconds: float) -> judge.Verdict:
    """Submit so many jobs over so many seconds, make trouble meanwhile, wait for the end, and judge."""
    stop = threading.Event()
    began = time.monotonic()
    words = f"drill {drill.name} {time.time_ns()}"
    house.sandbox("DELETE", "ledger")
    house.sandbox("POST", "settings", json={"speed": SPEED})
    with ThreadPoolExecutor(1) as trouble, house.client() as client:
        making = trouble.submit(drill.trouble, house, stop)
        try:
            job_ids = _submit(client, words, jobs, seconds)
        finally:
            stop.set()
        making.result()
    with house.client() as client:
        _wait(house, job_ids)
        limits = MODELS if drill.keeps_limits else {}
        return judge.judge(house, client, drill.name, words, job_ids, limits, time.monotonic() - began)


def _submit(client: Darkroom, words: str, jobs: int, seconds: float) -> list[str]:
    began = time.monotonic()

    def one(number: int) -> str:
        time.sleep(max(0.0, began + number * seconds / jobs - time.monotonic()))
        prompt = f"{words} {number} [[sandbox render=plain]]"
        return client.jobs.create(prompt=prompt, **MIX[number % len(MIX)]).id  # type: ignore[misc]

    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(one, range(jobs)))


def _wait(house: House, job_ids: Sequence[str]) -> None:
    deadline = time.monotonic() + END_S
    while time.monotonic() < deadline:
        with suppress(psycopg.OperationalError):  # it comes up again
            if judge.unfinished(house, job_ids) == 0:
                return
        time.sleep(0.3)


# The troubles.


def kill_anything(house: House, stop: threading.Event) -> None:
    """`kill -9` of a process every two seconds; the sandbox is the judge and lives."""
    chance = random.Random(house.folder.name)
    while not stop.wait(GAP_S):
        _kill(house, chance.choice(["api", "worker-1", "worker-2", "postgres", "redis", "s3", "flower"]))


def _kill(house: House, name: str) -> None:
    with suppress(ProcessLookupError, KeyError):  # it is dead already, and about to be started again
        house.kill(name)


def empty_redis(house: House, stop: threading.Event) -> None:
    """Every message is thrown away, again and again; in the midst of it Redis dies."""
    goes = 0
    while not stop.wait(GAP_S / 4):
        goes += 1
        if goes % 12 == 6:
            _kill(house, "redis")
            continue
        with (
            suppress(redis.RedisError),
            redis.Redis.from_url(house.runtime["broker_url"], socket_timeout=2) as client,
        ):
            client.flushall()


def silent_redis(house: House, stop: threading.Event) -> None:
    """No hint is published and none is heard: the ticks alone carry everything."""
    _frozen(house, "redis", stop.wait)


def freeze_postgres(house: House, stop: threading.Event) -> None:
    """Connections are cut, then the server hangs, then it dies."""
    stop.wait(GAP_S)
    with suppress(psycopg.OperationalError), judge.connect(house) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND usename = current_user"
        )
    stop.wait(GAP_S)
    _kill(house, "postgres")
    stop.wait(GAP_S)


def away_s3(house: House, stop: threading.Event) -> None:
    """S3 hangs for longer than anybody waits, then dies."""
    stop.wait(GAP_S)
    _frozen(house, "s3", lambda: stop.wait(12))
    _kill(house, "s3")


def _frozen(house: House, name: str, meanwhile: Callable[[], object]) -> None:
    pid = int(house.runtime["processes"][name])
    os.kill(pid, signal.SIGSTOP)
    try:
        meanwhile()
    finally:
        os.kill(pid, signal.SIGCONT)


def storm(house: House, stop: threading.Event) -> None:
    """The gateway is saturated, broken, cuts calls before and after it charges, and forgets its tasks."""
    try:
        for rule in itertools.cycle(STORM):
            house.sandbox("DELETE", "script")
            house.sandbox("POST", "script", json=[rule])
            if stop.wait(GAP_S / 2):
                return
    finally:
        house.sandbox("DELETE", "script")


def ghost_hints(house: House, stop: threading.Event) -> None:
    """Hints for any job at any time, doubled and in a wrong order."""
    hints = Hints(house.runtime["broker_url"])
    hints.start()
    chance = random.Random(house.folder.name)
    try:
        with judge.connect(house) as connection:
            while not stop.wait(0.02):
                found = [row.id for row in connection.execute("SELECT id FROM jobs ORDER BY id DESC LIMIT 40")]
                some = chance.sample(found, min(len(found), 5))
                chance.choice([hints.submit, hints.store])([*some, *some[:2]])
                hints.dispatch()
    finally:
        hints.stop()


def roll(house: House, stop: threading.Event) -> None:
    """A rolling restart: each process in turn is asked to end, and its successor must be there before the next."""
    for name in ("worker-1", "worker-2", "api"):
        if stop.wait(GAP_S):
            return
        pid = int(house.runtime["processes"][name])
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 60
        while house.runtime["processes"].get(name) in (None, pid) and time.monotonic() < deadline:
            time.sleep(0.1)


def freeze_worker(house: House, stop: threading.Event) -> None:
    """A worker hangs for longer than it may be silent, is taken for dead, and wakes up as a zombie."""
    stop.wait(GAP_S)
    _frozen(house, "worker-1", lambda: stop.wait(8))


DRILLS: Final = {
    drill.name: drill
    for drill in (
        Drill("kill", "kill -9 of any process every 2 s", kill_anything, keeps_limits=False),
        Drill("redis", "Redis emptied twice a second, and killed", empty_redis),
        Drill("no-hints", "Redis frozen: no hint at all", silent_redis),
        Drill("postgres", "connections cut, PostgreSQL killed", freeze_postgres, keeps_limits=False),
        Drill("s3", "S3 frozen for 12 s, then killed", away_s3),
        Drill("gateway", "429, 503, 502, cuts before and after the charge, films out of reach", storm),
        Drill("ghosts", "hints doubled, late, for any job", ghost_hints),
        Drill("rolling", "rolling restart of workers and API", roll),
        Drill("zombie", "a worker frozen until it counts as dead", freeze_worker, keeps_limits=False),
    )
}
