"""`darkroom doctor`: look at every part that Darkroom needs, and say how to mend what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr
from sqlalchemy import Connection, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from api.cli.runtime import Running
from api.client import ApiError, ClientError, Darkroom, Unreachable
from api.client.look import Look, look
from deploy.local import records, secrets
from shared import db, hints
from shared.errors import DarkroomError
from shared.settings import Settings
from shared.storage import Store

OLDEST_POSTGRES: Final = 150_000
"""As PostgreSQL numbers its versions."""
MOST_SKEW_S: Final = 30.0
"""S3 refuses signatures at 15 minutes; links and deadlines go wrong long before."""
BROKER_S: Final = 3.0
NOWHERE: Final = "is not configured, and no `darkroom up` is running here"


@dataclass(frozen=True)
class Finding:
    """What was seen of one part."""

    part: str
    ok: bool
    detail: str
    mend: str = ""
    """What to do about it."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Patient:
    """What is looked at: the settings, completed by what a running `darkroom up` started."""

    settings: Settings
    running: Running | None
    api_url: str | None
    api_key: str | None


def patient(settings: Settings, data_dir: Path, api_url: str | None, api_key: str | None) -> Patient:
    api_url, api_key = api_url or None, api_key or None  # an empty variable is none
    running = Running.find(data_dir)
    if running is None:
        return Patient(settings, None, api_url, api_key)
    known = secrets.path(data_dir)
    return Patient(
        settings=_completed(settings, running, records.read(known)),
        running=running,
        api_url=api_url or running.api_url,
        api_key=api_key or (running.admin_key if api_url in (None, running.api_url) else None),
    )


def examine(who: Patient) -> list[Finding]:
    """All of it; each look takes some seconds at most, and none stops another."""
    return [finding for check in CHECKS for finding in check(who)]


def _completed(settings: Settings, running: Running, keys: Mapping[str, Any]) -> Settings:
    found: dict[str, Any] = {
        name: running.raw.get(name) for name in ("database_url", "broker_url") if not getattr(settings, name)
    }
    if not settings.s3_endpoint_url:
        found["s3_endpoint_url"] = running.raw.get("s3_endpoint_url")
        found["s3_access_key_id"] = keys.get("s3_access_key_id", "")
        found["s3_secret_access_key"] = SecretStr(str(keys.get("s3_secret_access_key", "")))
    if running.is_sandbox:
        found["gateway_base_url"] = running.gateway_url
        found["gateway_api_key"] = SecretStr(str(keys.get("sandbox_key", "")))
    return settings.model_copy(update=found)


def _database(who: Patient) -> list[Finding]:
    if not who.settings.database_url:
        return [_unconfigured("database", "DARKROOM_DATABASE_URL")]
    mend = "start PostgreSQL, or correct DARKROOM_DATABASE_URL (postgresql://user:password@host:5432/name)"
    try:
        engine = db.engine(who.settings.database_url, 1, "darkroom-doctor")
    except ArgumentError:
        return [Finding("database", False, "DARKROOM_DATABASE_URL is not a PostgreSQL URL", mend)]
    try:
        with engine.connect() as connection:
            return [_version(connection), _schema(connection)]
    except SQLAlchemyError as error:
        return [Finding("database", False, f"does not answer: {_first_line(error)}", mend)]
    finally:
        engine.dispose()


def _version(connection: Connection) -> Finding:
    number = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    told = f"PostgreSQL {number // 10_000}.{number % 10_000}"
    if number < OLDEST_POSTGRES:
        return Finding("database", False, f"{told} is too old", "use PostgreSQL 15 or newer")
    return Finding("database", True, told)


def _schema(connection: Connection) -> Finding:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from shared.migrations import migrate

    wanted = ScriptDirectory.from_config(migrate.config()).get_current_head()
    present = MigrationContext.configure(connection).get_current_revision()
    if present != wanted:
        return Finding("schema", False, f"is at {present or 'nothing'}, not at {wanted}", "run `darkroom migrate`")
    return Finding("schema", True, f"at {present}")


def _broker(who: Patient) -> list[Finding]:
    url = who.settings.broker_url
    if not url:
        return [_unconfigured("broker", "DARKROOM_BROKER_URL")]
    try:
        hints.check(url, BROKER_S)
    except Exception as error:  # whatever the broker's client raises
        mend = "start Redis, or correct DARKROOM_BROKER_URL (redis://:password@host:6379/0); jobs wait meanwhile"
        return [Finding("broker", False, f"does not answer: {_without_password(_first_line(error), url)}", mend)]
    return [Finding("broker", True, f"{urlsplit(url).scheme} answers")]


def _without_password(told: str, url: str) -> str:
    password = urlsplit(url).password
    return told.replace(unquote(password), "…").replace(password, "…") if password else told


def _storage(who: Patient) -> list[Finding]:
    settings = who.settings
    if not settings.s3_endpoint_url and not settings.s3_access_key_id:
        return [_unconfigured("s3", "DARKROOM_S3_ENDPOINT_URL and its keys")]
    mend = f"start S3, or correct DARKROOM_S3_…; `darkroom prepare` makes the bucket {settings.s3_bucket}"
    store = Store.from_settings(settings)
    try:
        store.check()
    except (DarkroomError, ValueError) as error:  # botocore's own complaints about an address are ValueErrors
        return [Finding("s3", False, str(error), mend)]
    finally:
        store.close()
    return [Finding("s3", True, f"bucket {settings.s3_bucket}: wrote, read and deleted a probe")]


def _gateway(who: Patient) -> list[Finding]:
    settings = who.settings
    key = settings.gateway_api_key.get_secret_value() if settings.gateway_api_key is not None else ""
    kind = "sandbox gateway" if who.running is not None and who.running.is_sandbox else "gateway"
    try:
        seen = look(f"{settings.gateway_base_url}/v1/models", {"Authorization": f"Bearer {key}"} if key else None)
    except Unreachable as error:
        return [Finding("gateway", False, str(error), "check DARKROOM_GATEWAY_BASE_URL, network and proxy")]
    reached = Finding("gateway", True, f"{kind} {settings.gateway_base_url} answers in {seen.took_s:.2f} s")
    return [reached, _gateway_key(key, seen)]


def _gateway_key(key: str, seen: Look) -> Finding:
    if not key:
        return Finding("gateway key", True, "none is set: `darkroom up` uses the sandbox gateway, nothing is paid")
    models = seen.body.get("data") if isinstance(seen.body, dict) else None
    if seen.status == 200 and isinstance(models, list):
        return Finding("gateway key", True, f"opens {len(models)} models")
    if seen.status in (401, 403):
        return Finding("gateway key", False, f"is refused ({seen.status})", "correct DARKROOM_GATEWAY_API_KEY")
    told = f"cannot be checked: the gateway answered {seen.status}"
    return Finding("gateway key", False, told, "is DARKROOM_GATEWAY_BASE_URL the gateway's, without /v1?")


def _api(who: Patient) -> list[Finding]:
    if who.api_url is None:
        return [Finding("api", False, NOWHERE, "start `darkroom up`, or name one with --api-url and --api-key")]
    try:
        ready = look(f"{who.api_url.rstrip('/')}/readyz")
    except Unreachable as error:
        return [Finding("api", False, str(error), "is `darkroom up` (or its api process) running?")]
    return [_readiness(who.api_url, ready), _key(who.api_url, who.api_key)]


def _readiness(api_url: str, ready: Look) -> Finding:
    if ready.status == 200:
        return Finding("api", True, f"{api_url} is ready")
    parts = ready.body if isinstance(ready.body, dict) else {}
    down = [name for name, part in parts.items() if isinstance(part, dict) and part.get("state") == "down"]
    return Finding("api", False, f"{api_url} is not ready: {', '.join(down) or ready.status}", "mend that part first")


def _key(api_url: str, api_key: str | None) -> Finding:
    if api_key is None:
        return Finding(
            "key", False, "none is given", "set DARKROOM_API_KEY; an admin makes one: `darkroom keys create`"
        )
    try:
        with Darkroom(api_url, api_key, patience_s=0) as client:
            client.jobs.list(limit=1)
    except ApiError as error:
        return Finding("key", False, f"is refused: {error.detail}", "set DARKROOM_API_KEY to a key that is not revoked")
    except (ClientError, ValueError) as error:
        return Finding("key", False, f"cannot be checked: {error}")
    return Finding("key", True, "opens the API")


def _clock(who: Patient) -> list[Finding]:
    """Ours against those of the gateway and of S3: signatures, links and deadlines depend on it."""
    ahead_s = {
        name: seen
        for name, url in (("gateway", who.settings.gateway_base_url), ("S3", who.settings.s3_endpoint_url))
        if url and (seen := _ahead_s(url)) is not None
    }
    if not ahead_s:
        return [Finding("clock", False, "nobody tells the time to compare with", "mend the gateway or S3 first")]
    told = ", ".join(f"{name} {skew_s:+.0f} s" for name, skew_s in ahead_s.items())
    if all(abs(skew_s) <= MOST_SKEW_S for skew_s in ahead_s.values()):
        return [Finding("clock", True, f"agrees ({told})")]
    return [Finding("clock", False, f"differs ({told})", "let this machine set its clock by NTP")]


def _ahead_s(url: str) -> float | None:
    try:
        return look(url).ahead_s
    except Unreachable:
        return None


def _unconfigured(part: str, setting: str) -> Finding:
    return Finding(part, False, NOWHERE, f"start `darkroom up`, or set {setting}")


def _first_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__


CHECKS: Final[tuple[Callable[[Patient], list[Finding]], ...]] = (_database, _broker, _storage, _gateway, _api, _clock)
