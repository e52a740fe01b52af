"""What was paid: a line for each accepted generation, written before its answer is sent, and a mark for each refund."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from deploy.sandbox.journal import Journal

UNITS_PER_USD: Final = 500_000


@dataclass(frozen=True)
class Entry:
    """One paid generation. Its fields are those of the journal's line."""

    seq: int
    at: str
    kind: str
    model: str
    prompt: str
    price_usd: str
    task_id: str | None
    request_id: str
    key: str
    refunded_at: str | None = None


class Ledger:
    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self._entries: dict[int, Entry] = {}
        self._seq = 0
        self.spent_usd = Decimal()
        """What was paid and not given back."""
        for record in self._journal.records():
            self._read(record)

    def charge(
        self, *, kind: str, model: str, prompt: str, price: Decimal, task_id: str | None, request_id: str, key: str
    ) -> Entry:
        """Write one paid generation down; on disk when this returns."""
        self._seq += 1
        entry = Entry(self._seq, _now(), kind, model, prompt, str(price), task_id, request_id, key)
        self._journal.append({name: value for name, value in asdict(entry).items() if name != "refunded_at"})
        self._entries[entry.seq] = entry
        self.spent_usd += price
        return entry

    def refund(self, seq: int) -> None:
        """Give the price of one generation back, once; a generation from before a reset is passed over."""
        entry = self._entries.get(seq)
        if entry is None or entry.refunded_at is not None:
            return
        self._seq += 1
        mark = {"seq": self._seq, "at": _now(), "refund_of": seq}
        self._journal.append(mark)
        self._read(mark)

    def entries(self, *, prompt: str = "", since_seq: int = 0) -> Iterator[Entry]:
        """Paid generations in order, those whose prompt contains `prompt` and that are younger than `since_seq`."""
        return (entry for entry in self._entries.values() if entry.seq > since_seq and prompt in entry.prompt)

    def reset(self) -> None:
        """Forget everything; numbers go on where they were."""
        self._journal.clear()
        self._entries.clear()
        self.spent_usd = Decimal()
        self._journal.append({"seq": self._seq, "reset": True})

    def _read(self, record: dict[str, Any]) -> None:
        self._seq = max(self._seq, record["seq"])
        if "refund_of" in record:
            paid = self._entries[record["refund_of"]]
            self._entries[paid.seq] = replace(paid, refunded_at=record["at"])
            self.spent_usd -= Decimal(paid.price_usd)
        elif "kind" in record:
            self._entries[record["seq"]] = Entry(**record)
            self.spent_usd += Decimal(record["price_usd"])


def _now() -> str:
    return datetime.now(UTC).isoformat()
