"""`darkroom up`: the whole system on one machine, from the servers that no URL replaces to Flower.

The order: servers and sandbox gateway together, then what prepares them (migrations, bucket, admin key),
then API, workers and Flower together.  `DIR/runtime.json` appears when all of it is ready, names the
addresses and the living processes, and is gone after a clean stop.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.local import directory, environment, programs, records, secrets, services, stage
from deploy.local.ports import Book, Want
from deploy.local.process import Spec
from deploy.local.supervisor import StartFailed, Stopped, Supervisor, tolerant
from shared.errors import DarkroomError
from shared.settings import Settings

STOPPED, FAILED, HELD = 0, 1, 3
"""Exit codes: stopped as asked; a part did not start; another one runs on this folder."""

REPLACED_BY = {"redis": "broker_url", "s3": "s3_endpoint_url", "postgres": "database_url"}
"""The setting that takes an embedded server's place."""

Say = Callable[[str], None]


@dataclass
class Runtime:
    """`DIR/runtime.json`: written once all is ready, and again whenever a process has another pid."""

    path: Path
    addresses: dict[str, Any] = field(default_factory=dict)

    def publish(self, addresses: Mapping[str, Any], pids: Mapping[str, int]) -> None:
        self.addresses = dict(addresses)
        self.refresh(pids)

    def refresh(self, pids: Mapping[str, int]) -> None:
        if self.addresses:
            records.write(self.path, self.addresses | {"processes": dict(pids)})

    def remove(self) -> None:
        self.addresses = {}
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Wish:
    """What `run` was asked for, and what it found out first."""

    settings: Settings
    data_dir: Path
    port: int
    flower_port: int
    workers: int
    say: Say
    embedded: tuple[str, ...]
    sandbox: bool


def run(settings: Settings, data_dir: Path, port: int, flower_port: int, workers: int, say: Say) -> int:
    """Start everything, keep it up until SIGTERM or SIGINT, drain and stop it; an exit code.

    Call it from the main thread.  A port of 0 or a taken one: the one of the last start, or any.
    """
    data_dir, say = data_dir.resolve(), tolerant(say)
    sandbox = not settings.has_key
    embedded = tuple(name for name in services.PARTS if not getattr(settings, REPLACED_BY[name]))
    try:
        with directory.hold(data_dir, say):
            _live(Wish(settings, data_dir, port, flower_port, workers, say, embedded, sandbox))
    except Stopped:
        return STOPPED
    except directory.Held as error:
        say(str(error))
        return HELD
    except DarkroomError as error:
        say(str(error))
        return FAILED
    return STOPPED


def _live(wish: Wish) -> None:
    begun_at = time.monotonic()
    runtime = Runtime(wish.data_dir / "runtime.json")
    runtime.remove()
    say = _marked(wish.say) if wish.sandbox else wish.say
    with Supervisor(wish.data_dir, say, runtime.refresh) as supervisor:
        try:
            addresses = _start(wish, supervisor)
            runtime.publish(addresses, supervisor.pids)
            _welcome(wish, addresses, time.monotonic() - begun_at)
            supervisor.watch()
            wish.say(f"stopping; paid calls may finish for up to {wish.settings.drain_seconds:g} s (again: at once)")
        finally:
            supervisor.stop()
            runtime.remove()


def _start(wish: Wish, supervisor: Supervisor) -> dict[str, Any]:
    """Start all in order; answers what `runtime.json` says but for the processes."""
    keys, book = secrets.load(wish.data_dir), Book(wish.data_dir)

    ports = stage.start(supervisor, book, _server_wants(wish), lambda ports: _servers(wish, ports, keys))
    found = _found(wish, ports, keys)
    env = environment.of_program(wish.settings, _told(wish, found, keys))
    keys = secrets.keep(wish.data_dir, admin_key=_admin_key(supervisor.run(programs.prepare(env))))
    ports |= stage.start(supervisor, book, _program_wants(wish), lambda ports: _programs(wish, ports, env, found, keys))

    gateway_url = found["gateway_base_url"] if wish.sandbox else wish.settings.credentials[0].base_url
    return _addresses(ports, {**found, "gateway_base_url": gateway_url}, keys, wish.sandbox)


def _server_wants(wish: Wish) -> list[Want]:
    return services.wants(wish.embedded) + ([Want("sandbox")] if wish.sandbox else [])


def _servers(wish: Wish, ports: Mapping[str, int], keys: Mapping[str, str]) -> list[Spec]:
    embedded = services.specs(wish.embedded, wish.data_dir, ports, keys)
    if not wish.sandbox:
        return embedded
    return [programs.sandbox(ports["sandbox"], wish.data_dir, keys["sandbox_key"]), *embedded]


def _found(wish: Wish, ports: Mapping[str, int], keys: Mapping[str, str]) -> dict[str, str]:
    """The settings that name our parts, by field name: those given, over them those of what we started."""
    settings = wish.settings
    found = {name: getattr(settings, name) for name in (*REPLACED_BY.values(), "gateway_base_url")}
    found |= services.settings_of(wish.embedded, ports, keys)
    if wish.sandbox:
        found |= {"gateway_base_url": programs.url(ports["sandbox"]), "gateway_api_key": keys["sandbox_key"]}
    return found


def _told(wish: Wish, found: Mapping[str, str], keys: Mapping[str, str]) -> dict[str, str]:
    """What our programs find in their environment besides the settings that we were given."""
    told = {**found, "data_dir": str(wish.data_dir)}
    if "admin_key" in keys and wish.settings.admin_key is None:  # else the operator has named another one
        told["admin_key"] = keys["admin_key"]
    return {f"DARKROOM_{name.upper()}": value for name, value in told.items()}


def _admin_key(answer: str) -> str:
    """The key in the line that `prepare` printed.

    Raises:
        StartFailed: there is none.
    """
    try:
        key = json.loads(answer.strip().splitlines()[-1])["admin_key"]
    except (IndexError, KeyError, TypeError, ValueError):
        raise StartFailed("prepare ended without naming an admin key; see its log") from None
    if key is None:
        raise StartFailed(
            "the database has an admin key already, and this folder does not know it: set DARKROOM_ADMIN_KEY to it,"
            " or to a new one that is to be made"
        )
    return str(key)


def _program_wants(wish: Wish) -> list[Want]:
    return [Want("api", wish.port), Want("flower", wish.flower_port)]


def _programs(
    wish: Wish, ports: Mapping[str, int], env: Mapping[str, str], found: Mapping[str, str], keys: Mapping[str, str]
) -> Sequence[Spec]:
    workers = (programs.worker(number, env, wish.settings.drain_seconds) for number in range(1, wish.workers + 1))
    flower = programs.flower(ports["flower"], env, found["broker_url"], keys["flower_password"])
    return [programs.api(ports["api"], env), *workers, flower]


def _addresses(
    ports: Mapping[str, int], found: Mapping[str, str], keys: Mapping[str, str], sandbox: bool
) -> dict[str, Any]:
    api_url = programs.url(ports["api"])
    return {
        "api_url": api_url,
        "console_url": f"{api_url}/console",
        "flower_url": programs.url(ports["flower"]),
        "flower_user": programs.FLOWER_USER,
        "flower_password": keys["flower_password"],
        "gateway_url": found["gateway_base_url"],
        "s3_endpoint_url": found["s3_endpoint_url"],
        "database_url": found["database_url"],
        "broker_url": found["broker_url"],
        "admin_key": keys["admin_key"],
        "sandbox": sandbox,
    }


def _welcome(wish: Wish, addresses: Mapping[str, Any], seconds: float) -> None:
    lines = (
        f"Darkroom is ready after {seconds:.1f} s",
        f"  API docs  {addresses['api_url']}/docs",
        f"  Flower    {addresses['flower_url']}  (user {addresses['flower_user']})",
        f"  S3        {addresses['s3_endpoint_url']}",
        f"  Gateway   {addresses['gateway_url']}",
        f"  Keys and passwords are in {wish.data_dir / 'runtime.json'}, logs in {wish.data_dir / 'logs'}",
    )
    for line in lines:
        wish.say(line)
    if wish.sandbox:
        wish.say("No DARKROOM_GATEWAY_API_KEY is set: the sandbox gateway answers, nothing is real, nothing is paid")


def _marked(say: Say) -> Say:
    return lambda line: say(f"{line}  [sandbox]")
