"""From a result at the gateway to artifacts in S3: fetch, check, measure, upload, and only then `succeeded`.

Each output goes through a file of the spool: so its length, kind and wholeness are known *before* anything of it
is in S3, a broken download goes on where it broke, and memory stays flat whatever its size.  An output that is at
none of its places any more may be at others, which its task is asked for (`renewal.py`).  While S3 is away results are
fetched all the same and stay in the spool, since their links may not live as long.
Object keys and rows follow from job, attempt and index, so storing twice is storing once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urljoin

import structlog
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from shared import claims, credentials, ids, late, media, policy, spools, storage
from shared.claims import Claim
from shared.errors import DarkroomError, FetchFailed, ObjectMissing, StorageUnavailable, UnsafeAddress, WrongMedia
from shared.gateway import classify, reading
from shared.gateway.outcome import ErrorClass, GatewayError
from shared.lifecycle import Cause
from shared.storage import Stored
from shared.tables import Artifact, JobResult
from workers.gateway.client import Gateway, Moved
from workers.gateway.clients import NoCredential
from workers.outage import LEAST_FREE_BYTES
from workers.patience import passes, patiently
from workers.ports import Ports
from workers.renewal import Renewal, TaskFailed

log = structlog.get_logger(__name__)

FETCH_S: Final = 900.0
"""Longest fetch of one output, its further tries included."""
LINK_BYTES: Final = 2**16
"""A JSON answer in place of a film may say where the film is (video 6.6); a longer one does not."""
AT_ONCE: Final = 8
"""Results that one tick takes, and that one hint stores at the same time."""


SMALL: Final = "thumbnail"
"""Its file, in the folder of its output."""

Place = dict[str, str]
"""Where an output is: `{"url"}`, `{"path"}` at the gateway, `{"spool"}` of a host, or `{"object"}` in S3."""

FETCHING: Final = (FetchFailed, WrongMedia, UnsafeAddress, TaskFailed)
"""What may be wrong with a place."""


class Missing(DarkroomError):
    """A result of which nobody knows where it is: in hand once, and not in this host's spool any more."""

    code = "result_missing"


class Withheld(FetchFailed):
    """The gateway itself has no such result to hand out: it answers 502 when its provider has none (video 6.6)."""


class Deadly(DarkroomError):
    """A result that was in the hands of one process after the other when it died."""

    code = policy.WORKER_DIED


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


class Row(Protocol):
    """Where it stands what becomes of a result: with its job, or, if it came late, apart from it."""

    def outputs(self, session: Session, claim: Claim) -> list[dict[str, Any]] | None:
        """Where they are; None if nothing says so."""
        ...

    def stored(self, session: Session, claim: Claim, artifacts: int) -> bool:
        """All are in S3; whether their artifacts are to be written down, too."""
        ...

    def store_later(self, session: Session, claim: Claim, due_in_s: float, reason: str, *, is_counted: bool) -> object:
        """They could not be stored now."""
        ...

    def keep_places(self, session: Session, claim: Claim, places: Mapping[int, Place], spool: str | None) -> object:
        """From now on these outputs are there first; some of them in this spool, unless it is None."""
        ...

    def give_up(self, session: Session, claim: Claim, error: GatewayError) -> bool:
        """They cannot be stored; whether nobody else is at it."""
        ...


class JobRow:
    """The job's own."""

    def outputs(self, session: Session, claim: Claim) -> list[dict[str, Any]] | None:
        row = session.get(JobResult, claim.job_id)
        return list(row.outputs or []) if row is not None and row.attempt == claim.attempt else None

    def stored(self, session: Session, claim: Claim, artifacts: int) -> bool:
        if claims.move(session, claim, Cause.STORED, data={"artifacts": artifacts}):
            return True
        return late.stored(session, claim, artifacts)  # it was canceled meanwhile, and what is paid for is kept

    def store_later(self, session: Session, claim: Claim, due_in_s: float, reason: str, *, is_counted: bool) -> object:
        return claims.store_later(session, claim, due_in_s, reason, is_counted=is_counted)

    def keep_places(self, session: Session, claim: Claim, places: Mapping[int, Place], spool: str | None) -> object:
        if claims.keep_places(session, claim, places, spool):
            return True
        # It was canceled meanwhile, and what it left behind is in nobody's hand yet.
        return late.keep_places(session, replace(claim, by=None), places, spool)

    def give_up(self, session: Session, claim: Claim, error: GatewayError) -> bool:
        told = claims.as_error(error, False)
        moved = claims.move(session, claim, Cause.UNSTORABLE, reason=error.message, data=told)
        if moved:
            claims.keep_error(session, claim, error)
        return moved


OF_JOB: Final = JobRow()


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


def store_claimed(claim: Claim, ports: Ports, row: Row = OF_JOB) -> None:
    """Store one result that we hold; whatever goes wrong, the row says so and is tried again or ended."""
    try:
        kept, litter = _keep_all(claim, row, ports)
        patiently(lambda: _record_stored(claim, row, kept, ports))
    except StorageUnavailable as error:
        _wait(claim, row, f"S3 does not take it: {error}", ports)
    except OSError as error:
        log.error("store.no_disk", job_id=claim.job_id, attempt=claim.attempt, exc_info=True)
        _wait(claim, row, f"the spool does not take it: {error.strerror}", ports)
    except (*FETCHING, Missing) as error:
        if _is_elsewhere(claim, ports):
            _wait_for_spool(claim, row, error, ports)
        else:
            _try_again_or_end(claim, row, error, ports)
    except Exception as error:
        log.error("store.failed", job_id=claim.job_id, attempt=claim.attempt, exc_info=True)
        if passes(error):
            _wait(claim, row, "the database was away while it was stored", ports)
        else:
            _try_again_or_end(claim, row, Unstored(f"it could not be stored: {type(error).__name__}"), ports)
    else:
        ports.spool.drop(claim.job_id, claim.attempt)
        _delete(litter, ports)
        log.info("store.stored", job_id=claim.job_id, attempt=claim.attempt, artifacts=len(kept))


def _wait(claim: Claim, row: Row, reason: str, ports: Ports) -> None:
    """For what is ours and will be mended, without end: no try of the result is counted."""
    wait_s = policy.wait_s(policy.FIRST_WAIT_S[ErrorClass.STORAGE], claim.waits, ports.random)
    _later(claim, row, reason, wait_s, ports, is_counted=False)


def _later(claim: Claim, row: Row, reason: str, wait_s: float, ports: Ports, *, is_counted: bool) -> None:
    def let_go() -> None:
        with ports.transaction() as session:
            row.store_later(session, claim, wait_s, reason, is_counted=is_counted)

    patiently(let_go)
    log.info("store.later", job_id=claim.job_id, attempt=claim.attempt, counted=is_counted, reason=reason)


def _try_again_or_end(claim: Claim, row: Row, error: DarkroomError, ports: Ports) -> None:
    tries = claim.store_tries + 1
    wait_s = policy.store_wait_s(_trouble(error), tries, ports.random)
    if isinstance(error, FetchFailed) and error.too_large:
        wait_s = None
    if wait_s is not None:
        _later(claim, row, str(error), wait_s, ports, is_counted=True)
        return
    _end(claim, row, error, ports)


def _end(claim: Claim, row: Row, error: DarkroomError, ports: Ports) -> None:
    said = error.error if isinstance(error, TaskFailed) else GatewayError(ErrorClass.STORAGE, error.code, "")
    refused = replace(said, message=classify.clean(str(error)), charged=True)

    def give_up() -> bool:
        with ports.transaction() as session:
            return row.give_up(session, claim, refused)

    if patiently(give_up):
        ports.spool.drop(claim.job_id, claim.attempt)
    log.warning("store.gave_up", job_id=claim.job_id, attempt=claim.attempt, code=error.code)


def give_up_deadly(claim: Claim, ports: Ports) -> None:
    """A result with which one worker after the other died."""
    _end(claim, OF_JOB, Deadly(f"{claim.waits} workers died while they stored it"), ports)


def _is_elsewhere(claim: Claim, ports: Ports) -> bool:
    """Whether another host has it in hand: one that has not been seen for long, or we would not have taken it."""
    return claim.spool_host not in (None, ports.spool.name)


def _wait_for_spool(claim: Claim, row: Row, error: DarkroomError, ports: Ports) -> None:
    """It is nowhere else.  The host that has it may come back, and is waited for, but not for ever."""
    with ports.transaction() as session:
        silence = spools.silence(session, claim.spool_host or "")
    if min(silence.silent_s, claim.age_s) > spools.LOST_S:
        _end(claim, row, Missing(f"{silence.told}; elsewhere: {error}"), ports)
    else:
        _later(claim, row, f"{silence.told}; elsewhere: {error}", spools.LOOK_AGAIN_S, ports, is_counted=False)


def _trouble(error: DarkroomError) -> str:
    """What the policy calls it: an address that leads nowhere any more is given up sooner than one that is away."""
    if isinstance(error, Withheld):
        return "result_withheld"
    is_gone = isinstance(error, FetchFailed) and error.status in (403, 404, 410)
    return "result_gone" if is_gone else error.code


def _keep_all(claim: Claim, row: Row, ports: Ports) -> tuple[list[Kept], list[str]]:
    """All outputs into S3.  Also: keys of objects that are not needed any more once the row says so.

    Whatever goes wrong, it is remembered what came: the next try needs no link for that.
    """
    with ports.transaction() as session:
        outputs = row.outputs(session, claim)
    if outputs is None or (not outputs and ports.catalog.operations[claim.operation].gives != "text"):
        raise Missing("nothing says where the result is")
    renewal = Renewal(claim, outputs, ports)
    places: dict[int, Place] = {}
    try:
        kept = [_keep(claim, index, output, renewal, places, ports) for index, output in enumerate(outputs)]
    except StorageUnavailable as error:
        far = {index: output for index, output in enumerate(outputs) if not _is_near(output, places.get(index), ports)}
        came = [_fetch_only(claim, index, output, renewal, places, ports) for index, output in far.items()]
        _remember(claim, row, outputs, places, ports)
        raise StorageUnavailable(f"{error}{_only_links(came.count(False), ports)}") from error
    except Exception:
        _remember(claim, row, outputs, places, ports)
        raise
    unchecked = {place["object"] for output in outputs for place in output["sources"] if "object" in place}
    return kept, sorted(unchecked - {one.key for one in kept})


def _keep(
    claim: Claim, index: int, output: dict[str, Any], renewal: Renewal, places: dict[int, Place], ports: Ports
) -> Kept:
    """One output into S3; if that does not take it, its file stays in the spool.  `places` gets where it is now."""
    if ports.outage.is_s3_away:
        raise StorageUnavailable(ports.outage.trouble)
    with ports.spool.passing() as folder:
        path, facts = _found(claim, index, output, renewal, folder, ports)
        try:
            kept = _put(claim, index, path, facts, folder, ports)
        except StorageUnavailable:
            _stay(claim, index, path, places, ports)
            raise
    places[index] = {"object": kept.key}
    return kept


def _found(
    claim: Claim, index: int, output: dict[str, Any], renewal: Renewal, folder: Path, ports: Ports
) -> tuple[Path, media.Media]:
    """The output as a checked file, from the places that are known, or else from those that its task names now."""
    try:
        return _bring(claim, output["kind"], output["sources"], folder, ports)
    except (*FETCHING, Missing) as error:
        sources = [] if isinstance(error, FetchFailed) and error.too_large else renewal.sources(index)
        if not sources and renewal.failure is not None:
            raise TaskFailed(renewal.failure, error) from error
        if not sources:
            raise
        return _bring(claim, output["kind"], sources, folder, ports)


def _put(claim: Claim, index: int, path: Path, facts: media.Media, folder: Path, ports: Ports) -> Kept:
    key = storage.artifact_key(claim.project_id, claim.job_id, claim.attempt, index, facts.extension)
    names = {"job": claim.job_id, "model": claim.model, "attempt": str(claim.attempt), "index": str(index)}
    stored = ports.store.put_file(key, path, facts.content_type, names)
    thumbnail_key = _keep_thumbnail(key, folder / SMALL, names, ports)
    return Kept(index, facts, key, stored, _sha256(path), thumbnail_key)


def _is_near(output: dict[str, Any], place: Place | None, ports: Ports) -> bool:
    """Whether no link is needed for it: it has come by now, or is in S3 or in our spool since an earlier try."""
    first = place or next(iter(output["sources"]), {})
    return "object" in first or ("spool" in first and ports.spool.kept(first["spool"]).exists())


def _fetch_only(
    claim: Claim, index: int, output: dict[str, Any], renewal: Renewal, places: dict[int, Place], ports: Ports
) -> bool:
    """While S3 is away: the output into the spool; whether it is there.  What is wrong shows when S3 is back."""
    if not _has_room(claim, ports):
        return False
    try:
        with ports.spool.passing() as folder:
            path, _ = _found(claim, index, output, renewal, folder, ports)
            return _stay(claim, index, path, places, ports)
    except (*FETCHING, Missing, StorageUnavailable) as error:
        log.info("store.not_fetched", job_id=claim.job_id, index=index, trouble=str(error))
        return False


def _stay(claim: Claim, index: int, path: Path, places: dict[int, Place], ports: Ports) -> bool:
    """Let a checked download stay in the spool, if there is room; whether it does."""
    if not _has_room(claim, ports):
        return False
    places[index] = {"spool": ports.spool.take_in(path, claim.job_id, claim.attempt, index)}
    return True


def _has_room(claim: Claim, ports: Ports) -> bool:
    """Room that is left when the file is there: what paid calls under way will bring comes first.

    What another host has in hand is not for this spool: a row names one.
    """
    return ports.spool.free_bytes() >= LEAST_FREE_BYTES and not _is_elsewhere(claim, ports)


def _only_links(left: int, ports: Ports) -> str:
    if not left:
        return ""
    room = "" if ports.spool.free_bytes() >= LEAST_FREE_BYTES else ", since the disk of the spool is nearly full"
    return f"; of {left} outputs only the links are kept{room}"


def _remember(claim: Claim, row: Row, outputs: list[dict[str, Any]], places: dict[int, Place], ports: Ports) -> None:
    """Write down where outputs are now, before we let go of them."""
    nearer = {index: place for index, place in places.items() if outputs[index]["sources"][:1] != [place]}
    if not nearer:
        return
    spool = ports.spool.name if any("spool" in place for place in nearer.values()) else None

    def write() -> None:
        with ports.transaction() as session:
            row.keep_places(session, claim, nearer, spool)

    patiently(write)
    log.info("store.nearer", job_id=claim.job_id, attempt=claim.attempt, outputs=len(nearer), spooled=spool is not None)


def _delete(keys: Sequence[str], ports: Ports) -> None:
    """Objects that were only on their way; if one stays, it is litter."""
    with suppress(StorageUnavailable):
        for key in keys:
            ports.store.delete(key)


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
            path = _fetch(claim, source, path, ports)
            return path, media.expect(path, (kind,), ports.settings.image_limit_pixels, small=folder / SMALL)
        except WrongMedia as error:
            trouble = error
            waiting[:0] = _links(path) if "link" not in source else []
        except (FetchFailed, UnsafeAddress, Missing) as error:
            trouble = error
        log.info("store.source", job_id=claim.job_id, source=next(iter(source)), trouble=str(trouble))
    raise trouble


def _fetch(claim: Claim, source: dict[str, str], to: Path, ports: Ports) -> Path:
    limit = ports.settings.result_limit_bytes
    if "spool" in source:
        path = ports.spool.kept(source["spool"])
        if not path.exists():
            raise Missing("the result in hand is not in the spool of this host")
        return path
    if "object" in source:
        try:
            ports.store.download(source["object"], to)
        except ObjectMissing:
            raise Missing("the result in hand is not in S3 any more") from None
        return to
    gateway = _gateway(claim, ports)
    if "url" in source and (gateway is None or not gateway.is_own(source["url"])):
        ports.outbound.fetch(source["url"], to, limit, FETCH_S)
        return to
    if gateway is None:
        raise FetchFailed(f"its key is gone: {NoCredential(credentials.of_lane(claim.lane))}")
    # The gateway's own address for it needs the key, and no other address may see the key (video 6.6).
    path_there = source["path"] if "path" in source else gateway.own_path(source["url"])
    try:
        gateway.download(path_there, to, limit, FETCH_S)
    except Moved as moved:
        ports.outbound.fetch(urljoin(gateway.url_of(path_there), moved.location), to, limit, FETCH_S)
    except FetchFailed as error:
        if error.status != 502:
            raise
        raise Withheld(str(error), error.status) from error
    return to


def _gateway(claim: Claim, ports: Ports) -> Gateway | None:
    """The client that the work was asked of; None if its credential was taken out of the settings."""
    return ports.gateways.of(claim.lane) if ports.gateways.knows(claim.lane) else None


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


def _record_stored(claim: Claim, row: Row, kept: Sequence[Kept], ports: Ports) -> None:
    with ports.transaction() as session:
        if row.stored(session, claim, len(kept)):
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
