"""The inputs of a new job, looked at before anything is spent.

First what can be told without the database (addresses, pictures inside data URLs), then, in the transaction that
makes the job, that what they name exists in the project.
"""

from __future__ import annotations

import base64
import binascii
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select
from sqlmodel import Session, col

from api import inbound
from api.ports import AppPorts
from api.problems import summary
from api.shapes import INPUT_TOLD, Input, JobInput
from shared import ids, media
from shared.catalog.entry import Role
from shared.catalog.lookup import Catalog
from shared.errors import FieldError, InvalidRequest, UnsafeAddress, WrongMedia
from shared.lifecycle import FINAL, State
from shared.outbound import Outbound, read_url
from shared.tables import Artifact, Asset, Job

ADDRESS_BYTES_MOST: Final = 8192
LOOKUPS: Final = 8
"""Names that are looked up at once for one request."""

Inputs = Mapping[str, Sequence[Input]]
Roles = Mapping[str, Role]


@dataclass(frozen=True)
class Placed:
    """One input, and where it stands in the request."""

    pointer: str
    role: str
    named: Input


def each(inputs: Inputs) -> Iterator[Placed]:
    for role, listed in inputs.items():
        for index, named in enumerate(listed):
            yield Placed(f"/inputs/{inbound.escaped(role)}/{index}", role, named)


def as_json(inputs: Inputs) -> dict[str, Any]:
    """As they are kept with the job."""
    return {
        role: [named.model_dump() if isinstance(named, JobInput) else named for named in listed]
        for role, listed in inputs.items()
    }


DATA_URL: Final = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),(.*)", re.DOTALL)


def shortened(kept: Mapping[str, Any]) -> dict[str, Any]:
    """As they are shown: a data URL says its type and size, and not its bytes."""
    return {
        role: [_short(named) for named in listed] if isinstance(listed, list) else _short(listed)
        for role, listed in kept.items()
    }


def _short(named: Any) -> Any:
    if not isinstance(named, str) or not named.startswith("data:"):
        return named
    head, _, body = named.partition(",")
    size_bytes = len(body) * 3 // 4 - body[-2:].count("=")
    return f"{head[:100]},… ({size_bytes} bytes)"


# Without the database.


def check(inputs: Inputs, roles: Roles, ports: AppPorts) -> None:
    """That each input could be one of its role.

    Raises:
        InvalidRequest: with every one that could not.
    """
    placed = list(each(inputs))
    checks = [(item, _check_of(item, roles, ports)) for item in placed]
    if len(placed) > 1:
        # A name server that is silent takes seconds for each name.
        with ThreadPoolExecutor(LOOKUPS, "lookup") as threads:
            told = list(threads.map(lambda pair: pair[1](), checks))
    else:
        told = [run() for _, run in checks]
    _refuse([FieldError(item.pointer, detail) for item, detail in zip(placed, told, strict=True) if detail])


def _refuse(problems: Sequence[FieldError]) -> None:
    if problems:
        raise InvalidRequest(summary(problems), tuple(problems))


def _check_of(item: Placed, roles: Roles, ports: AppPorts) -> Callable[[], str | None]:
    """What tells what is wrong with an input, or None."""
    named = item.named
    if isinstance(named, JobInput):
        return lambda: None if ids.is_id("job", named.job) else "job must be the id of a job (job_…)"
    if named.startswith("data:"):
        kinds = _kinds(item, roles)
        return lambda: _wrong_data(named, kinds, ports)
    if re.match(r"https?:", named, re.IGNORECASE):
        return lambda: wrong_address(named, ports.outbound)
    if ids.is_id("asset", named) or ids.is_id("artifact", named):
        return lambda: None
    return lambda: INPUT_TOLD


def wrong_address(url: str, outbound: Outbound) -> str | None:
    if len(url) > ADDRESS_BYTES_MOST:
        return f"must be at most {ADDRESS_BYTES_MOST} characters"
    try:
        outbound.check(url)
        return None if _may_be_plain(url, outbound) else "must be https://; http:// is for allowed private networks"
    except UnsafeAddress as error:
        return str(error)


def _may_be_plain(url: str, outbound: Outbound) -> bool:
    """Whether an address that passed needs no TLS: it is inside our own walls."""
    address = read_url(url)
    if address.scheme == "https" or (address.host, address.port) in outbound.origins:
        return True
    try:
        Outbound(lookup=outbound.lookup).check(url)
    except UnsafeAddress:
        return True  # only the settings allow it
    return False


def _kinds(item: Placed, roles: Roles) -> Sequence[media.Kind]:
    """What the input must be; nothing for a role that does not exist, which is told of elsewhere."""
    role = roles.get(item.role)
    return () if role is None else role.kinds


def _wrong_data(url: str, kinds: Sequence[media.Kind], ports: AppPorts) -> str | None:
    try:
        content = decode(url)
    except ValueError as error:
        return str(error)
    if len(content) > ports.settings.upload_limit_bytes:
        return f"must be at most {ports.settings.upload_limit_bytes} bytes"
    if not kinds:
        return None
    with tempfile.TemporaryDirectory(prefix="darkroom-input-") as folder:
        path = Path(folder) / "input"
        path.write_bytes(content)
        try:
            media.expect(path, kinds, ports.settings.image_limit_pixels)
        except WrongMedia as error:
            return str(error)
    return None


def decode(url: str) -> bytes:
    """The bytes of a data URL (RFC 2397), of which we take base64 alone.

    Raises:
        ValueError: it is none.
    """
    parts = DATA_URL.fullmatch(url)
    if parts is None or "base64" not in parts[2].lower().split(";"):
        raise ValueError("a data URL must be like data:image/png;base64,…")
    try:
        content = base64.b64decode(re.sub(r"\s", "", parts[3]), validate=True)
    except binascii.Error:
        raise ValueError("the data URL holds no valid base64") from None
    if not content:
        raise ValueError("the data URL is empty")
    return content


# With the database.


def find(session: Session, project_id: str, inputs: Inputs, roles: Roles, catalog: Catalog) -> list[str]:
    """That all that the inputs name exists in this project and is what it should be.

    Returns:
        The jobs whose results are needed and are not there yet.

    Raises:
        InvalidRequest: with every one that is not.
    """
    placed = list(each(inputs))
    problems = _missing(session, project_id, placed, roles)
    unfinished, wrong = _results(session, project_id, placed, roles, catalog)
    _refuse(sorted(problems + wrong, key=lambda problem: problem.pointer))
    return unfinished


def _missing(session: Session, project_id: str, placed: Sequence[Placed], roles: Roles) -> list[FieldError]:
    named = [item.named for item in placed if isinstance(item.named, str)]
    kinds: dict[str, str] = {}
    for prefix, table in (("asset_", Asset), ("artifact_", Artifact)):
        wanted = {name for name in named if name.startswith(prefix)}
        if wanted:
            of_project = select(col(table.id), col(table.kind)).where(
                col(table.project_id) == project_id, col(table.id).in_(wanted)
            )
            kinds.update((row.id, row.kind) for row in session.execute(of_project))
    return [
        FieldError(item.pointer, told)
        for item in placed
        if isinstance(item.named, str)
        and item.named.startswith(("asset_", "artifact_"))
        and (told := _wrong_kind(item, kinds.get(item.named), roles))
    ]


def _wrong_kind(item: Placed, kind: str | None, roles: Roles) -> str | None:
    if kind is None:
        return f"there is no {item.named}"
    wanted = _kinds(item, roles)
    if not wanted or kind in wanted:
        return None
    return f"{item.named} is {_article(kind)}, and {media.articles(wanted)} is needed"


def _article(kind: str) -> str:
    return next((article for known, article in media.ARTICLE.items() if known == kind), kind)


def _results(
    session: Session, project_id: str, placed: Sequence[Placed], roles: Roles, catalog: Catalog
) -> tuple[list[str], list[FieldError]]:
    wanted = [(item, item.named) for item in placed if isinstance(item.named, JobInput)]
    if not wanted:
        return [], []
    job_ids = {named.job for _, named in wanted}
    of_project = (col(Job.project_id) == project_id, col(Job.id).in_(job_ids))
    rows = session.execute(select(col(Job.id), col(Job.state), col(Job.operation)).where(*of_project)).all()
    jobs = {row.id: row for row in rows}
    stored = session.execute(
        select(col(Artifact.job_id), col(Artifact.index).label("place"), col(Artifact.kind))
        .join(Job, col(Job.id) == col(Artifact.job_id))
        .where(*of_project, col(Artifact.attempt) == col(Job.attempt))
    ).all()
    kinds = {(row.job_id, row.place): row.kind for row in stored}
    problems = []
    for item, named in wanted:
        job = jobs.get(named.job)
        told = None
        if job is None:
            told = f"there is no job {named.job}"
        elif job.state is State.SUCCEEDED and (named.job, named.index) not in kinds:
            told = f"{named.job} has no result {named.index}"
        elif job.state in FINAL and job.state is not State.SUCCEEDED:
            told = f"{named.job} is {job.state} and has no result"
        else:
            operation = catalog.operations.get(job.operation)
            gives = kinds.get((named.job, named.index)) or (operation.gives if operation is not None else None)
            needed = _kinds(item, roles)
            if gives is not None and needed and gives not in needed:
                told = f"{named.job} gives {_article(gives)}, and {media.articles(needed)} is needed"
        if told is not None:
            problems.append(FieldError(item.pointer, told))
    return [row.id for row in rows if row.state is not State.SUCCEEDED], problems


def check_webhook(url: str, outbound: Outbound) -> None:
    """
    Raises:
        InvalidRequest: we would not call this address.
    """
    told = wrong_address(url, outbound)
    _refuse([FieldError("/webhook/url", told)] if told else [])
