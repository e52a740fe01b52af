"""Everything with IO that a role may ask for, in one frozen value: tests hand in their own."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Engine

from shared import db, ids
from shared.catalog.lookup import Catalog
from shared.db import Transaction
from shared.figures import Figures
from shared.hints import Hints
from shared.outbound import Outbound
from shared.settings import Settings
from shared.storage import Store
from workers.echo import Echo
from workers.experience import Experience
from workers.gateway.clients import Gateways
from workers.near import Near
from workers.outage import Outage
from workers.spool import Spool

NEAR_SHARE: Final = 4
"""One thread for work that needs no message, to so many for work that comes by hints."""


class InHand:
    """The jobs whose paid call this process has in hand, so that a doubled hint finds the first one at work."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._job_ids: set[str] = set()

    def any(self) -> bool:
        """Whether anything is in hand that would be lost with the process."""
        with self._lock:
            return bool(self._job_ids)

    @contextmanager
    def only(self, job_id: str) -> Iterator[bool]:
        """Whether the block is the only one for this job."""
        with self._lock:
            is_only = job_id not in self._job_ids
            self._job_ids.add(job_id)
        try:
            yield is_only
        finally:
            if is_only:
                with self._lock:
                    self._job_ids.discard(job_id)


@dataclass(frozen=True)
class Ports:
    """One for each worker process, built by `app.py`."""

    settings: Settings
    process_id: str
    """What claims of this process are called."""
    host: str
    engine: Engine
    pulse_engine: Engine
    transaction: Transaction
    pulse: Transaction
    """On a connection of its own: a heartbeat must not wait behind two hundred busy threads."""
    gateways: Gateways
    """Who speaks for which lane."""
    store: Store
    outbound: Outbound
    spool: Spool
    near: Near
    hints: Hints
    catalog: Catalog
    figures: Figures
    experience: Experience = field(default_factory=Experience)
    """How long upstream tasks take."""
    wake_dispatch: Callable[[], None] = lambda: None
    """A slot became free: look who may go next, in this process, without a message."""
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the process is to stop: begin nothing, finish what was paid for."""
    in_hand: InHand = field(default_factory=InHand)
    echo: Echo = field(default_factory=Echo)
    """Whether hints still reach this process."""
    outage: Outage = field(default_factory=Outage)
    """Whether results can be kept."""
    random: Callable[[], float] = random.random

    def close(self) -> None:
        """After the last paid call."""
        self.hints.stop()
        self.gateways.stop()
        self.store.close()
        self.engine.dispose()
        self.pulse_engine.dispose()


def build(settings: Settings, wake_dispatch: Callable[[], None]) -> Ports:
    """Everything with IO, for one worker process."""
    engine = db.engine(settings.database_url, settings.database_pool, "darkroom-worker")
    pulse_engine = db.engine(settings.database_url, 1, "darkroom-worker-pulse")
    figures = Figures()
    spool = Spool(settings.spool_dir)
    return Ports(
        settings=settings,
        process_id=ids.new("process"),
        host=socket.gethostname(),
        engine=engine,
        pulse_engine=pulse_engine,
        transaction=db.transactions(engine),
        pulse=db.transactions(pulse_engine),
        gateways=Gateways.of_credentials(settings.credentials, figures, spool.folder),
        store=Store.from_settings(settings),
        outbound=Outbound.from_settings(settings),
        spool=spool,
        near=Near(settings.worker_threads // NEAR_SHARE),
        hints=Hints(settings.broker_url),
        catalog=Catalog.load(settings.catalog),
        figures=figures,
        wake_dispatch=wake_dispatch,
    )
