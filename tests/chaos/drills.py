"""The drills: what is done to a Darkroom while it works.  Each goes on until it is told to stop."""

from __future__ import annotations

import itertools
import os
import random
import resource
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil  # type: ignore[import-untyped]
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
stuck_after_s = 40
[models.midjourney]
first_look_s = 1
look_every_s = 1
"""
LANES: Final = {"nano-banana": 8, "gpt-image": 8, "sora": 16, "midjourney": 16}
MODELS: Final = {"nano-banana": 8, "gpt-image-1": 8, "sora-2": 16}
"""Most at once, by model."""
CATALOG: Final = FAST + "".join(
    f"[lanes.{name}]\nlimit = {limit}\nrate_per_minute = 60000\n" for name, limit in LANES.items()
)
SETTINGS: Final = {"DARKROOM_HEARTBEAT_S": "1", "DARKROOM_DEAD_AFTER_S": "5", "DARKROOM_HINT_LOST_AFTER_S": "8"}
"""Dead processes and lost hints are found soon, so that a drill takes seconds."""
END_S: Final = 150.0
"""So long after the trouble all jobs must have come to an end, and a little longer where they are many."""
END_EACH_S: Final = 0.2
PATIENCE_S: Final = 300.0
"""So long the API may be away, for those who submit."""
GAP_S: Final = 2.0
GONE_S: Final = 60.0
"""So long a part is gone, at full length."""
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
LIES: Final[Sequence[Mapping[str, Any]]] = (
    {"do": {"variant": "html200"}, "times": 2},
    {"match": {"route": "videos.create"}, "do": {"lying": True}},
    {"match": {"route": "videos.create"}, "do": {"stale_links": 2}},
    {"match": {"route": "videos.create"}, "do": {"content": "truncated", "content_times": 2}},
    {"match": {"route": "images.generate"}, "do": {"content": "403", "content_times": 2}},
    {"match": {"route": "images.generate"}, "do": {"content": "html", "content_times": 1}},
    {"match": {"route": "mj.imagine"}, "do": {"late_image": 2, "list_row": "omitted_once"}},
    {"do": {"hang": 5}, "times": 4},
    {"match": {"route": "videos.create"}, "do": {"stuck": True}, "times": 1},
    {"match": {"route": "videos.create"}, "do": {"words": "unknown", "progress": "text", "query": "generations"}},
)
"""What the gateway says that is not so, or not yet."""


@dataclass(frozen=True)
class Drill:
    """One kind of trouble."""

    name: str
    told: str
    trouble: Callable[[House, threading.Event], None]
    keeps_limits: bool = True
    """Whether no worker dies in a call, which the gateway would go on with."""
    jobs: int = 200
    """At full length."""
    seconds: float = 30.0
    """Over which they are submitted, at full length, and for which the trouble goes on."""
    workers: int = 2
    environment: Mapping[str, str] = field(default_factory=dict)
    """Of all processes, besides `SETTINGS`."""


def run(house: House, drill: Drill, jobs: int, seconds: float) -> judge.Verdict:
    """Submit so many jobs over so many seconds, make trouble meanwhile, wait for the end, and judge."""
    stop = threading.Event()
    began = time.monotonic()
    words = f"drill {drill.name} {time.time_ns()}"
    house.sandbox("DELETE", "ledger")
    house.sandbox("POST", "settings", json={"speed": SPEED})
    with ThreadPoolExecutor(1) as trouble, house.client(PATIENCE_S) as client:
        making = trouble.submit(drill.trouble, house, stop)
        try:
            job_ids = _submit(client, words, jobs, seconds)
        finally:
            stop.set()
        making.result()
    with house.client(PATIENCE_S) as client:
        _wait(house, job_ids, END_S + jobs * END_EACH_S)
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


def _wait(house: House, job_ids: Sequence[str], wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
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


def _kept_dead(house: House, name: str, seconds: float, stop: threading.Event) -> None:
    """It is started again, as it must be, and dies each time before anybody has much of it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not stop.wait(GAP_S / 8):
        _kill(house, name)


def empty_redis(house: House, stop: threading.Event) -> None:
    """Every message is thrown away, again and again; then Redis is gone for a minute, and flushed anew."""
    goes = 0
    while not stop.wait(GAP_S / 4):
        goes += 1
        if goes == 6:
            _kept_dead(house, "redis", GONE_S, stop)
            continue
        with (
            suppress(redis.RedisError),
            redis.Redis.from_url(house.runtime["broker_url"], socket_timeout=2) as client,
        ):
            client.flushall()


def silent_redis(house: House, stop: threading.Event) -> None:
    """No hint is published and none is heard: the ticks alone carry everything."""
    _frozen(house, "redis", stop.wait)


def away_postgres(house: House, stop: threading.Event) -> None:
    """Connections are cut, the server hangs with all that it has begun, and then it is gone for half a minute."""
    stop.wait(GAP_S)
    with suppress(psycopg.OperationalError), judge.connect(house) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND usename = current_user"
        )
    stop.wait(GAP_S)
    backends = psutil.Process(int(house.runtime["processes"]["postgres"])).children(recursive=True)
    for backend in backends:
        with suppress(psutil.NoSuchProcess):
            backend.suspend()
    stop.wait(GAP_S * 2)
    for backend in backends:
        with suppress(psutil.NoSuchProcess):
            backend.resume()
    stop.wait(GAP_S)
    _kept_dead(house, "postgres", GONE_S / 2, stop)


def away_s3(house: House, stop: threading.Event) -> None:
    """S3 hangs for longer than anybody waits, is slow, has no room left, and then is gone for a minute."""
    stop.wait(GAP_S)
    _frozen(house, "s3", lambda: stop.wait(12))
    for _ in range(20):
        _frozen(house, "s3", lambda: stop.wait(0.4))
        stop.wait(0.1)
    _without_room(house, ["s3"], stop, 12)
    _kept_dead(house, "s3", GONE_S, stop)


def full_disk(house: House, stop: threading.Event) -> None:
    """The workers cannot write a picture anywhere, three times."""
    for _ in range(3):
        stop.wait(GAP_S)
        _without_room(house, ["worker-1", "worker-2"], stop, GAP_S * 2)


def _without_room(house: House, names: Sequence[str], stop: threading.Event, seconds: float) -> None:
    """No file of these processes may grow beyond some bytes: `write` fails, as it does on a full disk."""
    pids = [int(house.runtime["processes"][name]) for name in names]
    _limit_files(pids, 4096)
    stop.wait(seconds)
    _limit_files(pids, resource.RLIM_INFINITY)


def _limit_files(pids: Sequence[int], most_bytes: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (most_bytes, hard))


def quiet(house: House, stop: threading.Event) -> None:
    """Nothing more than what the drill's house is."""
    stop.wait()


def _frozen(house: House, name: str, meanwhile: Callable[[], object]) -> None:
    pid = int(house.runtime["processes"][name])
    os.kill(pid, signal.SIGSTOP)
    try:
        meanwhile()
    finally:
        os.kill(pid, signal.SIGCONT)


def storm(house: House, stop: threading.Event) -> None:
    """The gateway is saturated, broken, cuts calls before and after it charges, and forgets its tasks."""
    _played(house, stop, STORM)


def lies(house: House, stop: threading.Event) -> None:
    """The gateway says what is not so: results that are cut, gone, or pages; tasks that fail and do not, or go on."""
    _played(house, stop, LIES)


def _played(house: House, stop: threading.Event, rules: Sequence[Mapping[str, Any]]) -> None:
    try:
        for rule in itertools.cycle(rules):
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
    """A rolling restart, again and again: each is asked to end, and its successor must be there before the next."""
    for name in itertools.cycle(("worker-1", "worker-2", "api")):
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


CLOCK: Final = {"PYTHONPATH": str(Path(__file__).parent / "clock"), "DARKROOM_CLOCK_OFF": "worker-2=300"}
"""Read by `clock/sitecustomize.py`: worker-2 lives five minutes in the future."""

DRILLS: Final = {
    drill.name: drill
    for drill in (
        Drill("kill", "kill -9 of any process every 2 s", kill_anything, keeps_limits=False, jobs=2000, seconds=240),
        Drill("redis", "Redis emptied twice a second, then gone for a minute", empty_redis, seconds=75),
        Drill("no-hints", "Redis frozen: no hint at all", silent_redis),
        Drill(
            "postgres", "connections cut, backends frozen, PostgreSQL gone for 30 s", away_postgres, False, seconds=50
        ),
        Drill("s3", "S3 frozen, slow, full, then gone for a minute", away_s3, seconds=110),
        Drill("disk", "no room in the spool", full_disk),
        Drill("gateway", "429, 503, 502, cuts before and after the charge, films out of reach", storm),
        Drill("lies", "cut, expired and wrong results, tasks that lie or never end", lies, seconds=45),
        Drill("ghosts", "hints doubled, late, for any job", ghost_hints),
        Drill("crowd", "five dispatchers, pollers and sweeps, hints doubled", ghost_hints, workers=5),
        Drill("clock", "a worker whose clock is five minutes ahead", quiet, environment=CLOCK),
        Drill("rolling", "rolling restart of workers and API", roll, jobs=400, seconds=45),
        Drill("zombie", "a worker frozen until it counts as dead", freeze_worker, keeps_limits=False),
    )
}
