"""Artifacts: stored results, and their way to your disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

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
    "audio/aac": "aac",
    "audio/mp4": "m4a",
    "audio/webm": "webm",
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

        What breaks off is gone on with where it broke off: at once for as long as that brings bytes, and from
        `.NAME.part` when it is downloaded again.

        Raises:
            BadDownload: again and again not the bytes whose size and SHA-256 the API names.
        """
        self._fetch(f"{_path(artifact.id)}/content", to, artifact)
        return to

    def thumbnail(self, artifact: Artifact, to: Path) -> Path | None:
        """Its small picture, or its poster; None if it has none."""
        if artifact.thumbnail_url is None:
            return None
        self._fetch(artifact.thumbnail_url, to, None)
        return to

    def _fetch(self, source: str, to: Path, whole: Artifact | None) -> None:
        """
        Args:
            whole: what must have come at the end; None if nobody knows, and then nothing is gone on with.
        """
        left, draft = to.with_name(f".{to.name}.part"), to.with_name(f".{to.name}.{os.getpid()}.part")
        with suppress(FileNotFoundError):
            os.replace(left, draft)  # so that no other process goes on from it, too
        try:
            self._stream_all(source, draft, whole)
            os.replace(draft, to)
        finally:
            if whole is not None and _size(draft):
                os.replace(draft, left)
            draft.unlink(missing_ok=True)

    def _stream_all(self, source: str, draft: Path, whole: Artifact | None) -> None:
        """Patience is for a time without new bytes: a large film may break off more than once."""
        while True:
            before_bytes = _size(draft)
            try:
                self._transport.again(lambda: self._stream(source, draft, whole), (Unreachable, BadDownload))
                return
            except Unreachable:
                if whole is None or _size(draft) <= before_bytes:
                    raise

    def _stream(self, source: str, draft: Path, whole: Artifact | None) -> None:
        begun_bytes = _size(draft) if whole is not None and _size(draft) < (whole.size_bytes or 0) else 0
        headers = {"Range": f"bytes={begun_bytes}-"} if begun_bytes else None
        with self._transport.stream(source, headers) as response:
            is_rest = response.status_code == httpx.codes.PARTIAL_CONTENT
            with draft.open("ab" if is_rest else "wb") as file:
                for chunk in response.iter_bytes(CHUNK_BYTES):
                    file.write(chunk)
        if whole is not None and (wrong := _wrong(draft, whole)):
            draft.unlink()  # the next try begins anew
            raise BadDownload(f"{source} gave {wrong}")


def _wrong(draft: Path, whole: Artifact) -> str:
    """What is wrong with what came; empty if it is the artifact."""
    if whole.size_bytes is not None and _size(draft) != whole.size_bytes:
        return f"{_size(draft)} bytes, not {whole.size_bytes}"
    if whole.sha256 is None:
        return ""
    with draft.open("rb") as file:
        is_same = hashlib.file_digest(file, "sha256").hexdigest() == whole.sha256
    return "" if is_same else "other bytes than were stored (SHA-256)"


def _size(path: Path) -> int:
    """In bytes; 0 if there is no such file."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _path(artifact_id: str) -> str:
    return f"/v1/artifacts/{quote(artifact_id, safe='')}"
