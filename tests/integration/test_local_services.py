"""The embedded servers as `python -m deploy.local.services` starts them: real ones, killed without mercy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psutil  # type: ignore[import-untyped]
import psycopg
import pytest
import redis
from botocore.config import Config
from botocore.exceptions import ClientError

from deploy.local import records, up
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
READY_S = 30
BUCKET = "darkroom-test"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to borrow another identity")


@dataclass(frozen=True)
class Started:
    """A running `deploy.local.services` and what it announced."""

    supervisor: psutil.Process
    data_dir: Path
    urls: Mapping[str, str]

    def servers(self) -> list[psutil.Process]:
        """All its processes, backends included."""
        return [process for process in self.supervisor.children(recursive=True) if process.is_running()]

    def pid(self, name: str) -> int | None:
        """None while it is dead."""
        entry = records.read(self.data_dir / "pids.json").get(name)
        return int(entry["pid"]) if entry else None

    def kill(self, name: str) -> None:
        """Kill it, and wait until another one runs in its place."""
        pid = self.pid(name)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.pid(name) not in (pid, None))

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.urls["database_url"], autocommit=True, connect_timeout=5)

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.urls["broker_url"], socket_timeout=5)

    def s3(self, **other: str) -> Any:
        keys = {"id": self.urls["s3_access_key_id"], "secret": self.urls["s3_secret_access_key"]} | other
        return boto3.client(
            "s3",
            endpoint_url=self.urls["s3_endpoint_url"],
            aws_access_key_id=keys["id"],
            aws_secret_access_key=keys["secret"],
            region_name="us-east-1",
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )


def start(data_dir: Path, *more: str, until_pid: int | None = None) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "deploy.local.services", "--data-dir", str(data_dir)]
    argv += ["--until-pid", str(until_pid or os.getpid()), *more]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@contextmanager
def started(data_dir: Path, *more: str, until_pid: int | None = None) -> Iterator[Started]:
    """Servers for the length of the block; none of their processes is left after it."""
    (data_dir / "services.json").unlink(missing_ok=True)  # that of a killed one
    process = start(data_dir, *more, until_pid=until_pid)
    servers: list[psutil.Process] = []
    assert process.stdout is not None
    try:
        wait_for(lambda: (data_dir / "services.json").exists() or process.poll() is not None, READY_S)
        assert process.poll() is None, process.stdout.read()
        here = Started(psutil.Process(process.pid), data_dir, records.read(data_dir / "services.json"))
        servers = here.servers()
        yield here
    finally:
        process.terminate()
        process.wait(READY_S)
        process.stdout.close()
    assert not alive(servers)


def wait_for(condition: Callable[[], object], within_s: float = 15) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def soon(look: Callable[[], object], *errors: type[Exception]) -> object:
    """The answer of `look`, once it no longer raises one of these."""
    answers: list[object] = []

    def succeeds() -> bool:
        with suppress(*errors):
            answers.append(look())
        return bool(answers)

    wait_for(succeeds)
    return answers[0]


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended after a moment."""
    deadline = time.monotonic() + 5
    while (left := [each for each in processes if runs(each)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def runs(process: psutil.Process) -> bool:
    """What only waits for init to reap it does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    with started(tmp_path_factory.mktemp("services") / "data") as here:
        yield here


def test_postgres_is_of_version_18_in_utf8_and_refuses_a_wrong_password(services: Started) -> None:
    with services.connect() as connection:
        version, encoding, fsync = connection.execute(
            "select current_setting('server_version'), current_setting('server_encoding'), current_setting('fsync')"
        ).fetchall()[0]

    assert version.startswith("18.")
    assert (encoding, fsync) == ("UTF8", "on")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(services.urls["database_url"], password="wrong")
    with pytest.raises(psycopg.OperationalError, match="no password"):
        psycopg.connect(services.urls["database_url"].replace(f":{password_in(services.urls['database_url'])}", ""))


def password_in(url: str) -> str:
    return url.split("://", 1)[1].split("@")[0].split(":", 1)[1]


def test_redis_answers_with_its_password_alone_and_appends_to_a_file(services: Started) -> None:
    with services.redis() as client:
        assert client.ping()
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    without = f"redis://{services.urls['broker_url'].split('@')[1]}"
    with redis.Redis.from_url(without) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_s3_keeps_an_object_and_refuses_a_wrong_key(services: Started) -> None:
    client = services.s3()
    client.create_bucket(Bucket=BUCKET)

    client.put_object(Bucket=BUCKET, Key="a/b.bin", Body=b"x" * 3_000_000)

    assert client.get_object(Bucket=BUCKET, Key="a/b.bin")["Body"].read() == b"x" * 3_000_000
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        services.s3(secret="wrong").get_object(Bucket=BUCKET, Key="a/b.bin")
    client.close()


def test_all_listen_on_loopback_only(services: Started) -> None:
    listening = [
        connection.laddr.ip
        for process in services.servers()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]

    assert len(listening) >= 12  # PostgreSQL, Redis, five parts of SeaweedFS with two ports each
    assert set(listening) == {"127.0.0.1"}


def test_secrets_are_in_no_command_line_and_no_file_that_others_can_read(services: Started) -> None:
    secrets = [str(secret) for secret in records.read(services.data_dir / "secrets.json").values()]
    commands = " ".join(part for process in services.servers() for part in process.cmdline())
    readable = [path for path in services.data_dir.iterdir() if path.is_file() and path.stat().st_mode & 0o077]
    folders = [path for path in services.data_dir.iterdir() if path.is_dir() and path.stat().st_mode & 0o077]

    assert not [secret for secret in secrets if secret in commands]
    assert readable == folders == []


def test_two_run_side_by_side_and_share_nothing(services: Started, tmp_path: Path) -> None:
    with started(tmp_path / "other") as other, other.redis() as client, services.redis() as first:
        client.set("key", "other")

        assert first.get("key") is None
        assert set(services.urls.values()).isdisjoint(other.urls.values())
        with other.connect() as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        assert other.s3().list_buckets()["Buckets"] == []


def test_a_second_one_on_the_same_folder_says_who_runs_there_and_ends(
    services: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.chdir(services.data_dir)  # no `.env` here

    code = up.run(Settings(), services.data_dir, port=0, flower_port=0, workers=1, say=said.append)

    assert code == up.HELD != 0
    assert said == [f"{services.data_dir} is in use: darkroom runs there already (pid {services.supervisor.pid})"]


def test_a_killed_postgres_comes_back_with_its_data_even_from_busy_work(services: Started) -> None:
    with services.connect() as connection:
        connection.execute("create table if not exists kept (n int)")
        connection.execute("insert into kept values (1)")
    busy = threading.Thread(target=count_for_ever, args=(services,))
    busy.start()
    wait_for(lambda: is_counting(services))

    services.kill("postgres")

    assert soon(lambda: rows(services), psycopg.OperationalError) == [(1,)]
    busy.join(10)
    assert not busy.is_alive()


def count_for_ever(services: Started) -> None:
    with suppress(psycopg.OperationalError), services.connect() as connection:
        connection.execute("select count(*) from generate_series(1, 1e12)")


def is_counting(services: Started) -> bool:
    query = "select 1 from pg_stat_activity where query like %s and pid <> pg_backend_pid()"
    with services.connect() as connection:
        return connection.execute(query, ["%generate_series%"]).fetchone() is not None


def rows(services: Started) -> list[tuple[int]]:
    with services.connect() as connection:
        return connection.execute("select n from kept").fetchall()


def test_a_killed_redis_comes_back_with_its_data(services: Started) -> None:
    with services.redis() as client:
        client.set("kept", "1")

        services.kill("redis")

        assert soon(lambda: client.get("kept"), redis.ConnectionError) == b"1"


def test_a_killed_s3_comes_back_with_its_data(services: Started) -> None:
    client = services.s3()
    client.create_bucket(Bucket="kept-bucket")
    client.put_object(Bucket="kept-bucket", Key="kept", Body=b"1")

    services.kill("s3")

    body = soon(lambda: client.get_object(Bucket="kept-bucket", Key="kept")["Body"].read(), Exception)
    assert body == b"1"
    client.close()


def test_a_killed_supervisor_leaves_nobody_and_the_next_one_finds_everything(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    first = start(data_dir)
    wait_for((data_dir / "services.json").exists, READY_S)
    here = Started(psutil.Process(first.pid), data_dir, records.read(data_dir / "services.json"))
    with here.redis() as client:
        client.set("kept", "1")
    servers = here.servers()

    first.kill()
    first.communicate()

    assert servers
    assert not alive(servers)
    with started(data_dir) as again, again.redis() as client:
        assert again.urls == here.urls
        assert client.get("kept") == b"1"


def test_it_ends_with_the_process_that_it_was_started_for(tmp_path: Path) -> None:
    guardian = subprocess.Popen(["sleep", "60"])
    process = start(tmp_path / "data", "--only", "redis", until_pid=guardian.pid)
    wait_for((tmp_path / "data" / "services.json").exists, READY_S)

    guardian.kill()
    guardian.wait()

    output, _ = process.communicate(timeout=10)
    assert process.returncode == 0, output
    assert not (tmp_path / "data" / "services.json").exists()


def test_a_start_that_is_told_to_stop_stops(tmp_path: Path) -> None:
    process = start(tmp_path / "data")
    wait_for((tmp_path / "data" / "pids.json").exists, READY_S)
    servers = psutil.Process(process.pid).children(recursive=True)

    process.terminate()

    output, _ = process.communicate(timeout=15)
    assert process.returncode == 0, output
    assert not alive(servers)


@as_root
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_root_lends_postgres_an_identity_and_opens_no_folder(mode: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        parent = Path(name)
        parent.chmod(mode)

        with started(parent / "data", "--only", "postgres") as here, here.connect() as connection:
            assert connection.execute("select 1").fetchone() == (1,)

        assert parent.stat().st_mode & 0o777 == mode
        assert (parent / "data" / "postgres").stat().st_mode & 0o777 == 0o700


@as_root
def test_a_folder_that_changed_its_reach_is_still_found(tmp_path: Path) -> None:
    """The first start may borrow a user and the next one a namespace; the data changes hands with them."""
    with tempfile.TemporaryDirectory() as name:
        for mode in (0o755, 0o700, 0o755):
            Path(name).chmod(mode)
            with started(Path(name) / "data", "--only", "postgres") as here, here.connect() as connection:
                connection.execute("create table if not exists kept (n int)")
