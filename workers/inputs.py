"""Fetching a job's inputs, before its paid call is claimed: what fails here has cost nothing.

Each input is a data URL, an `https://` address, or a reference to an asset, an artifact or another job's result.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlmodel import Session, col, select

from shared import media
from shared.catalog.entry import Role
from shared.errors import (
    DarkroomError,
    FetchFailed,
    InputRefused,
    ObjectMissing,
    StorageUnavailable,
    UnsafeAddress,
    WrongMedia,
)
from shared.gateway import reading
from shared.gateway.call import Media
from shared.tables import Artifact, Asset
from workers.ports import Ports

FETCH_S: Final = 40.0
"""Longest fetch of all inputs of a job: shorter than the time after which a hint counts as lost."""

Named = str | dict[str, Any]
"""An input as the caller named it."""


class InputUnavailable(DarkroomError):
    """An input that cannot be had just now."""

    code = "input_unavailable"

    def __init__(self, told: str, *, is_ours: bool = False) -> None:
        super().__init__(told)
        self.is_ours = is_ours
        """It is our S3 or our disk that is away: no fault of the job's, so it waits for as long as that takes."""


@dataclass(frozen=True)
class Place:
    """Where an input's bytes are: exactly one is set."""

    object_key: str | None = None
    url: str | None = None
    content: bytes | None = None


def each(inputs: Mapping[str, Any]) -> Iterable[tuple[str, Named]]:
    """Role and name of every input, in order; a single one may stand without a list."""
    for role, named in inputs.items():
        for item in named if isinstance(named, list) else [named]:
            yield role, item


def locate(session: Session, project_id: str, inputs: Mapping[str, Any]) -> list[tuple[str, Place]]:
    """Where each input is.

    Raises:
        InputRefused: it names what this project does not have.
    """
    return [(role, _place(session, project_id, named)) for role, named in each(inputs)]


def _place(session: Session, project_id: str, named: Named) -> Place:
    if isinstance(named, dict):
        return Place(object_key=_result_key(session, project_id, str(named["job"]), int(named.get("index", 0))))
    if named.startswith("data:"):
        return Place(content=reading.decoded(named) or b"")
    if named.startswith(("asset_", "artifact_")):
        return Place(object_key=_stored_key(session, project_id, named))
    return Place(url=named)


def _stored_key(session: Session, project_id: str, stored_id: str) -> str:
    row: Asset | Artifact | None = (
        session.get(Asset, stored_id) if stored_id.startswith("asset_") else session.get(Artifact, stored_id)
    )
    if row is None or row.project_id != project_id:
        raise InputRefused(f"there is no {stored_id}")
    return row.object_key


def _result_key(session: Session, project_id: str, job_id: str, index: int) -> str:
    key = session.exec(
        select(Artifact.object_key)
        .where(col(Artifact.job_id) == job_id, col(Artifact.index) == index, col(Artifact.project_id) == project_id)
        .order_by(col(Artifact.attempt).desc())
    ).first()
    if key is None:
        raise InputRefused(f"{job_id} has no result {index}")
    return key


def fetch(places: Iterable[tuple[str, Place]], roles: Mapping[str, Role], ports: Ports) -> dict[str, tuple[Media, ...]]:
    """The inputs in hand, by role, each checked to be what its role takes.

    Raises:
        InputRefused: one of them cannot be used.
        InputUnavailable: one of them cannot be had just now.
    """
    found: dict[str, tuple[Media, ...]] = {}
    deadline = time.monotonic() + FETCH_S
    with ports.spool.passing() as folder:
        for number, (role, place) in enumerate(places):
            to = folder / f"input-{number}"
            one = _fetch_one(place, roles[role].kinds, to, f"{role}-{number}", deadline, ports)
            found[role] = (*found.get(role, ()), one)
    return found


def _fetch_one(place: Place, kinds: Sequence[media.Kind], to: Path, name: str, deadline: float, ports: Ports) -> Media:
    try:
        _bring(place, to, deadline, ports)
        facts = media.expect(to, kinds, ports.settings.image_limit_pixels)
    except (ObjectMissing, UnsafeAddress, WrongMedia) as error:
        raise InputRefused(str(error)) from error
    except FetchFailed as error:
        if error.too_large or (error.status is not None and 400 <= error.status < 500 and error.status != 429):
            raise InputRefused(str(error)) from error
        raise InputUnavailable(str(error)) from error
    except (StorageUnavailable, OSError) as error:
        raise InputUnavailable(str(error), is_ours=True) from error
    return Media(
        facts.content_type,
        f"{name}.{facts.extension}",
        to.read_bytes(),
        facts.kind,
        facts.width,
        facts.height,
        facts.duration_seconds,
        place.url,
    )


def _bring(place: Place, to: Path, deadline: float, ports: Ports) -> None:
    if place.object_key is not None:
        ports.store.download(place.object_key, to)
    elif place.url is not None:
        left_s = max(0.1, deadline - time.monotonic())
        ports.outbound.fetch(place.url, to, ports.settings.upload_limit_bytes, left_s)
    else:
        to.write_bytes(place.content or b"")
