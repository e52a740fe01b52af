"""The addresses that answers hold: our own, which never change, and presigned ones, which are made when read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import Request

from api.ports import AppPorts
from shared.storage import Store
from shared.tables import Artifact


@dataclass(frozen=True)
class Links:
    """Makes the links of one answer."""

    base_url: str
    store: Store
    lasts: timedelta
    now: datetime

    @classmethod
    def of(cls, request: Request, ports: AppPorts) -> Links:
        base_url = ports.settings.public_url or str(request.base_url).rstrip("/")
        return cls(base_url, ports.store, timedelta(seconds=ports.settings.presign_s), datetime.now(UTC))

    def to_artifact(self, row: Artifact) -> Mapping[str, Any]:
        """The fields of `shapes.Links`."""
        thumbnail = None
        if row.thumbnail_key is not None:
            thumbnail = self._presigned(row.thumbnail_key, f"{row.job_id}-{row.index}.thumb.jpg", "image/jpeg")
        return {
            "url": f"{self.base_url}/v1/artifacts/{row.id}/content",
            "download_url": self._presigned(row.object_key, filename(row), row.content_type),
            "download_url_expires_at": (self.now + self.lasts).replace(microsecond=0),
            "thumbnail_url": thumbnail,
        }

    def _presigned(self, key: str, name: str, content_type: str) -> str:
        return self.store.presign(key, name, content_type, int(self.lasts.total_seconds()))


def filename(row: Artifact) -> str:
    """What a downloaded result is called."""
    extension = row.object_key.rpartition(".")[2]
    return f"{row.job_id}-{row.index}.{extension}"
