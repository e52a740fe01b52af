"""`python -m tests.benchmarks [NAME …]`: figures of the whole system on this machine, printed, asserted nowhere.

Each benchmark starts a Darkroom of its own with the sandbox gateway, on loopback, bounded in count and time.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import platform
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
from PIL import Image

from api.client import Darkroom
from tests.benchmarks import polling
from tests.house import House

WORKERS = 2

WIDE_LANES = "\n".join(
    f"[lanes.{name}]\nlimit = 5000\nrate_per_minute = 600000" for name in ("nano-banana", "sora", "veo", "midjourney")
)


@contextmanager
def house(catalog: str = "") -> Iterator[House]:
    with (
        tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder,
        House(Path(folder), workers=WORKERS, catalog=f"{WIDE_LANES}\n{catalog}") as made,
    ):
        yield made


def told(name: str, value: str) -> None:
    print(f"  {name:<58}{value:>20}", flush=True)


def quantiles(values: list[float]) -> str:
    ordered = sorted(values)
    middle = statistics.median(ordered)
    return f"p50 {middle * 1000:.0f} ms, p99 {ordered[int(len(ordered) * 0.99) - 1] * 1000:.0f} ms"


def latency() -> None:
    """From the start of POST to the gateway's receipt of the paid call, at 20 jobs/s."""
    rate, seconds = 20, 20
    with house() as made, made.client() as client, ThreadPoolExecutor(20) as pool:
        began: dict[str, float] = {}

        def post(prompt: str) -> tuple[str, float]:
            began[prompt] = time.time()
            job = client.jobs.create(model="nano-banana", prompt=prompt)
            return job.id, time.time() - began[prompt]

        prompts = [f"latency {number} [[sandbox render=plain latency=1]]" for number in range(rate * seconds)]
        for prompt in prompts[: rate * 2]:  # warm up
            client.jobs.create(model="nano-banana", prompt=f"warm {prompt}")
        answers = []
        time.sleep(3)
        before = cpu_spent(made)
        start = time.monotonic()
        for number, prompt in enumerate(prompts):
            time.sleep(max(0.0, start + number / rate - time.monotonic()))
            answers.append(pool.submit(post, prompt))
        posts = [answer.result()[1] for answer in answers]
        time.sleep(3)
        for name, spent in cpu_spent(made).items():
            told(f"CPU of {name} for each job", f"{(spent - before[name]) / len(prompts) * 1000:.1f} ms")
        arrivals = {
            one["prompt"]: one["at"]
            for one in made.sandbox("GET", "requests", params={"prompt": "latency"})["arrivals"]
        }
        waits = [arrivals[key] - at for key, at in began.items() if key in arrivals]
        told(f"POST answered, {rate} jobs/s", quantiles(posts))
        stages(client, [answer.result() for answer in answers][::8], arrivals)
        told(f"POST to the gateway's receipt ({len(waits)} of {len(prompts)} jobs)", quantiles(waits))


def stages(client: Darkroom, posted: list[tuple[str, float]], arrivals: dict[str, float]) -> None:
    """Where the time went, by the events of some of the jobs."""
    steps: dict[str, list[float]] = {"queued to dispatched": [], "dispatched to claimed": [], "claimed to receipt": []}
    for job_id, _ in posted:
        job = client.jobs.get(job_id)
        at = {event.state: event.created_at.timestamp() for event in client.jobs.events(job_id)}
        if job.prompt not in arrivals or "submitting" not in at:
            continue
        steps["queued to dispatched"].append(at["dispatched"] - at["queued"])
        steps["dispatched to claimed"].append(at["submitting"] - at["dispatched"])
        steps["claimed to receipt"].append(arrivals[job.prompt] - at["submitting"])
    for name, values in steps.items():
        told(name, quantiles(values))


def cpu_spent(made: House) -> dict[str, float]:
    """Seconds of CPU of each process and its children so far."""
    spent = {}
    for name, pid in made.runtime["processes"].items():
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        spent[name] = sum(sum(one.cpu_times()[:2]) for one in family)
    spent["this benchmark"] = sum(psutil.Process().cpu_times()[:2])
    return spent


def seen() -> None:
    """How long after the upstream task was finished Darkroom knew, for films looked at every 2 s."""
    with (
        house('[models."sora-2"]\nfirst_look_s = 4\nlook_every_s = 2') as made,
        made.client() as client,
    ):
        jobs = [
            client.jobs.create(
                model="sora-2", prompt=f"seen {number} [[sandbox render=plain latency={5 + number % 7}]]"
            )
            for number in range(60)
        ]
        ended = [client.jobs.wait(job.id, timeout_s=60) for job in jobs]
        lags = []
        for number, job in enumerate(ended):
            events = {event.type: event for event in client.jobs.events(job.id)}
            ran = events["job.storing"].created_at - events["job.running"].created_at
            lags.append(ran.total_seconds() - (5 + number % 7))
        told("upstream finished to seen, looked at every 2 s", quantiles(lags))


def in_flight() -> None:
    """2,000 Sora tasks of 60 s in flight with one worker process."""
    count = 2000
    with house() as made, made.client() as client, ThreadPoolExecutor(16) as pool:
        worker = psutil.Process(made.runtime["processes"]["worker-1"])
        idle = worker.memory_info().rss
        start = time.monotonic()
        created = list(
            pool.map(
                lambda number: client.jobs.create(
                    model="sora-2", prompt=f"film {number} [[sandbox render=plain latency=60]]"
                ),
                range(count),
            )
        )
        told("2,000 films: all POSTs answered after", f"{time.monotonic() - start:.1f} s")
        most = most_rss = 0
        cpu = sum(worker.cpu_times()[:2])
        while time.monotonic() - start < 300:
            running = sum(each["now"] for each in made.sandbox("GET", "requests")["running_tasks"].values())
            most, most_rss = max(most, running), max(most_rss, worker.memory_info().rss)
            if done(client, created[-1].id) and done(client, created[0].id):
                break
            time.sleep(2)
        while time.monotonic() - start < 300 and len(client.jobs.list(state="succeeded", limit=200).data) < 200:
            time.sleep(1)
        settle(client, count, start)
        told("most in flight at the gateway at once", str(most))
        told("all stored after", f"{time.monotonic() - start:.1f} s")
        told("worker's memory: idle, most", f"{idle / 2**20:.0f} MB, {most_rss / 2**20:.0f} MB")
        told("worker's CPU for each job, all roles", f"{(sum(worker.cpu_times()[:2]) - cpu) / count * 1000:.1f} ms")
        paid = made.sandbox("GET", "ledger")
        told("paid calls in the ledger", str(paid["count"]))


def done(client: Darkroom, job_id: str) -> bool:
    return client.jobs.get(job_id).state in ("succeeded", "failed", "held")


def settle(client: Darkroom, count: int, start: float) -> None:
    while time.monotonic() - start < 400:
        open_jobs = [
            state
            for state in ("queued", "dispatched", "submitting", "running", "storing")
            if client.jobs.list(state=state, limit=1).data
        ]
        if not open_jobs:
            return
        time.sleep(1)


def memory() -> None:
    """The worker's memory while a film of 1 GiB is fetched, checked and stored."""
    with house('[models."sora-2"]\nfirst_look_s = 1\nlook_every_s = 1') as made, made.client() as client:
        client.jobs.wait(client.jobs.create(model="sora-2", prompt="warm [[sandbox latency=0]]").id, timeout_s=60)
        worker = psutil.Process(made.runtime["processes"]["worker-1"])
        before = worker.memory_info().rss
        job = client.jobs.create(model="sora-2", prompt="large [[sandbox latency=0 pad_mb=1024]]")
        most, start = before, time.monotonic()
        while not done(client, job.id) and time.monotonic() - start < 180:
            most = max(most, worker.memory_info().rss)
            time.sleep(0.1)
        ended = client.jobs.get(job.id)
        size = ended.artifacts[0].size_bytes if ended.artifacts else 0
        told(f"film of {size / 2**20:.0f} MB: {ended.state} after", f"{time.monotonic() - start:.1f} s")
        told("worker's memory: before, most", f"{before / 2**20:.0f} MB, {most / 2**20:.0f} MB")


class Noise(BaseHTTPRequestHandler):
    """A gateway that answers each call with the same large picture, as base64 in JSON."""

    body = b""
    together = threading.Barrier(1)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.together.wait(120)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None: ...


def answers() -> None:
    """The worker's memory while 50 answers of 30 MB come at once."""
    count, side = 50, 2740
    picture = io.BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(side * side * 3)).save(picture, "PNG", compress_level=0)
    content = base64.b64encode(picture.getvalue()).decode()
    Noise.body = json.dumps({"data": [{"b64_json": content}]}).encode()
    Noise.together = threading.Barrier(count)
    gateway = ThreadingHTTPServer(("127.0.0.1", 0), Noise)
    gateway.daemon_threads = True
    threading.Thread(target=gateway.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{gateway.server_address[1]}"
    with (
        tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder,
        House(
            Path(folder),
            workers=1,
            catalog=WIDE_LANES,
            DARKROOM_GATEWAY_BASE_URL=url,
            DARKROOM_GATEWAY_API_KEY="sk-bench",
        ) as made,
        made.client() as client,
    ):
        worker = psutil.Process(made.runtime["processes"]["worker-1"])
        idle, start = worker.memory_info().rss, time.monotonic()
        jobs = [client.jobs.create(model="nano-banana", prompt=f"large {number}").id for number in range(count)]
        most = idle
        while time.monotonic() - start < 300 and not all(done(client, job) for job in jobs[-1:]):
            most = max(most, worker.memory_info().rss)
            time.sleep(0.02)
        while time.monotonic() - start < 300 and not all(done(client, job) for job in jobs):
            most = max(most, worker.memory_info().rss)
            time.sleep(0.1)
        stored = sum(client.jobs.get(job).state == "succeeded" for job in jobs)
        told(
            f"{stored} of {count} answers of {len(Noise.body) / 1e6:.0f} MB stored after",
            f"{time.monotonic() - start:.1f} s",
        )
        told("worker's memory: idle, most", f"{idle / 2**20:.0f} MB, {most / 2**20:.0f} MB")
    gateway.shutdown()
    gateway.server_close()


def looks_at_many() -> None:
    """10,000 films in flight at a tiny gateway, one worker process that looks at them; nothing is stored."""
    polling.main(told)


BENCHMARKS: dict[str, Callable[[], None]] = {
    "latency": latency,
    "seen": seen,
    "in_flight": in_flight,
    "memory": memory,
    "answers": answers,
    "polling": looks_at_many,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="which (default: all)")
    names = parser.parse_args().names or list(BENCHMARKS)
    gib = psutil.virtual_memory().total / 2**30
    print(f"{psutil.cpu_count()} cores, {gib:.0f} GiB, Python {platform.python_version()}")
    for name in names:
        print(f"{name}: {(BENCHMARKS[name].__doc__ or '').strip()}", flush=True)
        BENCHMARKS[name]()


if __name__ == "__main__":
    main()
