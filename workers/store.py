"""From a result at the gateway to artifacts in S3: fetch, check, measure, upload, and only then `succeeded`.

Each output goes through a file of the spool: so its length, kind and wholeness are known *before* anything of it
is in S3, a broken download goes on where it broke, and memory stays flat whatever its size.  An output that is at
none of its places any more may be at others, which its task is asked for (`renewal.py`).
Object keys and rows follow from job, attempt and index, so storing twice is storing once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

import structlog
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from shared import claims, ids, media, policy, storage
from shared.claims import Claim
from shared.errors import DarkroomError, FetchFailed, StorageUnavailable, UnsafeAddress, WrongMedia
from shared.gateway import classify, reading
from shared.gateway.outcome import ErrorClass, GatewayError
from shared.lifecycle import Cause
from shared.storage import Stored
from shared.tables import Artifact, JobResult
from workers.gateway import Moved
from workers.patience import passes, patiently
from workers.ports import Ports
from workers.renewal import Renewal

log = structlog.get_logger(__name__)

FETCH_S: Final = 900.0
"""Longest fetch of one output, its further tries included."""
LINK_BYTES: Final = 2**16
"""A JSON answer in place of a film may say where the film is (video 6.6); a longer one does not."""
AT_ONCE: Final = 8
"""Results that one tick takes, and that one hint stores at the same time."""


SMALL: Final = "thumbnail"
"""Its file, in the folder of its output."""


class Missing(DarkroomError):
    """A result of which nobody knows where it is: in hand once, and not in this host's spool any more."""

    code = "result_missing"


class Unstored(DarkroomError):
    """A surprise: the worker's log has the traceback."""

    code = "store_failed"


@dataclass(frozen=True)
class Kept:
    """One output that is in S3."""

    index: int
    facts: media.Media
    key: str
    stored: Stored
    sha256: str
    thumbnail_key: str | None


def store(job_ids: Sequence[str] | None, ports: Ports, most: int = AT_ONCE) -> int:
    """Store these results, or at most `most` of those that are due; returns how many were taken."""
    if ports.stopping.is_set():
        return 0
    with ports.transaction() as session:
        taken = claims.take_storing(
            session, ports.process_id, ports.spool.name, job_ids=job_ids, limit=len(job_ids) if job_ids else most
        )
    if len(taken) == 1:
        store_claimed(taken[0], ports)
    elif taken:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="store") as threads:
            for claim in taken:
                threads.submit(store_claimed, claim, ports)
    return len(taken)


def store_claimed(claim: Claim, ports: Ports) -> None:
    """Store one result that we hold; whatever goes wrong, the row says so and is tried again or ended."""
    try:
        kept = _keep_all(claim, ports)
        patiently(lambda: _record_stored(claim, kept, ports))
    except StorageUnavailable as error:
        _wait(claim, f"S3 does not take it: {error}", ports)
    except OSError as error:
        log.error("store.no_disk", job_id=claim.job_id, attempt=claim.attempt, exc_info=True)
        _wait(claim, f"the spool does not take it: {error.strerror}", ports)
    except (FetchFailed, WrongMedia, UnsafeAddress, Missing) as error:
        _try_again_or_end(claim, error, ports)
    except Exception as error:
        log.error("store.failed", job_id=claim.job_id, attempt=claim.attempt, exc_info=True)
        if passes(error):
            _wait(claim, "the database was away while it was stored", ports)
        else:
            _try_again_or_end(claim, Unstored(f"it could not be stored: {type(error).__name__}"), ports)
    else:
        ports.spool.drop(claim.job_id, claim.attempt)
        log.info("store.stored", job_id=claim.job_id, attempt=claim.attempt, artifacts=len(kept))


def _wait(claim: Claim, reason: str, ports: Ports) -> None:
    """For what is ours and will be mended, without end: no try of the result is counted."""
    wait_s = policy.wait_s(policy.FIRST_WAIT_S[ErrorClass.STORAGE], claim.waits, ports.random)
    _later(claim, reason, wait_s, ports, is_counted=False)


def _later(claim: Claim, reason: str, wait_s: float, ports: Ports, *, is_counted: bool) -> None:
    def let_go() -> None:
        with ports.transaction() as session:
            claims.store_later(session, claim, wait_s, reason, is_counted=is_counted)

    patiently(let_go)
    log.info("store.later", job_id=claim.job_id, attempt=claim.attempt, counted=is_counted, reason=reason)


def _try_again_or_end(claim: Claim, error: DarkroomError, ports: Ports) -> None:
    tries = claim.store_tries + 1
    wait_s = policy.store_wait_s(_trouble(error), tries, ports.random)
    if isinstance(error, FetchFailed) and error.too_large:
        wait_s = None
    if wait_s is not None:
        _later(claim, str(error), wait_s, ports, is_counted=True)
        return
    refused = GatewayError(ErrorClass.STORAGE, error.code, classify.clean(str(error)), charged=True)

    def give_up() -> None:
        with ports.transaction() as session:
            if claims.move(session, claim, Cause.UNSTORABLE, reason=str(error), data=claims.as_error(refused, False)):
                claims.keep_error(session, claim, refused)

    patiently(give_up)
    ports.spool.drop(claim.job_id, claim.attempt)
    log.warning("store.gave_up", job_id=claim.job_id, attempt=claim.attempt, tries=tries, code=error.code)


def _trouble(error: DarkroomError) -> str:
    """What the policy calls it: an address that leads nowhere any more is given up sooner than one that is away."""
    is_gone = isinstance(error, FetchFailed) and error.status in (403, 404, 410)
    return "result_gone" if is_gone else error.code


def _keep_all(claim: Claim, ports: Ports) -> list[Kept]:
    with ports.transaction() as session:
        row = session.get(JobResult, claim.job_id)
        outputs = list(row.outputs or []) if row is not None and row.attempt == claim.attempt else None
    if outputs is None or (not outputs and ports.catalog.operations[claim.operation].gives != "text"):
        raise Missing("nothing says where the result is")
    renewal = Renewal(claim, outputs, ports)
    return [_keep(claim, index, output, renewal, ports) for index, output in enumerate(outputs)]


def _keep(claim: Claim, index: int, output: dict[str, Any], renewal: Renewal, ports: Ports) -> Kept:
    with ports.spool.passing() as folder:
        try:
            path, facts = _bring(claim, output["kind"], output["sources"], folder, ports)
        except (FetchFailed, WrongMedia, UnsafeAddress, Missing) as error:
            sources = [] if isinstance(error, FetchFailed) and error.too_large else renewal.sources(index)
            if not sources:
                raise
            path, facts = _bring(claim, output["kind"], sources, folder, ports)
        key = storage.artifact_key(claim.project_id, claim.job_id, claim.attempt, index, facts.extension)
        names = {"job": claim.job_id, "model": claim.model, "attempt": str(claim.attempt), "index": str(index)}
        stored = ports.store.put_file(key, path, facts.content_type, names)
        thumbnail_key = _keep_thumbnail(key, folder / SMALL, names, ports)
        return Kept(index, facts, key, stored, _sha256(path), thumbnail_key)


def _keep_thumbnail(key: str, small: Path, names: dict[str, str], ports: Ports) -> str | None:
    """A small picture of it, if one could be made: its want is no reason to lose what it is of."""
    if not small.exists():
        return None
    small_key = storage.thumbnail_key(key)
    ports.store.put_file(small_key, small, "image/jpeg", names)
    return small_key


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bring(
    claim: Claim, kind: media.Kind, sources: Iterable[dict[str, str]], folder: Path, ports: Ports
) -> tuple[Path, media.Media]:
    """The output as a checked file, from the first source that has it.

    Raises:
        FetchFailed, WrongMedia, UnsafeAddress, Missing: what was wrong with the last source.
    """
    waiting = list(sources)
    trouble: DarkroomError = WrongMedia("the gateway named no place where the result is")
    number = 0
    while waiting:
        source = waiting.pop(0)
        path = folder / f"source-{number}"
        number += 1
        try:
            path = _fetch(source, path, ports)
            return path, media.expect(path, (kind,), ports.settings.image_limit_pixels, small=folder / SMALL)
        except WrongMedia as error:
            trouble = error
            waiting[:0] = _links(path) if "link" not in source else []
        except (FetchFailed, UnsafeAddress, Missing) as error:
            trouble = error
        log.info("store.source", job_id=claim.job_id, source=next(iter(source)), trouble=str(trouble))
    raise trouble


def _fetch(source: dict[str, str], to: Path, ports: Ports) -> Path:
    limit = ports.settings.result_limit_bytes
    if "spool" in source:
        path = ports.spool.kept(source["spool"])
        if not path.exists():
            raise Missing("the result in hand is not in the spool of this host any more")
        return path
    if "url" in source and not ports.gateway.is_own(source["url"]):
        ports.outbound.fetch(source["url"], to, limit, FETCH_S)
        return to
    # The gateway's own address for it needs the key, and no other address may see the key (video 6.6).
    path_there = source["path"] if "path" in source else ports.gateway.own_path(source["url"])
    try:
        ports.gateway.download(path_there, to, limit, FETCH_S)
    except Moved as moved:
        ports.outbound.fetch(urljoin(ports.gateway.url_of(path_there), moved.location), to, limit, FETCH_S)
    return to


def _links(path: Path) -> list[dict[str, str]]:
    """Where a JSON answer that came in place of the film says that the film is."""
    if not path.exists() or path.stat().st_size > LINK_BYTES:
        return []
    try:
        told = json.loads(path.read_bytes())
    except ValueError:
        return []
    link = reading.first_text(told, "url", "video_url", "data.url", "data.video_url") if isinstance(told, dict) else ""
    return [{"url": link, "link": "followed"}] if link.startswith(("http://", "https://")) else []


def _record_stored(claim: Claim, kept: Sequence[Kept], ports: Ports) -> None:
    with ports.transaction() as session:
        if claims.move(session, claim, Cause.STORED, data={"artifacts": len(kept)}):
            _record(session, claim, kept)


def _record(session: Session, claim: Claim, kept: Sequence[Kept]) -> None:
    rows = [
        {
            "id": ids.new("artifact"),
            "project_id": claim.project_id,
            "job_id": claim.job_id,
            "attempt": claim.attempt,
            "index": one.index,
            "kind": one.facts.kind,
            "content_type": one.facts.content_type,
            "size_bytes": one.stored.size_bytes,
            "sha256": one.sha256,
            "width": one.facts.width,
            "height": one.facts.height,
            "duration_seconds": one.facts.duration_seconds,
            "object_key": one.key,
            "thumbnail_key": one.thumbnail_key,
        }
        for one in kept
    ]
    if rows:
        session.execute(insert(Artifact).values(created_at=func.now()).on_conflict_do_nothing(), rows)
