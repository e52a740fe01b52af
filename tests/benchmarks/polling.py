"""10,000 films in flight at a tiny gateway, one worker process that looks at them: pace, delay, memory.

The films end at the tiny gateway, but Darkroom is not told: whoever was seen is taken out of the database and another
one put in its place, so that 10,000 stay in flight and nothing is stored.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

import psutil
from aiohttp import web
from sqlalchemy import insert, text
from sqlmodel import col, update

from shared import db, durations, foresight, ids
from shared.catalog.lookup import Catalog
from shared.claims import seconds_from_now
from shared.db import Transaction
from shared.durations import Between, Durations
from shared.lifecycle import State
from shared.policy import OnUnknown
from shared.tables import Job, ModelDuration
from tests.house import House

IN_FLIGHT: Final = 10_000
SECONDS: Final = 100
MEDIAN_S, SPREAD, REFRESH_S = 180.0, 0.15, 15.0
MODEL: Final = "sora-2"
SIZE: Final = durations.size_of("video.create", {"seconds": 8})
COHORT_S: Final = (100.0, 135.0)
"""Films of this age when it begins have their first look and nearly all of them their end while it goes on."""


@dataclass
class Film:
    job_id: str
    begun_at: float
    knew_at: float
    is_counted: bool
    looks: int = 0
    seen_at: float | None = None


class TinyGateway:
    """Answers looks at films, and counts them."""

    def __init__(self) -> None:
        self.films: dict[str, Film] = {}
        self.looks = 0
        self.seen: list[Film] = []
        self.url = ""

    async def look(self, request: web.Request) -> web.Response:
        film = self.films[request.match_info["id"]]
        now = time.time()
        if film.seen_at is None:
            self.looks += 1
            film.looks += 1
        if now >= film.knew_at and film.seen_at is None:
            film.seen_at = now
            self.seen.append(film)
        return web.json_response(
            {"id": request.match_info["id"], "object": "video", "status": "in_progress", "progress": 40}
        )

    async def serve(self) -> None:
        app = web.Application()
        app.router.add_get("/v1/videos/{id}", self.look)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"


@contextmanager
def tiny_gateway() -> Iterator[TinyGateway]:
    gateway, loop = TinyGateway(), asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    asyncio.run_coroutine_threadsafe(gateway.serve(), loop).result(10)
    yield gateway
    loop.call_soon_threadsafe(loop.stop)


def main(told: Any) -> None:
    with tiny_gateway() as gateway, tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder:
        settings = {
            "DARKROOM_GATEWAY_BASE_URL": gateway.url,
            "DARKROOM_GATEWAY_API_KEY": "sk-bench",
        }
        with House(Path(folder), workers=1, **settings) as house:
            engine = db.engine(house.runtime["database_url"], 2, "darkroom-bench")
            transaction = db.transactions(engine)
            crowd = Crowd(gateway, transaction)
            worker = psutil.Process(house.runtime["processes"]["worker-1"])
            idle, cpu, looks = worker.memory_info().rss, sum(worker.cpu_times()[:2]), gateway.looks
            crowd.begin()
            began, most = time.monotonic(), idle
            while time.monotonic() - began < SECONDS:
                time.sleep(0.5)
                crowd.renew()
                most = max(most, worker.memory_info().rss)
            took_s = time.monotonic() - began
            told("looks a second", f"{(gateway.looks - looks) / took_s:.0f}")
            spent_s = sum(worker.cpu_times()[:2]) - cpu
            told("worker's CPU, parts of a core", f"{spent_s / took_s:.2f}")
            told("worker's CPU for each look", f"{spent_s / max(1, gateway.looks - looks) * 1000:.2f} ms")
            told("worker's memory: idle, most", f"{idle / 2**20:.0f} MB, {most / 2**20:.0f} MB")
            tell_delays([film for film in gateway.seen if film.is_counted], told)
            engine.dispose()


def tell_delays(films: list[Film], told: Any) -> None:
    delays = sorted((film.seen_at or 0.0) - film.knew_at for film in films)
    middle, most = delays[len(delays) // 2], delays[int(len(delays) * 0.95)]
    told(f"looks at each of {len(films)} films, on average", f"{sum(film.looks for film in films) / len(films):.1f}")
    told("from the gateway's knowledge to the look", f"p50 {middle:.1f} s, p95 {most:.1f} s")


class Crowd:
    """The films in flight, at the tiny gateway and in the database."""

    def __init__(self, gateway: TinyGateway, transaction: Transaction) -> None:
        self._gateway = gateway
        self._transaction = transaction
        self._random = Random(9)
        self._project_id = ids.new("project")
        self._renewed = 0
        self._plan = self._teach()

    def _teach(self) -> foresight.Plan:
        """What others have learned before us."""
        known = Durations()
        for _ in range(200):
            knew_s = self._took_s() + REFRESH_S * self._random.random()
            known = known.add(Between(knew_s, knew_s))
        with self._transaction() as session:
            session.add(
                ModelDuration(model=MODEL, size=SIZE, counts=list(known.counts), learned_at=seconds_from_now(0))
            )
            session.execute(
                text("INSERT INTO projects (id, name, created_at) VALUES (:id, 'polling', now())"),
                {"id": self._project_id},
            )
        plan = foresight.plan(known, Catalog.built_in().entry(MODEL))
        assert plan is not None
        time.sleep(12)  # until the worker has read it
        return plan

    def _took_s(self) -> float:
        return self._random.lognormvariate(math.log(MEDIAN_S), SPREAD)

    def begin(self) -> None:
        rows = []
        while len(rows) < IN_FLIGHT:
            took_s = self._took_s()
            rows.append(self._film(took_s, took_s * self._random.random()))
        self._insert(rows)

    def renew(self) -> None:
        """Take out who was seen, and put as many new ones in their places."""
        seen = self._gateway.seen[self._renewed :]
        self._renewed += len(seen)
        if not seen:
            return
        with self._transaction() as session:
            gone = col(Job.id).in_([film.job_id for film in seen])
            session.execute(update(Job).where(gone).values(state=State.CANCELED, due_at=None))
        self._insert([self._film(self._took_s(), 0.0) for _ in seen])

    def _film(self, took_s: float, age_s: float) -> dict[str, Any]:
        job_id, now = ids.new("job"), time.time()
        knew_at = now - age_s + took_s + REFRESH_S * self._random.random()
        is_counted = COHORT_S[0] <= age_s < COHORT_S[1]
        self._gateway.films[f"v_{job_id}"] = Film(job_id, now - age_s, knew_at, is_counted)
        first_s = self._plan.first_look_s(self._random.random)
        due_in_s = first_s - age_s if age_s < first_s else 10 * self._random.random()
        moment = datetime.fromtimestamp(now, UTC)
        ago = moment - timedelta(seconds=age_s)
        return {
            "id": job_id,
            "project_id": self._project_id,
            "operation": "video.create",
            "model": MODEL,
            "lane": "default.sora",
            "state": State.RUNNING,
            "priority": 5,
            "attempt": 1,
            "max_attempts": 3,
            "waits": 0,
            "on_unknown": OnUnknown.HOLD,
            "due_at": moment + timedelta(seconds=due_in_s),
            "moved_at": ago,
            "created_at": ago,
            "submitted_at": ago,
            "progress": 0,
            "upstream_task_id": f"v_{job_id}",
            "misses": 0,
            "vanished": 0,
            "doubted": False,
            "store_tries": 0,
            "size": SIZE,
        }

    def _insert(self, rows: list[dict[str, Any]]) -> None:
        for start in range(0, len(rows), 1000):
            with self._transaction() as session:
                session.connection().execute(insert(Job), rows[start : start + 1000])
