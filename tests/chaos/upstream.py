"""A gateway in memory that keeps the books: who paid for what, and what became of it.

It speaks as the contract says, answers when it is told to, and tells at each paid call whether that was allowed.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
import zlib
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from sqlalchemy import text

from shared.credentials import Credential
from shared.db import Transaction
from shared.gateway.request import Ambiguous, NotSent, Reply, Request, Response
from shared.lifecycle import Cause
from shared.outbound import Fetched
from shared.policy import OnUnknown

URL: Final = "https://gateway.example"
PEOPLE: Final = (Cause.REQUEUED, Cause.RESOLVED_RETRY)
"""By these a person takes another payment upon himself."""

_CLAIMS: Final = text("""
    SELECT attempt FROM events WHERE job_id = :job_id AND cause = 'claimed' AND process_id = :by ORDER BY seq
""")
_ASKED: Final = text("""
    SELECT on_unknown, model, lane, state = 'submitting' AND claimed_by = :by AS is_held,
        (SELECT count(*) FROM events WHERE job_id = jobs.id AND cause = ANY(:people)) AS by_people
    FROM jobs WHERE id = :job_id
""")


class Answer(StrEnum):
    """What comes of a paid call."""

    SUCCESS = "success"  #: the picture, or the name of the task
    LOST = "lost"  #: it succeeded, and nobody is told
    REFUSED = "refused"  #: nothing is charged
    THROTTLED = "throttled"  #: nothing is charged
    NOT_SENT = "not_sent"  #: nothing has arrived


UNCHARGED: Final = frozenset({Answer.REFUSED, Answer.THROTTLED, Answer.NOT_SENT})


class Task(StrEnum):
    """What an upstream task says of itself."""

    RUNNING = "IN_PROGRESS"
    DONE = "SUCCESS"
    FAILED = "FAILURE"


@dataclass
class Charge:
    """One paid call."""

    number: int
    job_id: str
    attempt: int
    process_id: str
    credential: str
    has_task: bool
    by_people: int
    """How often a person had wanted another attempt until then."""
    at: int = field(default_factory=lambda: int(time.time()))
    prompt: str = ""
    is_free: bool = False
    """Nothing was charged, or it was given back."""
    is_accepted: bool = False
    """The gateway did what was asked, whether or not anybody was told."""
    is_taken: bool = False
    """The job, or a late result, has what came of it."""
    task: Task = Task.RUNNING

    @property
    def task_id(self) -> str:
        return f"{self.job_id[-12:]}-{self.number}"  # the gateway never names two alike, in other examples neither

    @property
    def content(self) -> bytes:
        """A picture of its own."""
        return _png(self.number)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def _png(number: int) -> bytes:
    """One pixel, and a text that no other has."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = (1).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    told = chunk(b"tEXt", b"number\x00" + str(number).encode())
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + told
        + chunk(b"IDAT", zlib.compress(b"\x00\x80"))
        + chunk(b"IEND", b"")
    )


class Upstream:
    """What the gateway knows, and what was done to it that must not be."""

    def __init__(self, look: Transaction, credentials: Sequence[Credential]) -> None:
        self._look = look
        """Transactions of nobody's: they see what is committed."""
        self._credentials = {one.name: one for one in credentials}
        self._lock = threading.Lock()
        self.charges: list[Charge] = []
        self.faults: list[str] = []
        self.job_ids: dict[str, str] = {}
        """By prompt."""

    def of(self, job_id: str) -> list[Charge]:
        return [charge for charge in self.charges if charge.job_id == job_id]

    def tasks(self) -> list[Charge]:
        """Those that have a task."""
        return [charge for charge in self.charges if charge.has_task and charge.is_accepted]

    def charge(self, request: Request, process_id: str, credential: str, *, has_slept: bool) -> Charge:
        """Write down a paid call, and whether it was allowed.

        Args:
            has_slept: for so long that others may think its process dead.
        """
        job_id = self.job_ids[request.json["prompt"]]
        with self._look() as session:
            claims = list(session.execute(_CLAIMS, {"job_id": job_id, "by": process_id}).scalars())
            asked = session.execute(_ASKED, {"job_id": job_id, "by": process_id, "people": list(PEOPLE)}).one()
        attempt = int(request.json["state"].rpartition(".")[2]) if "state" in request.json else (claims or [0])[-1]
        with self._lock:
            sent = [one.attempt for one in self.of(job_id) if one.process_id == process_id]
            if claims.count(attempt) <= sent.count(attempt):
                self._fault(f"{job_id} was sent as attempt {attempt} before {process_id} had committed its claim")
            if has_slept and not asked.is_held:
                self._fault(f"{job_id} was sent by {process_id}, from which it was taken meanwhile")
            if not self._credentials[credential].serves(asked.model):
                self._fault(f"{job_id} was sent with {credential}, which does not serve {asked.model}")
            if asked.lane.partition(".")[0] != credential:
                self._fault(f"{job_id} of lane {asked.lane} was sent with {credential}")
            for before in self.of(job_id):
                self._judge(before, attempt, OnUnknown(asked.on_unknown), asked.by_people)
            charge = Charge(
                number=len(self.charges) + 1,
                job_id=job_id,
                attempt=attempt,
                process_id=process_id,
                credential=credential,
                has_task=request.path.startswith("/mj"),
                by_people=asked.by_people,
                prompt=request.json["prompt"],
            )
            self.charges.append(charge)
        return charge

    def _judge(self, before: Charge, attempt: int, on_unknown: OnUnknown, by_people: int) -> None:
        """Whether a call may follow this one."""
        if before.is_free:
            return
        if before.attempt == attempt:
            self._fault(f"{before.job_id} was paid for twice as attempt {attempt}")
        if by_people > before.by_people:
            return
        if before.is_taken:
            self._fault(f"{before.job_id} was paid for again although it had the result of attempt {before.attempt}")
        elif on_unknown is not OnUnknown.RETRY:
            self._fault(f"{before.job_id} was paid for again although on_unknown is {on_unknown}")

    def _fault(self, told: str) -> None:
        self.faults.append(told)

    def answer(self, charge: Charge, answer: Answer) -> Reply:
        """What is told of a paid call, written down."""
        charge.is_free = answer in UNCHARGED
        charge.is_accepted = not charge.is_free
        if answer is Answer.NOT_SENT:
            return NotSent("no connection")
        if answer is Answer.LOST:
            return Ambiguous("the connection broke")
        if charge.has_task:
            return _told({**_SUBMITS[answer], "result": charge.task_id if answer is Answer.SUCCESS else None})
        if answer is Answer.THROTTLED:
            return _told({"error": {"message": "slow down", "type": "rate_limit_error"}}, 429)
        if answer is Answer.REFUSED:
            return _told({"error": {"message": "your prompt was blocked", "code": "content_policy_violation"}}, 400)
        return _told({"created": charge.at, "data": [{"b64_json": b64encode(charge.content).decode()}]})

    def seen(self, request: Request, credential: str) -> Reply:
        """The answer to a question that costs nothing."""
        if request.path.startswith("/api/log"):
            return _told(
                {"success": True, "data": [_entry(one) for one in self.tasks() if one.credential == credential]}
            )
        wanted = set(request.json["ids"])
        found = [one for one in self.tasks() if one.task_id in wanted]
        for one in found:
            if one.credential != credential:
                self._fault(f"task {one.task_id} of {one.credential} was looked for with {credential}")
            if one.task is Task.FAILED:
                one.is_free = True  # given back
        return _told([_shown(one) for one in found])

    def of_link(self, url: str) -> Charge:
        return next(one for one in self.charges if url.endswith(one.task_id))


_SUBMITS: Final[Mapping[Answer, Mapping[str, Any]]] = {
    Answer.SUCCESS: {"code": 1, "description": "submitted", "properties": {}},
    Answer.THROTTLED: {"code": 23, "description": "the queue is full", "properties": {}},
    Answer.REFUSED: {"code": 24, "description": "banned prompt", "properties": {}},
}


def _told(body: Any, status: int = 200) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(body).encode())


def _entry(charge: Charge) -> dict[str, Any]:
    content = f"IMAGINE, ID {charge.task_id}"
    return {"type": 2, "created_at": charge.at, "model_name": "mj_imagine", "quota": 1, "content": content}


def _shown(charge: Charge) -> dict[str, Any]:
    is_done = charge.task is Task.DONE
    return {
        "id": charge.task_id,
        "action": "IMAGINE",
        "prompt": charge.prompt,
        "state": f"{charge.job_id}.{charge.attempt}",
        "submitTime": charge.at * 1000,
        "imageUrl": f"{URL}/mj/image/{charge.task_id}" if is_done else "",
        "status": charge.task.value,
        "progress": "100%" if is_done else "46%",
        "failReason": "it broke" if charge.task is Task.FAILED else "",
        "buttons": [],
        "properties": {},
    }


class Client:
    """The gateway as a process speaks to it, with one key."""

    def __init__(
        self,
        upstream: Upstream,
        process_id: str,
        credential: str,
        begun: Callable[[Callable[[bool], Charge], Future[Reply]], None],
        asked: Callable[[Callable[[], Reply], Future[Reply]], None],
    ) -> None:
        """
        Args:
            begun: told of each paid call, and answers it some time.
            asked: told of each question, and has it answered some time.
        """
        self._upstream, self._process_id, self._credential = upstream, process_id, credential
        self._begun, self._asked = begun, asked

    def start(self, request: Request) -> Future[Reply]:
        answer: Future[Reply] = Future()

        def charge(has_slept: bool) -> Charge:
            return self._upstream.charge(request, self._process_id, self._credential, has_slept=has_slept)

        self._begun(charge, answer)
        return answer

    def look(self, request: Request) -> Future[Reply]:
        answer: Future[Reply] = Future()
        self._asked(lambda: self._upstream.seen(request, self._credential), answer)
        return answer

    def is_own(self, url: str) -> bool:
        return url.startswith(URL)

    def own_path(self, url: str) -> str:
        return url.removeprefix(URL)

    def download(self, path: str, to: Path, limit_bytes: int, timeout_s: float) -> Fetched:
        content = self._upstream.of_link(path).content
        to.write_bytes(content)
        return Fetched(len(content), "image/png", None)
