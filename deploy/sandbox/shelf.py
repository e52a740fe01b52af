"""Results: a record each, and a file that is drawn when somebody wants it.

The file is a cache. The record says how to draw it, so a file that was deleted, or lost in a kill, comes back the same.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from deploy.sandbox.behaviour import Behaviour
from deploy.sandbox.journal import Journal
from deploy.sandbox.studio.pool import Studio

MEDIA_TYPES: Final = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "mp4": "video/mp4"}
LINK_LIFE_S: Final = 86_400
_PLAIN: Final = {"seed": "plain", "title": "plain", "note": "sandbox", "width": 256, "height": 144, "seconds": 1}


@dataclass(frozen=True)
class Result:
    """One picture or film that somebody paid for."""

    id: str
    made_at: float
    spec: dict[str, Any]
    """What the studio draws."""
    said: dict[str, Any]
    """What the behaviour of its call says beside the defaults."""

    @cached_property
    def behaviour(self) -> Behaviour:
        return Behaviour.model_validate(self.said)

    @property
    def format(self) -> str:
        return str(self.spec["format"])

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.format]

    @property
    def query(self) -> str:
        """The signature of its address; with characters that suffer from being encoded twice."""
        digest = hashlib.sha256(f"{self.id}/{self.made_at}".encode()).digest()
        signature = quote("+/=" + base64.b64encode(digest).decode(), safe="")
        return f"X-Sandbox-Expires={int(self.made_at) + LINK_LIFE_S}&X-Sandbox-Signature={signature}"

    def url(self, base: str, name: str = "") -> str:
        """Where it is hosted; no key is needed, the query is, and the name may be any."""
        return f"{base}/files/{self.id}/{name or f'result.{self.format}'}?{self.query}"

    def stale_url(self, base: str) -> str:
        """The same, signed for a time that is over."""
        return self.url(base).replace(f"Expires={int(self.made_at) + LINK_LIFE_S}", f"Expires={int(self.made_at)}")


class Folder:
    """Files up to a total size; the oldest go first."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        path.mkdir(parents=True, exist_ok=True)
        for torn in path.glob("*.new"):
            torn.unlink()
        self.path = path
        self._most_bytes = most_bytes
        self._sizes = OrderedDict((file.name, file.stat().st_size) for file in _oldest_first(path.iterdir()))
        self._bytes = sum(self._sizes.values())

    def keep(self, name: str) -> None:
        """Count a new file, and delete the oldest others above the limit."""
        size = (self.path / name).stat().st_size
        self._bytes += size - self._sizes.pop(name, 0)
        self._sizes[name] = size
        while len(self._sizes) > 1 and self._bytes > self._most_bytes:
            oldest, freed = self._sizes.popitem(last=False)
            self._bytes -= freed
            (self.path / oldest).unlink(missing_ok=True)


class Shelf:
    """All results ever paid for, by id."""

    def __init__(self, data_dir: Path, studio: Studio, most_bytes: int) -> None:
        self._journal = Journal(data_dir / "results.jsonl")
        self._results = {record["id"]: Result(**record) for record in self._journal.records()}
        self._files = Folder(data_dir / "results", most_bytes)
        self._studio = studio
        self._drawing: dict[str, asyncio.Task[Path]] = {}
        self._fetches: Counter[str] = Counter()

    def add(self, spec: dict[str, Any], behaviour: Behaviour, now: float) -> Result:
        """Record a result; on disk when this returns, its file comes later."""
        if behaviour.render == "plain":
            spec = {**_PLAIN, "draws": spec["draws"], "format": spec["format"]}
        result = Result(secrets.token_hex(8), now, spec, behaviour.said())
        self._journal.append(asdict(result))
        self._results[result.id] = result
        return result

    def find(self, result_id: str) -> Result | None:
        """A result, or a tile of one: `id-2`."""
        grid_id, _, number = result_id.partition("-")
        result = self._results.get(grid_id)
        return _tile(result, number) if result is not None and number else result

    def tiles(self, grid_id: str) -> list[Result]:
        """The four tiles of a grid as results of their own; not in the journal, since they follow from the grid."""
        ids = [f"{grid_id}-{number}" for number in range(1, 5)]
        return [tile for tile in map(self.find, ids) if tile is not None]

    async def file(self, result: Result) -> Path:
        """The result's file, drawn now if it is not there."""
        return await self.drawn(result.spec)

    async def drawn(self, spec: dict[str, Any]) -> Path:
        """The file of any drawing; several who want it at once share one pen."""
        name = _name(spec)
        path = self._files.path / name
        if path.exists():
            return path
        drawing = self._drawing.get(name)
        if drawing is None:
            drawing = self._drawing[name] = asyncio.create_task(self._draw(spec, path))
        return await asyncio.shield(drawing)

    def ahead(self, results: Iterable[Result]) -> None:
        """Draw while nobody waits, if the studio has nothing better to do."""
        for result in results:
            path = self._files.path / _name(result.spec)
            if self._studio.is_idle and not path.exists() and path.name not in self._drawing:
                self._drawing[path.name] = asyncio.create_task(self._draw(result.spec, path))

    def fetches(self, result: Result) -> int:
        """How often this result was fetched before now; counts this time."""
        self._fetches[result.id] += 1
        return self._fetches[result.id] - 1

    async def _draw(self, spec: dict[str, Any], path: Path) -> Path:
        try:
            await self._studio.draw(spec, path)
            self._files.keep(path.name)
            return path
        finally:
            del self._drawing[path.name]


def _tile(grid: Result, number: str) -> Result:
    """One tile of a grid, drawn alone."""
    spec = {**grid.spec, "draws": "picture", "seed": f"{grid.spec['seed']}/{number}"}
    return replace(grid, id=f"{grid.id}-{number}", spec=spec)


def _name(spec: dict[str, Any]) -> str:
    """A drawing's file name: equal drawings share a file."""
    return f"{hashlib.sha256(repr(sorted(spec.items())).encode()).hexdigest()[:24]}.{spec['format']}"


def _oldest_first(files: Iterable[Path]) -> list[Path]:
    return sorted(files, key=lambda file: file.stat().st_mtime)
