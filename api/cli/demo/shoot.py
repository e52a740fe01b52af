"""Take every job of a demo from its line in the file to its results on the disk.

One thread goes round: submit what can be submitted, look how all of them stand, fetch what is finished.  Each
round may fail as a whole, since any process of the system may die at any moment; the next one takes it from there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from api.cli import progress, terminal
from api.cli.demo import jobs_file
from api.cli.demo.contact_sheet import File, Frame
from api.cli.demo.jobs_file import Wanted
from api.cli.demo.system import System, SystemFailed
from api.cli.progress import Bar, Display
from api.cli.runtime import Running
from api.client import ApiError, Artifact, ClientError, Darkroom, Job

ROUND_S: Final = 0.4
PATIENCE_S: Final = 3.0
"""Of one call; what lasts longer is the next round's."""
OUTAGE_S: Final = 90.0
"""An API that is away for longer does not come back."""
GONE: Final = "skipped"


@dataclass
class Board:
    """How far each job is, by its number in the file."""

    wanted: Sequence[Wanted]
    run_id: str
    """Makes the idempotency keys of this demo its own."""
    file: Path
    """What it uploads lies beside it."""
    out_dir: Path
    is_sandbox: bool
    jobs: dict[int, Job] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    """Why there is no such job: the API refused it, or what it needs did not succeed."""
    files: dict[int, list[File]] = field(default_factory=dict)
    asset_ids: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The `story` in the metadata of the first job, or the name of the file."""
        metadata = self.wanted[0].body.get("metadata") or {}
        return str(metadata.get("story") or self.file.stem.replace("-", " ").capitalize())

    def state(self, wanted: Wanted) -> str:
        if wanted.number in self.refused:
            return GONE
        job = self.jobs.get(wanted.number)
        return job.state if job is not None else "waiting"

    def is_done(self, wanted: Wanted) -> bool:
        state = self.state(wanted)
        return wanted.number in self.files if state == "succeeded" else state in progress.ENDED

    @property
    def all_done(self) -> bool:
        return all(self.is_done(wanted) for wanted in self.wanted)

    @property
    def all_succeeded(self) -> bool:
        return self.all_done and all(self.state(wanted) == "succeeded" for wanted in self.wanted)

    @property
    def task_ids(self) -> dict[str, str]:
        """The upstream tasks of the lines that have a ref and one."""
        found = ((ref, self.jobs[self.by_ref(ref).number].raw.get("upstream") or {}) for ref in self.job_ids)
        return {ref: str(upstream["task_id"]) for ref, upstream in found if upstream.get("task_id")}

    @property
    def job_ids(self) -> dict[str, str]:
        """Of the lines that have a ref and are jobs by now."""
        return {
            wanted.ref: self.jobs[wanted.number].id
            for wanted in self.wanted
            if wanted.ref is not None and wanted.number in self.jobs
        }

    def by_ref(self, ref: str) -> Wanted:
        return next(wanted for wanted in self.wanted if wanted.ref == ref)

    def bars(self) -> list[Bar]:
        return [Bar(label(wanted), self.state(wanted), self._percent(wanted)) for wanted in self.wanted]

    def _percent(self, wanted: Wanted) -> int:
        job = self.jobs.get(wanted.number)
        return job.progress if job is not None else 0

    def frames(self) -> list[Frame]:
        """All of it, as the contact sheet and the table show it."""
        return [_frame(self, wanted) for wanted in self.wanted]


def label(wanted: Wanted) -> str:
    return f"{wanted.number:02d} {name(wanted)}"


def name(wanted: Wanted) -> str:
    """What a job is called in file names and bars."""
    if wanted.of is not None:
        return "-".join([wanted.of, str(wanted.body.get("action", "action")), *map(str, _index(wanted))])
    return str(wanted.body["model"])


def shoot(board: Board, system: System, running: Running, display: Display, deadline: float) -> str | None:
    """Go round until every job is done, or until `deadline` (of the monotonic clock).

    Returns:
        None, or why it went no further.
    """
    client = _client(running)
    answered_at = time.monotonic()
    try:
        while not board.all_done:
            if (again := system.tend()) is not None:
                client.close()
                client = _client(again)
            trouble = advance(board, client)
            display.show(board.bars())
            now = time.monotonic()
            answered_at = now if trouble is None else answered_at
            if now > deadline:
                return "time is up"
            if now - answered_at > OUTAGE_S:
                return f"for {OUTAGE_S:g} s it went no further: {trouble}"
            time.sleep(ROUND_S)
    except SystemFailed as error:
        return str(error)
    finally:
        client.close()
    return None


def _client(running: Running) -> Darkroom:
    return Darkroom(running.api_url, running.admin_key, patience_s=PATIENCE_S)


def advance(board: Board, client: Darkroom) -> ClientError | None:
    """One round.

    Returns:
        None, or what was in the way of some of it; what could be done is done.
    """
    trouble: ClientError | None = None
    for act in (_submit_all, _look, _fetch_all):
        try:
            act(board, client)
        except ClientError as error:
            trouble = error
    return trouble


def _submit_all(board: Board, client: Darkroom) -> None:
    trouble: ApiError | None = None
    for wanted in board.wanted:
        if wanted.number not in board.jobs and wanted.number not in board.refused:
            try:
                _submit(board, client, wanted)
            except ApiError as error:  # the next one may fare better
                trouble = error
    if trouble is not None:
        raise trouble


def _fetch_all(board: Board, client: Darkroom) -> None:
    for wanted in board.wanted:
        if board.state(wanted) == "succeeded" and wanted.number not in board.files:
            board.files[wanted.number] = _fetch(board, client, wanted)


def _submit(board: Board, client: Darkroom, wanted: Wanted) -> None:
    """Make it a job, if what it needs is there by now.

    Raises:
        ApiError: one that passes; a refusal is kept on the board.
    """
    lacking = [ref for ref in wanted.needs if board.by_ref(ref).number not in board.jobs]
    lacking += [ref for ref in wanted.needs_ended if board.state(board.by_ref(ref)) != "succeeded"]
    gone = [ref for ref in wanted.needs if board.state(board.by_ref(ref)) in progress.ENDED - {"succeeded"}]
    if gone:
        board.refused[wanted.number] = f"{gone[0]} did not succeed"
        return
    if lacking:
        return
    try:
        board.jobs[wanted.number] = _create(board, client, wanted)
    except ApiError as error:
        if error.status >= 500 or error.retry_after_s is not None:
            raise
        board.refused[wanted.number] = error.detail
    except OSError as error:
        board.refused[wanted.number] = f"cannot be uploaded: {error}"


def _create(board: Board, client: Darkroom, wanted: Wanted) -> Job:
    _upload(board, client, wanted)
    body: dict[str, Any] = jobs_file.resolved(wanted.body, board.asset_ids, board.job_ids, board.task_ids)
    if board.is_sandbox:
        body.setdefault("on_unknown", "retry")  # costs nothing there, and a killed worker only delays
    key = f"demo-{board.run_id}-{wanted.number}"
    if wanted.of is not None:
        return client.jobs.action(board.job_ids[wanted.of], idempotency_key=key, **body)
    return client.jobs.create(idempotency_key=key, **body)


def _upload(board: Board, client: Darkroom, wanted: Wanted) -> None:
    for place in wanted.uploads:
        if place not in board.asset_ids:
            key = f"demo-{board.run_id}-{list(_uploads(board)).index(place)}-upload"
            board.asset_ids[place] = client.assets.upload(board.file.parent / place, idempotency_key=key).id


def _uploads(board: Board) -> dict[str, None]:
    return {place: None for wanted in board.wanted for place in wanted.uploads}


def _look(board: Board, client: Darkroom) -> None:
    """How all of them stand: one list tells, and the finished are read one by one for their results."""
    open_jobs = {job.id: number for number, job in board.jobs.items() if not job.is_final}
    if not open_jobs:
        return
    oldest = min(job.created_at for job in board.jobs.values() if job.created_at is not None)
    for job in client.jobs.each(created_after=oldest.isoformat()):
        if (number := open_jobs.pop(job.id, None)) is not None:
            board.jobs[number] = client.jobs.get(job.id) if job.is_final else job
    for job_id, number in open_jobs.items():
        board.jobs[number] = client.jobs.get(job_id)


def _fetch(board: Board, client: Darkroom, wanted: Wanted) -> list[File]:
    artifacts = board.jobs[wanted.number].artifacts
    return [
        _save(client, artifact, board.out_dir, _stem(wanted, place, len(artifacts)))
        for place, artifact in enumerate(artifacts, start=1)
    ]


def _stem(wanted: Wanted, place: int, count: int) -> str:
    """Of a file name: letters, digits, dots and dashes, whatever the model is called."""
    plain = "".join(char if char.isascii() and (char.isalnum() or char in ".-_") else "-" for char in name(wanted))
    return f"{wanted.number:02d}-{plain}" + (f"-{place}" if count > 1 else "")


def _save(client: Darkroom, artifact: Artifact, out_dir: Path, stem: str) -> File:
    saved = client.artifacts.download(artifact, out_dir / f"{stem}.{artifact.extension}")
    poster = None
    if artifact.kind == "video":
        poster = client.artifacts.thumbnail(artifact, out_dir / f"{stem}.poster.jpg")
    return File(
        name=saved.name,
        kind=artifact.kind,
        size_bytes=saved.stat().st_size,
        width=artifact.width,
        height=artifact.height,
        duration_s=artifact.duration_s,
        poster=poster.name if poster is not None else None,
    )


def _frame(board: Board, wanted: Wanted) -> Frame:
    job = board.jobs.get(wanted.number)
    notes = [_origin(wanted), board.refused.get(wanted.number, ""), "" if job is None else _trouble(job)]
    return Frame(
        number=wanted.number,
        model=job.model if job is not None else name(wanted),
        state=board.state(wanted),
        prompt=str(wanted.body.get("prompt") or ""),
        note="; ".join(filter(None, notes)),
        job_id=job.id if job is not None else "",
        seconds=job.seconds if job is not None else None,
        cost_usd=job.cost_usd if job is not None else None,
        files=board.files.get(wanted.number, []),
        said=_said(job.raw.get("result") or {}) if job is not None else "",
    )


SAID_MOST: Final = 400
"""Characters of a text that the contact sheet shows."""


def _said(result: Mapping[str, Any]) -> str:
    """The text of a result, or its data."""
    text = result.get("text")
    told = text if isinstance(text, str) and text else json.dumps(result, ensure_ascii=False) if result else ""
    return told if len(told) <= SAID_MOST else told[: SAID_MOST - 1] + "…"


def _origin(wanted: Wanted) -> str:
    """What it was made from, besides words."""
    if wanted.of is not None:
        return " ".join([str(wanted.body.get("action", "action")), *map(str, _index(wanted)), "of", wanted.of])
    sources = [*wanted.uploads, *sorted(wanted.needs)]
    return f"from {', '.join(sources)}" if sources else ""


def _trouble(job: Job) -> str:
    return job.why if job.state != "succeeded" else ""


def _index(wanted: Wanted) -> list[Any]:
    return [wanted.body["index"]] if "index" in wanted.body else []


def rows(frames: Sequence[Frame]) -> list[Sequence[Any]]:
    """The table at the end: a line for each file, and for each job without one."""
    return [
        (
            f"{frame.number:02d}",
            frame.job_id,
            frame.model,
            terminal.state(frame.state),
            terminal.seconds(frame.seconds),
            file.name if file is not None else "",
            file.size if file is not None else "",
            file.dimensions if file is not None else "",
        )
        for frame in frames
        for file in (list(frame.files) or [None])  # type: ignore[list-item]
    ]


COLUMNS: Final = ("#", "job", "model", "state", "seconds", "file", "size", "dimensions")
