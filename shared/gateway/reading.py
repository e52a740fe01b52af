"""What many adapters need to read replies, and how workers call them.  Pure.

`outcome_for` and `look_of` are the two doors: a reply goes in, one that the adapter could not read included, and
an outcome comes out; nothing is raised for what the gateway said.

Contract: gateway/midjourney-and-video.md 6.3 to 6.6, 10.1; gateway/images-text-audio-system.md 3.4.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from shared.errors import UnreadableReply
from shared.gateway import classify
from shared.gateway.adapter import Adapter, Sight, Unfound
from shared.gateway.call import Call
from shared.gateway.outcome import ErrorClass, Look, Outcome, Pending, Refused, Source, Unseen
from shared.gateway.request import Ambiguous, NotSent, Reply, Response

DONE: Final = frozenset(
    {"completed", "complete", "success", "succeeded", "succeed", "finished", "done", "video_generation_completed"}
)
"""Status words of finished work, folded (video 6.3, 10.1)."""

FAILED: Final = frozenset(
    {
        *("failed", "failure", "fail", "error", "rejected", "expired", "timeout", "video_generation_failed"),
        *("cancelled", "canceled", "cancel"),
    }
)
"""Status words of work that will give nothing, folded.  A word in neither table means that it is still running."""

BARE: Final = frozenset({"choices", "candidates", "error"})
"""What tells an event that stands alone in its line from a line of anything else."""

MILLISECONDS: Final = 10**11
"""A time that is more cannot be seconds since 1970."""

UNLISTED: Final = Unseen("not among the tasks that were listed", 200, is_missing=True)

PARSE_TROUBLE: Final = (UnreadableReply, LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""What an adapter raises for a reply of a shape that nobody expected."""


def outcome_for(call: Call, adapter: Adapter, reply: Reply) -> Outcome:
    """What the reply to a paid call means, or how it is to be asked once more in another way."""
    outcome = outcome_of(reply, lambda response: adapter.read(response, call), adapter.free_at)
    if isinstance(outcome, Refused) and adapter.instead is not None:
        return adapter.instead(outcome.error, call) or outcome
    return outcome


def outcome_of(reply: Reply, read: Callable[[Response], Outcome], free_at: Container[int] = ()) -> Outcome:
    """What the reply to a paid call means.  `read` sees only answers without an error.

    Args:
        free_at: the adapter's.
    """
    if isinstance(reply, NotSent):
        return classify.refused(ErrorClass.UNAVAILABLE, "not_sent", reply.reason)
    if isinstance(reply, Ambiguous):
        return classify.refused(ErrorClass.UNKNOWN_OUTCOME, "no_answer", reply.reason)
    refusal = classify.refusal(reply, free_at)
    if refusal is not None:
        return refusal
    try:
        outcome = read(reply)
    except PARSE_TROUBLE as trouble:
        outcome = classify.refused(ErrorClass.UNKNOWN_OUTCOME, UnreadableReply.code, _unreadable(reply, trouble))
    return _with_origin(outcome, reply) if isinstance(outcome, Refused) else outcome


def look_of(reply: Reply, read: Callable[[Response], Look]) -> Look:
    """What the reply to a look at one upstream task means.  Trouble with the look is `Unseen`, never a failure."""
    if isinstance(reply, NotSent | Ambiguous):
        return Unseen(classify.clean(reply.reason))
    unseen = classify.unseen(reply)
    if unseen is not None:
        return unseen
    look = seen_or_not(reply, partial(read, reply))
    return _with_origin(look, reply) if isinstance(look, Refused) else look


def seen_or_not(response: Response, read: Callable[[], Look]) -> Look:
    """What `read` says of a task in this answer; `Unseen` for one that it stumbles over."""
    try:
        return read()
    except PARSE_TROUBLE as trouble:
        return Unseen(_unreadable(response, trouble), response.status)


def sight_of(reply: Reply, read: Callable[[Response], Sight]) -> Sight:
    """What the reply to a search means.  Trouble with the search is `Unfound`, too: nothing was seen."""
    if isinstance(reply, NotSent | Ambiguous):
        return Unfound(classify.clean(reply.reason))
    refused = classify.refusal(reply)
    if refused is not None:
        return Unfound(f"the gateway answered the search with: {refused.error.message}")
    try:
        return read(reply)
    except PARSE_TROUBLE as trouble:
        return Unfound(_unreadable(reply, trouble))


def looks_of(
    reply: Reply, task_ids: Iterable[str], read_many: Callable[[Response], Mapping[str, Look]]
) -> dict[str, Look]:
    """The same for a look at many: one for each of `task_ids`, `Unseen` for those that the answer leaves out."""
    looks: dict[str, Look] = {}

    def keep(response: Response) -> Look:
        looks.update(read_many(response))
        return Pending()

    told = look_of(reply, keep)
    # Trouble with the list is one of its route or of our key, and tells of no task that it is missing.
    missing = replace(told, is_missing=False) if isinstance(told, Unseen) else UNLISTED
    return {task_id: _look_with_origin(looks.get(task_id, missing), reply) for task_id in task_ids}


def json_of(response: Response) -> Any:
    """The body as JSON, whatever its type says.

    Raises:
        UnreadableReply: it is not JSON: a page, nothing, or cut off.
    """
    try:
        return response.json()
    except (ValueError, RecursionError):
        raise UnreadableReply("the body is not JSON") from None


def object_of(response: Response) -> Mapping[str, Any]:
    """The body as a JSON object.

    Raises:
        UnreadableReply: it is something else.
    """
    body = json_of(response)
    if not isinstance(body, Mapping):
        raise UnreadableReply(f"the body is a JSON {type(body).__name__}, not an object")
    return body


def unreadable(what: str, body: Mapping[str, Any]) -> UnreadableReply:
    """An answer that lacks what it must have, with what it says instead."""
    words = classify.said(body).message
    return UnreadableReply(f"{what}: {words}" if words else what)


def events(body: bytes) -> Iterator[Mapping[str, Any] | None]:
    """The objects of a stream in their order; None for one that cannot be read, such as the one it was cut off in.

    An error may stand bare between comments (images 2.1 E10), and some streams are lines of JSON alone: of lines
    without `data:` those with a key of `BARE` are taken.
    """
    data: list[bytes] = []
    for line in _lines(body):
        if line.startswith(b"data:"):
            data.append(line[5:].strip())
            continue
        yield from _objects(data)
        yield from (one for one in _objects([line]) if one is not None and BARE & one.keys())
        data = []
    yield from _objects(data)


def unwrap(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is inside `{"code": …, "data": {…}}`: down while `data` is an object and stands beside no id or status."""
    inner = body.get("data")
    while isinstance(inner, Mapping) and "id" not in body and "status" not in body:
        body, inner = inner, inner.get("data")
    return body


def dig(value: Any, path: str) -> Any:
    """What stands at a dotted path, `videos.0.url`, or None."""
    for step in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal():
            value = next(iter(value[int(step) :]), None)
        else:
            return None
    return value


def first_text(value: Any, *paths: str) -> str:
    """The first text that is not blank at one of these paths, or an empty one."""
    found = (dig(value, path) for path in paths)
    return next((text.strip() for text in found if isinstance(text, str) and text.strip()), "")


def first_id(value: Any, *paths: str) -> str:
    """The first id at one of these paths, or an empty one.

    Numbers come last: where both stand, the number is a database row's (video 6.8).
    """
    numbers = (dig(value, path) for path in paths)
    number = next((one for one in numbers if isinstance(one, int) and not isinstance(one, bool)), "")
    return first_text(value, *paths) or str(number)


def fold(word: object) -> str:
    """A status word in the one spelling of `DONE` and `FAILED`: `IN-PROGRESS` is `in_progress`."""
    return re.sub(r"[\s-]+", "_", word.strip().lower()) if isinstance(word, str) else ""


def took_s(task: Mapping[str, Any], begins: Sequence[str], ends: Sequence[str]) -> float | None:
    """Seconds between two times that a task names, each in seconds or milliseconds; None where they make no sense."""
    began, ended = (_first_time_s(task, names) for names in (begins, ends))
    return ended - began if began is not None and ended is not None and ended > began else None


def _first_time_s(task: Mapping[str, Any], names: Sequence[str]) -> float | None:
    found = (task.get(name) for name in names)
    told = [time for time in found if isinstance(time, int | float) and not isinstance(time, bool)]
    return next((time / 1000 if time > MILLISECONDS else float(time) for time in told if time > 0), None)


def percent(progress: object) -> int | None:
    """Whole percent from 37, "37%", "37", 0.37 or "0.37"; None if there is no number in it."""
    if isinstance(progress, bool):
        return None
    if isinstance(progress, int | float):
        is_fraction = isinstance(progress, float) and progress <= 1
        return _whole(progress, is_fraction)
    found = re.search(r"(\d+(?:\.\d+)?)\s*(%?)", progress) if isinstance(progress, str) else None
    if found is None:
        return None
    number, sign = found.groups()
    return _whole(float(number), "." in number and float(number) <= 1 and not sign)


def source(value: object) -> Source | None:
    """Where a result is, from what the gateway wrote in the place of a URL; None if it is nothing of the kind.

    An address without a host is at the gateway itself.  Data URLs are decoded, all others kept byte for byte.
    """
    if not isinstance(value, str):
        return None
    text = value.strip()
    if re.match(r"https?://[^\s/]", text, re.IGNORECASE):
        return Source(url=text)
    if text.startswith("//"):
        return Source(url=f"https:{text}")
    if re.match(r"/[^\s/]\S*\Z", text) and not text.startswith("/9j/"):  # which is how a JPEG begins in base64
        return Source(path=text)
    content = decoded(text) if text[:5].lower() == "data:" else None
    return Source(content=content) if content else None


def decoded(text: str) -> bytes | None:
    """The bytes of base64, be it a data URL, in lines, URL-safe or without padding; None if it is none."""
    head, comma, tail = text.partition(",")
    payload = tail if comma and head.lstrip()[:5].lower() == "data:" else text
    try:
        return binascii.a2b_base64(payload, strict_mode=True) or None  # the usual form, without copies of it
    except ValueError:
        payload = re.sub(r"\s+", "", payload).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(payload + "=" * (-len(payload) % 4), validate=True) or None
    except ValueError:
        return None


def looks_like_id(text: str) -> bool:
    """Whether this may be an id, and not a sentence that stands in its place; ids are opaque otherwise (video 6.5)."""
    return text.isascii() and text.isprintable() and " " not in text and text != ""


def segment(task_id: str) -> str:
    """An upstream id as one segment of a path; some hold colons (video 6.5)."""
    return quote(task_id, safe="")


def _lines(body: bytes) -> Iterator[bytes]:
    """One line after another, without a list of them all: a line may be tens of megabytes."""
    start = 0
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        yield body[start:end].strip()
        start = end + 1


def _objects(lines: list[bytes]) -> Iterator[Mapping[str, Any] | None]:
    """The objects in the lines of one event: one over all of them, or one in each."""
    if len(lines) > 1 and isinstance(whole := _parsed(b"\n".join(lines)), Mapping):
        yield whole
        return
    for line in lines:
        if line.startswith(b"{"):
            found = _parsed(line)
            yield found if isinstance(found, Mapping) else None


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _whole(number: float, is_fraction: bool) -> int | None:
    if not math.isfinite(number) or number < 0:
        return None
    return min(100, int(number * 100 + 0.5) if is_fraction else int(number))


def _unreadable(response: Response, trouble: Exception) -> str:
    kind = response.headers.get("content-type", "no content type")
    reason = str(trouble) if isinstance(trouble, UnreadableReply) else type(trouble).__name__
    return classify.clean(f"{reason} (HTTP {response.status}, {kind}, {len(response.body)} bytes)")


def _with_origin(refused: Refused, response: Response) -> Refused:
    error = refused.error
    return Refused(
        replace(
            error,
            upstream_status=error.upstream_status or response.status,
            upstream_request_id=error.upstream_request_id or response.request_id,
        )
    )


def _look_with_origin(look: Look, reply: Reply) -> Look:
    return _with_origin(look, reply) if isinstance(look, Refused) and isinstance(reply, Response) else look
