"""The commands of `docker-compose.yml`, and what the README types first, without Docker on real parts."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import make_url

from deploy.local.programs import FLOWER_USER
from tests import compose
from tests.compose import ROOT, Container

READY_S = 60
STOP_S = 20
SEED = "a1b2c3d4" * 5


@dataclass
class Cluster:
    """What `docker compose --profile sandbox up` would start, with the database, broker and S3 of the tests."""

    containers: dict[str, Container]
    urls: dict[str, str]
    env: dict[str, str]

    @property
    def key(self) -> str:
        return self.env["DARKROOM_ADMIN_KEY"]

    def __getitem__(self, name: str) -> Container:
        return self.containers[name]

    def start(self, *names: str) -> None:
        for name in names:
            self[name].start()
        for name in names:
            eventually(self[name].is_healthy, f"{name} is not healthy", self[name])


def eventually(holds: Callable[[], bool], otherwise: str, container: Container) -> None:
    deadline = time.monotonic() + READY_S
    while not holds():
        process = container.process
        if time.monotonic() > deadline or process is None or process.poll() is not None:
            raise AssertionError(f"{otherwise}:\n{container.told[-4000:]}")
        time.sleep(0.1)


@pytest.fixture
def cluster(stack: dict[str, Any], tmp_path: Path) -> Iterator[Cluster]:
    """Not started; whatever of it runs at the end is killed."""
    made = made_of(stack, tmp_path)
    try:
        yield made
    finally:
        for container in made.containers.values():
            if container.process is not None and container.process.poll() is None:
                container.process.kill()
                container.process.wait()


def made_of(stack: dict[str, Any], folder: Path) -> Cluster:
    database_url = empty_database(stack["database_url"])
    ports = {name: compose.free_port(name) for name in ("api", "flower", "sandbox")}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    env = {name: SEED for name, default in compose.example().items() if default is None}
    env |= {
        "DARKROOM_ADMIN_KEY": f"dk_{SEED}",
        "DARKROOM_S3_ACCESS_KEY_ID": stack["s3_access_key_id"],
        "DARKROOM_S3_SECRET_ACCESS_KEY": stack["s3_secret_access_key"],
        "DARKROOM_S3_PUBLIC_ENDPOINT_URL": stack["s3_endpoint_url"],
        "DARKROOM_S3_BUCKET": f"entry-points-{uuid.uuid4().hex}",
        "DARKROOM_GATEWAY_BASE_URL": urls["sandbox"],
        "DARKROOM_GATEWAY_API_KEY": SEED,
    }
    elsewhere = {
        "DARKROOM_DATABASE_URL": database_url,
        # A database of its own, so that no other worker of these tests takes its hints.
        "DARKROOM_BROKER_URL": re.sub(r"/\d+$", "/7", stack["broker_url"]),
        "DARKROOM_S3_ENDPOINT_URL": stack["s3_endpoint_url"],
    }
    ports_there = {"8000": ports["api"], "5555": ports["flower"], "9000": ports["sandbox"]}
    containers = {}
    for name, service in compose.ours().items():
        data_dir = folder / name
        data_dir.mkdir()
        told = compose.environment(service, env)
        told |= {variable: url for variable, url in elsewhere.items() if variable in told}
        told["DARKROOM_DATA_DIR"] = str(data_dir)
        replaced = {"0.0.0.0": "127.0.0.1", "/var/lib/darkroom": str(data_dir), **ports_there}
        containers[name] = Container(name, told, folder / f"{name}.log", replaced)
    return Cluster(containers, urls, env)


def empty_database(database_url: str) -> str:
    name = f"entry-points-{uuid.uuid4().hex}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return make_url(database_url).set(database=name).render_as_string(hide_password=False)


def test_the_commands_of_the_compose_file_run_the_whole_system(cluster: Cluster, tmp_path: Path) -> None:
    cluster["prepare"].start()
    assert cluster["prepare"].wait(READY_S) == 0, cluster["prepare"].told
    cluster.start("sandbox", "api", "worker", "flower")

    the_api_lives_and_finds_all_its_parts(cluster)
    preparing_again_changes_nothing(cluster)
    flower_asks_for_a_password_and_sees_the_worker(cluster)
    the_sandbox_gateway_wants_the_key_of_the_worker(cluster)
    what_the_readme_types_makes_a_picture(cluster, tmp_path)
    a_worker_that_was_killed_is_not_alive_and_a_new_one_is(cluster)
    each_process_ends_when_it_is_asked_to(cluster)


def get(url: str, **options: Any) -> httpx.Response:
    return httpx.get(url, timeout=30, trust_env=False, **options)


def the_api_lives_and_finds_all_its_parts(cluster: Cluster) -> None:
    assert get(f"{cluster.urls['api']}/healthz").status_code == 200
    ready = get(f"{cluster.urls['api']}/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")


def preparing_again_changes_nothing(cluster: Cluster) -> None:
    bearer = {"Authorization": f"Bearer {cluster.key}"}
    before = get(f"{cluster.urls['api']}/v1/api-keys", headers=bearer).json()

    cluster["prepare"].start()

    assert cluster["prepare"].wait(READY_S) == 0, cluster["prepare"].told
    assert len(before["data"]) == 1
    assert get(f"{cluster.urls['api']}/v1/api-keys", headers=bearer).json()["data"][0] == before["data"][0]


def flower_asks_for_a_password_and_sees_the_worker(cluster: Cluster) -> None:
    url, right = cluster.urls["flower"], (FLOWER_USER, SEED)
    assert get(f"{url}/").status_code == 401
    assert get(f"{url}/api/workers").status_code == 401
    assert get(f"{url}/", auth=(FLOWER_USER, "wrong")).status_code == 401

    eventually(
        lambda: "worker@" in get(f"{url}/workers?json=1", auth=right).text,
        "Flower does not see the worker",
        cluster["flower"],
    )


def the_sandbox_gateway_wants_the_key_of_the_worker(cluster: Cluster) -> None:
    url, key = cluster.urls["sandbox"], cluster["worker"].env["DARKROOM_GATEWAY_API_KEY"]
    assert get(f"{url}/healthz").status_code == 200
    assert get(f"{url}/v1/models").status_code == 401
    assert get(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code == 200


def what_the_readme_types_makes_a_picture(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / ".darkroom").mkdir()
    urls = {"api_url": cluster.urls["api"], "gateway_url": cluster.urls["sandbox"]}
    runtime = {**urls, "admin_key": cluster.key}
    (tmp_path / ".darkroom" / "runtime.json").write_text(json.dumps(runtime))
    with_curl, with_darkroom = re.findall(
        r"<!-- tested -->\n```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )

    typed(with_darkroom.replace(".venv/bin/darkroom", f"{sys.executable} -m api.cli"), tmp_path)
    assert [path.suffix for path in (tmp_path / "out").iterdir()] == [".png"]
    if shutil.which("curl") is None:
        return  # nothing but git, make and Python is promised
    job = json.loads(typed(with_curl, tmp_path))
    assert job["state"] == "succeeded", job
    [artifact] = job["artifacts"]
    assert artifact["kind"] == "image"
    picture = get(artifact["download_url"])
    assert picture.headers["content-type"] == artifact["content_type"]
    assert len(picture.content) == artifact["bytes"]


def typed(block: str, folder: Path) -> bytes:
    """What a shell answers in that folder."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env={**os.environ, "no_proxy": "127.0.0.1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=90,
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout


def a_worker_that_was_killed_is_not_alive_and_a_new_one_is(cluster: Cluster) -> None:
    worker = cluster["worker"]
    worker.env |= {"DARKROOM_DEAD_AFTER_S": "1.5", "DARKROOM_HEARTBEAT_S": "0.5"}
    assert worker.process is not None

    worker.process.send_signal(signal.SIGKILL)
    worker.process.wait()
    deadline = time.monotonic() + READY_S
    while worker.is_healthy():
        assert time.monotonic() < deadline
    cluster.start("worker")


def each_process_ends_when_it_is_asked_to(cluster: Cluster) -> None:
    for name in ("flower", "api", "sandbox"):
        assert cluster[name].stop(STOP_S) in (0, -signal.SIGTERM), cluster[name].told[-2000:]
    # A worker with threads does not always end by itself (celery.md); then `docker stop` kills it.
    assert cluster["worker"].stop(STOP_S) in (0, -signal.SIGTERM, -signal.SIGKILL)
    assert "worker.stopping" in cluster["worker"].told
