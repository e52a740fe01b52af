"""What must be there before the first process starts: tables, bucket, lanes, a first project and an admin key.

Running it again changes nothing but what is missing, and the limits of lanes that the catalog changed.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import select
from sqlmodel import Session, col

from api import auth
from api.jobs import intake
from api.routes import keys, projects
from shared import db
from shared.catalog.lookup import Catalog
from shared.errors import SettingsError
from shared.migrations import migrate
from shared.settings import Settings
from shared.storage import Store
from shared.tables import ApiKey, Project, Scope

ADMIN_KEY: Final = "DARKROOM_ADMIN_KEY"
SCOPES: Final = [Scope.READ, Scope.WRITE, Scope.ADMIN]
LEAST_LENGTH: Final = 40
"""Of a key that an operator made; ours have 54 characters."""


def prepare(settings: Settings) -> dict[str, str | None]:
    """
    Returns:
        `{"admin_key", "project_id"}`; the key is null if there is one already whose text nobody told us.

    Raises:
        SettingsError: `DARKROOM_ADMIN_KEY` is no key, or the catalog cannot be read.
        StorageUnavailable: S3 does not answer.
    """
    wanted = _wanted_key(settings)
    catalog = Catalog.load(settings.catalog)
    migrate.upgrade(settings.database_url)
    store = Store.from_settings(settings)
    try:
        store.ensure_bucket()
    finally:
        store.close()
    engine = db.engine(settings.database_url, 2, "darkroom-prepare")
    try:
        with db.transactions(engine)() as session:
            intake.set_lanes(session, catalog, settings.credentials)
            project_id = _first_project(session)
            return {"admin_key": _admin_key(session, project_id, wanted), "project_id": project_id}
    finally:
        engine.dispose()


def _wanted_key(settings: Settings) -> str | None:
    key = None if settings.admin_key is None else settings.admin_key.get_secret_value()
    if key is not None and not (key.startswith(auth.MARK) and LEAST_LENGTH <= len(key) <= auth.LENGTH_MOST):
        raise SettingsError(f"{ADMIN_KEY}: must begin with {auth.MARK} and have at least {LEAST_LENGTH} characters")
    return key


def _first_project(session: Session) -> str:
    first = session.execute(select(col(Project.id)).order_by(col(Project.id)).limit(1)).scalar_one_or_none()
    return first if first is not None else projects.make(session, "default").id


def _admin_key(session: Session, project_id: str, wanted: str | None) -> str | None:
    if wanted is not None:
        known = session.execute(select(ApiKey).where(col(ApiKey.prefix) == auth.prefix_of(wanted))).scalar_one_or_none()
        if known is None:
            keys.make(session, project_id, "admin", SCOPES, wanted)
        elif known.sha256 != auth.sha256_of(wanted) or known.revoked_at is not None:
            raise SettingsError(
                f"{ADMIN_KEY}: was revoked, or begins as another key does; set it to a new one"
                " (`darkroom up` keeps the last one in its folder, and the environment goes first)"
            )
        return wanted
    has_one = select(col(ApiKey.id)).where(
        col(ApiKey.project_id) == project_id,
        col(ApiKey.scopes).contains([Scope.ADMIN.value]),
        col(ApiKey.revoked_at).is_(None),
    )
    if session.execute(has_one.limit(1)).first() is not None:
        return None
    key = auth.make_key()
    keys.make(session, project_id, "admin", SCOPES, key)
    return key
