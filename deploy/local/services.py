"""The embedded servers: PostgreSQL, Redis, S3.  `darkroom up` starts those that no URL replaces.

For tests, they alone: `python -m deploy.local.services --data-dir D --until-pid PID [--only postgres,redis,s3]`
writes `D/services.json` when they are ready and ends on SIGTERM, or when process PID is gone.
Who starts it on a folder of a killed one removes that file first, or reads the old one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from deploy.local import directory, postgres, records, redis, seaweed, secrets, stage
from deploy.local.ports import Book, Want
from deploy.local.process import Spec
from deploy.local.supervisor import Stopped, Supervisor, tolerant
from shared.errors import DarkroomError

Ports = Mapping[str, int]
Secrets = Mapping[str, str]


@dataclass(frozen=True)
class Part:
    """One embedded server: the ports that it wants, its spec, and what others must know (names of `Settings`)."""

    wants: Sequence[Want]
    spec: Callable[[Path, Ports, Secrets], Spec]
    settings: Callable[[Ports, Secrets], dict[str, str]]


PARTS: Mapping[str, Part] = {
    "redis": Part(
        wants=(Want("redis"),),
        spec=lambda folder, ports, keys: redis.spec(folder, ports["redis"], keys["redis_password"]),
        settings=lambda ports, keys: {"broker_url": redis.url(ports["redis"], keys["redis_password"])},
    ),
    "s3": Part(
        wants=seaweed.WANTS,
        spec=lambda folder, ports, keys: seaweed.spec(folder, _named(ports, seaweed.WANTS), keys),
        settings=lambda ports, keys: {
            "s3_endpoint_url": seaweed.url(ports),
            "s3_access_key_id": keys["s3_access_key_id"],
            "s3_secret_access_key": keys["s3_secret_access_key"],
        },
    ),
    # Last, because its first start makes the database in the supervisor's own time, while the others come up.
    "postgres": Part(
        wants=(Want("postgres"),),
        spec=lambda folder, ports, keys: postgres.spec(folder, ports["postgres"], keys["postgres_password"]),
        settings=lambda ports, keys: {"database_url": postgres.url(ports["postgres"], keys["postgres_password"])},
    ),
}


def wants(names: Sequence[str]) -> list[Want]:
    return [want for name in names for want in PARTS[name].wants]


def specs(names: Sequence[str], data_dir: Path, ports: Ports, keys: Secrets) -> list[Spec]:
    return [PARTS[name].spec(data_dir, ports, keys) for name in names]


def settings_of(names: Sequence[str], ports: Ports, keys: Secrets) -> dict[str, str]:
    """What `Settings` must say so that these are used, by field name."""
    return {field: value for name in names for field, value in PARTS[name].settings(ports, keys).items()}


def run(data_dir: Path, until_pid: int, names: Sequence[str], say: Callable[[str], None]) -> int:
    """Start these servers, say where they are in `DIR/services.json`, and keep them up until the end; an exit code."""
    data_dir, say = data_dir.resolve(), tolerant(say)
    try:
        with directory.hold(data_dir, say):
            return _serve(data_dir, until_pid, names, say)
    except Stopped:
        return 0
    except DarkroomError as error:
        say(str(error))
        return 1


def _serve(data_dir: Path, until_pid: int, names: Sequence[str], say: Callable[[str], None]) -> int:
    announcement = data_dir / "services.json"
    announcement.unlink(missing_ok=True)
    keys, guardian = secrets.load(data_dir), _process(until_pid)
    with Supervisor(data_dir, say) as supervisor:
        ports = stage.start(supervisor, Book(data_dir), wants(names), lambda ports: specs(names, data_dir, ports, keys))
        records.write(announcement, settings_of(names, ports, keys))
        supervisor.watch(until=lambda: not _lives(guardian))
        announcement.unlink()
    return 0


def _process(pid: int) -> psutil.Process:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        raise Stopped(f"process {pid} is gone already") from None


def _lives(process: psutil.Process) -> bool:
    """It runs; one that has ended and that nobody has reaped does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _named(ports: Ports, wants: Sequence[Want]) -> dict[str, int]:
    return {want.name: ports[want.name] for want in wants}


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.services", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--until-pid", type=int, required=True)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PARTS), metavar="NAME,NAME")
    return parser.parse_args(argv)


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command's output


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _arguments(argv)
    names = [name for name in PARTS if name in arguments.only]
    return run(arguments.data_dir, arguments.until_pid, names, _print)


if __name__ == "__main__":
    sys.exit(main())
