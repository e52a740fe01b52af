"""The parts that Darkroom needs, and how each is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from api.cli import catalog_file
from api.cli.doctor.examining import Check, Wrong
from api.cli.doctor.patient import Gateway, Patient
from api.client import ApiError, ClientError, Darkroom, Unreachable
from api.client.look import Look, look
from shared import db, hints
from shared.errors import DarkroomError, SettingsError
from shared.storage import Store

OLDEST_POSTGRES: Final = 150_000
"""As PostgreSQL numbers its versions."""
MOST_SKEW_S: Final = 30.0
"""S3 refuses signatures at 15 minutes; links and deadlines go wrong long before."""
BROKER_S: Final = 3.0
PATIENCE: Final = db.Patience(statement_s=4, answer_s=4)
NOWHERE: Final = "is not configured, and no `darkroom up` is running here"
NO_API_KEY: Final = "set DARKROOM_API_KEY; an admin makes one: `darkroom keys create`"


def _catalog(who: Patient) -> str | None:
    path = who.settings.catalog
    if path is None:
        return None
    try:
        catalog_file.check(path)
    except SettingsError as error:
        raise Wrong(str(error)) from error
    return f"{path} is right"


@contextmanager
def _connected(who: Patient) -> Iterator[Connection]:
    url = who.settings.database_url
    if not url:
        raise _unconfigured("DARKROOM_DATABASE_URL")
    try:
        engine = db.engine(url, 1, "darkroom-doctor", PATIENCE)
    except ArgumentError:
        raise Wrong("is not known: DARKROOM_DATABASE_URL is not a PostgreSQL URL") from None
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise Wrong(f"does not answer: {_first_line(error)}") from error
    finally:
        engine.dispose()


def _database(who: Patient) -> str:
    with _connected(who) as connection:
        number = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    told = f"PostgreSQL {number // 10_000}.{number % 10_000}"
    if number < OLDEST_POSTGRES:
        raise Wrong(f"{told} is too old", "use PostgreSQL 15 or newer")
    return told


def _schema(who: Patient) -> str:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from shared.migrations import migrate

    wanted = ScriptDirectory.from_config(migrate.config()).get_current_head()
    with _connected(who) as connection:
        present = MigrationContext.configure(connection).get_current_revision()
    if present != wanted:
        raise Wrong(f"is at {present or 'nothing'}, not at {wanted}")
    return f"at {present}"


def _broker(who: Patient) -> str:
    url = who.settings.broker_url
    if not url:
        raise _unconfigured("DARKROOM_BROKER_URL")
    try:
        hints.check(url, BROKER_S)
    except Exception as error:  # whatever the broker's client raises
        raise Wrong(f"does not answer: {_without_password(_first_line(error), url)}") from error
    return f"{urlsplit(url).scheme} answers"


def _without_password(told: str, url: str) -> str:
    password = urlsplit(url).password
    return told.replace(unquote(password), "…").replace(password, "…") if password else told


def _s3(who: Patient) -> str:
    settings = who.settings
    if not settings.s3_endpoint_url and not settings.s3_access_key_id:
        raise _unconfigured("DARKROOM_S3_ENDPOINT_URL and its keys")
    store = Store.from_settings(settings)
    try:
        store.check()
    except (DarkroomError, ValueError) as error:  # botocore's own complaints about an address are ValueErrors
        raise Wrong(str(error)) from error
    finally:
        store.close()
    return f"bucket {settings.s3_bucket}: wrote, read and deleted a probe"


def _gateway(gateway: Gateway) -> str:
    if gateway.url is None:
        return gateway.told
    try:
        seen = _models(gateway)
    except Unreachable as error:
        raise Wrong(f"{gateway.told}: {error}") from error
    return f"{gateway.told}; it answers in {seen.took_s:.2f} s"


def _gateway_key(gateway: Gateway) -> str | None:
    if gateway.url is None or gateway.key is None:
        return None
    try:
        seen = _models(gateway)
    except Unreachable as error:
        raise Wrong(f"cannot be checked: {error}", "") from error
    models = seen.body.get("data") if isinstance(seen.body, dict) else None
    if seen.status == 200 and isinstance(models, list):
        return f"opens {len(models)} models"
    if seen.status in (401, 403):
        raise Wrong(f"is refused ({seen.status})")
    told = f"cannot be checked: the gateway answered {seen.status}"
    raise Wrong(told, f"is {_setting(gateway, 'base_url')} the gateway's, without /v1?")


def _models(gateway: Gateway) -> Look:
    key = gateway.key
    return look(f"{gateway.url}/v1/models", {"Authorization": f"Bearer {key}"} if key is not None else None)


def _setting(gateway: Gateway, field: str) -> str:
    """What people would correct."""
    if gateway.name:
        return f"{field} of {gateway.name} in DARKROOM_GATEWAYS"
    return f"DARKROOM_GATEWAY_{field.upper()}"


def _checks_of(gateway: Gateway) -> tuple[Check, ...]:
    """How one credential's gateway is looked at."""
    of = f" {gateway.name}" if gateway.name else ""
    return (
        Check(
            f"gateway{of}",
            lambda _: _gateway(gateway),
            f"check {_setting(gateway, 'base_url')}, network and proxy",
        ),
        Check(
            f"gateway key{of}",
            lambda _: _gateway_key(gateway),
            f"correct {_setting(gateway, 'api_key')}",
            needs=f"gateway{of}",
        ),
        Check(f"gateway clock{of}", lambda _: _clock(gateway.url), BY_NTP, needs=f"gateway{of}"),
    )


def _api(who: Patient) -> str:
    if who.api_url is None:
        raise Wrong(NOWHERE, "start `darkroom up`, or name one with --api-url and --api-key")
    try:
        ready = look(f"{who.api_url.rstrip('/')}/readyz")
    except Unreachable as error:
        raise Wrong(f"cannot be reached: {error}") from error
    if ready.status == 200:
        return f"{who.api_url} is ready"
    parts = ready.body if isinstance(ready.body, dict) else {}
    down = [name for name, part in parts.items() if isinstance(part, dict) and part.get("state") == "down"]
    raise Wrong(f"{who.api_url} is not ready: {', '.join(down) or ready.status}", "mend that part first")


def _key(who: Patient) -> str:
    if who.api_key is None:
        raise Wrong("is not given", NO_API_KEY)
    try:
        with Darkroom(who.api_url or "", who.api_key, patience_s=0) as client:
            client.jobs.list(limit=1)
    except ApiError as error:
        if error.status in (401, 403):
            raise Wrong(f"is refused: {error.detail}") from error
        raise Wrong(f"cannot be checked: {error.detail}", "") from error
    except (ClientError, ValueError) as error:
        raise Wrong(f"cannot be checked: {error}", "") from error
    return "opens the API"


def _clock(url: str | None) -> str | None:
    """Ours against a server's: signatures, links and deadlines depend on it."""
    if not url:
        return None
    try:
        ahead_s = look(url).ahead_s
    except Unreachable as error:
        raise Wrong(f"cannot be compared: {error}", "") from error
    if ahead_s is None:
        return None  # it does not tell the time
    if abs(ahead_s) > MOST_SKEW_S:
        raise Wrong(f"is {round(ahead_s):+d} s ahead of this machine's")
    return f"agrees with this machine's ({round(ahead_s):+d} s)"


def _unconfigured(setting: str) -> Wrong:
    return Wrong(NOWHERE, f"start `darkroom up`, or set {setting}")


def _first_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__


BY_NTP: Final = "let both machines set their clocks by NTP"

SERVERS: Final = (
    Check(
        "catalog",
        _catalog,
        "correct the file, or leave DARKROOM_CATALOG out; docs/catalog.md says what may stand in it",
    ),
    Check(
        "database",
        _database,
        "start PostgreSQL, or correct DARKROOM_DATABASE_URL (postgresql://user:password@host:5432/name)",
    ),
    Check("schema", _schema, "run `darkroom migrate`", needs="database"),
    Check(
        "broker",
        _broker,
        "start Redis, or correct DARKROOM_BROKER_URL (redis://:password@host:6379/0); jobs wait meanwhile",
    ),
    Check("s3", _s3, "start S3, or correct DARKROOM_S3_…; `darkroom prepare` makes the bucket"),
    Check("s3 clock", lambda who: _clock(who.settings.s3_endpoint_url), BY_NTP, needs="s3"),
)
API: Final = (
    Check("api", _api, "is `darkroom up` (or its api process) running?"),
    Check("key", _key, "set DARKROOM_API_KEY to a key that is not revoked", needs="api"),
)


def checks_of(who: Patient) -> tuple[Check, ...]:
    """In the order in which they are shown."""
    gateways = (who.gateway, *who.others)
    return (*SERVERS, *(check for gateway in gateways for check in _checks_of(gateway)), *API)
