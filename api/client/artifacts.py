"""Artifacts: stored results, and their way to your disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

from api.client.errors import BadDownload, Unreachable
from api.client.transport import Transport

CHUNK_BYTES: Final = 2**18
EXTENSIONS: Final[Mapping[str, str]] = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/avif": "avif",
    "video/mp4": "mp4",
    "video/webm": "webm",
    "video/quicktime": "mov",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "text/plain": "txt",
    "application/json": "json",
}


@dataclass(frozen=True)
class Artifact:
    """One stored result."""

    id: str
    index: int
    kind: str
    """`image`, `video`, `audio`, `text` or `json`."""
    content_type: str
    size_bytes: int | None
    sha256: str | None
    width: int | None
    height: int | None
    duration_s: float | None
    thumbnail_url: str | None
    """Presigned: it lasts an hour or so.  A picture for images, a poster for videos."""
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        return cls(
            id=str(raw["id"]),
            index=int(raw.get("index") or 0),
            kind=str(raw.get("kind") or ""),
            content_type=str(raw.get("content_type") or ""),
            size_bytes=raw.get("bytes"),
            sha256=raw.get("sha256"),
            width=raw.get("width"),
            height=raw.get("height"),
            duration_s=raw.get("duration_seconds"),
            thumbnail_url=raw.get("thumbnail_url"),
            raw=raw,
        )

    @property
    def extension(self) -> str:
        """Of a file name, without the dot."""
        return EXTENSIONS.get(self.content_type.partition(";")[0], "bin")


class Artifacts:
    """`darkroom.artifacts`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, artifact_id: str) -> Artifact:
        return Artifact.read(self._transport.get(_path(artifact_id)))

    def download(self, artifact: Artifact, to: Path) -> Path:
        """Stream its bytes into the file `to`, which appears when all of it is there and right.

        Raises:
            BadDownload: again and again not the bytes whose size and SHA-256 the API names.
        """
        source = f"{_path(artifact.id)}/content"
        self._fetch(source, to, artifact.size_bytes, artifact.sha256)
        return to

    def thumbnail(self, artifact: Artifact, to: Path) -> Path | None:
        """Its small picture, or its poster; None if it has none."""
        if artifact.thumbnail_url is None:
            return None
        self._fetch(artifact.thumbnail_url, to, None, None)
        return to

    def _fetch(self, source: str, to: Path, size_bytes: int | None, sha256: str | None) -> None:
        draft = to.with_name(f".{to.name}.{os.getpid()}.part")
        try:
            self._transport.again(lambda: self._stream(source, draft, size_bytes, sha256), (Unreachable, BadDownload))
            os.replace(draft, to)
        finally:
            draft.unlink(missing_ok=True)

    def _stream(self, source: str, draft: Path, size_bytes: int | None, sha256: str | None) -> None:
        hashed, received_bytes = hashlib.sha256(), 0
        with self._transport.stream(source) as response, draft.open("wb") as file:
            for chunk in response.iter_bytes(CHUNK_BYTES):
                file.write(chunk)
                hashed.update(chunk)
                received_bytes += len(chunk)
        if size_bytes is not None and received_bytes != size_bytes:
            raise BadDownload(f"{source} gave {received_bytes} bytes, not {size_bytes}")
        if sha256 is not None and hashed.hexdigest() != sha256:
            raise BadDownload(f"{source} gave other bytes than were stored (SHA-256)")


def _path(artifact_id: str) -> str:
    return f"/v1/artifacts/{quote(artifact_id, safe='')}"
