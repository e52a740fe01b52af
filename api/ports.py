"""Everything with IO that the API process uses, in one frozen value."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from shared import db, storage
from shared.catalog.lookup import Catalog
from shared.db import Transaction
from shared.hints import Hints
from shared.outbound import Outbound
from shared.settings import Settings
from shared.storage import Store


@dataclass(frozen=True)
class AppPorts:
    """Handed to `create_app` by tests; built from the settings by everybody else."""

    settings: Settings
    catalog: Catalog
    transaction: Transaction
    store: Store
    outbound: Outbound
    hints: Hints


@contextmanager
def opened(settings: Settings) -> Iterator[AppPorts]:
    """The ports of one process, for as long as it runs.  Nothing is called yet: any part may still be down."""
    engine = db.engine(settings.database_url, settings.database_pool, "darkroom-api", db.REQUEST)
    store = Store.from_settings(settings, storage.REQUEST)
    hints = Hints(settings.broker_url)
    hints.start()
    try:
        yield AppPorts(
            settings=settings,
            catalog=Catalog.load(settings.catalog),
            transaction=db.transactions(engine),
            store=store,
            outbound=Outbound.from_settings(settings),
            hints=hints,
        )
    finally:
        hints.stop()
        store.close()
        engine.dispose()
