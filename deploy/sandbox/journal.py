"""An append-only file of JSON lines: what survives a `kill -9` of the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class Journal:
    """One file; each record is handed to the kernel before `append` returns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("ab", buffering=0)
        self._end_torn_line()

    def append(self, record: Record) -> None:
        self._file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")

    def records(self) -> Iterator[Record]:
        """All whole records, oldest first; a line that a kill tore is passed over."""
        with self._path.open("rb") as lines:
            for line in lines:
                try:
                    yield json.loads(line)
                except ValueError:
                    continue

    def clear(self) -> None:
        self._file.truncate(0)

    def _end_torn_line(self) -> None:
        content = self._path.read_bytes()[-1:]
        if content not in (b"", b"\n"):
            self._file.write(b"\n")
