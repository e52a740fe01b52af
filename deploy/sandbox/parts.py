"""Everything that the routes share, built once from the options."""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import cast

from fastapi import Request

from deploy.sandbox.inputs import Inputs
from deploy.sandbox.ledger import Ledger
from deploy.sandbox.script import Script
from deploy.sandbox.shelf import Shelf
from deploy.sandbox.studio.pool import Studio
from deploy.sandbox.tasks import Tasks
from deploy.sandbox.traffic import Traffic


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    data_dir: Path
    keys: tuple[str, ...]
    access_token: str
    """The user's token for `/api/user/self`."""
    speed: float = 1.0
    """Ten is ten times faster; 0 is at once."""
    balance_usd: Decimal = Decimal(1000)
    keep_mb: int = 2048
    """Results are deleted, oldest first, above so many MiB."""
    processes: int = 2


@dataclass
class Dials:
    """What may change while the server runs."""

    speed: float
    balance_usd: Decimal
    """Paid in so far; what is left is this less what the ledger says."""


@dataclass(frozen=True)
class Parts:
    options: Options
    dials: Dials
    ledger: Ledger
    tasks: Tasks
    shelf: Shelf
    inputs: Inputs
    script: Script
    traffic: Traffic
    studio: Studio

    def now(self) -> float:
        """Epoch seconds; wall time, since tasks outlive the process."""
        return time.time()

    def now_ns(self) -> int:
        return time.time_ns()

    def scaled(self, seconds: float) -> float:
        return seconds / self.dials.speed if self.dials.speed else 0.0

    def left_usd(self) -> Decimal:
        return self.dials.balance_usd - self.ledger.spent_usd

    def settle(self) -> None:
        """Give back what tasks cost that have failed by now."""
        for task in self.tasks.newly_failed(self.now()):
            if task.paid_seq is not None:
                self.ledger.refund(task.paid_seq)


def build(options: Options) -> Parts:
    folder = options.data_dir
    studio = Studio(options.processes)
    return Parts(
        options,
        Dials(options.speed, options.balance_usd),
        Ledger(folder / "ledger.jsonl"),
        Tasks(folder / "tasks.jsonl"),
        Shelf(folder, studio, options.keep_mb * 2**20),
        Inputs(folder),
        Script(folder / "script.json"),
        Traffic(),
        studio,
    )


def of(request: Request) -> Parts:
    return cast(Parts, request.app.state.parts)
