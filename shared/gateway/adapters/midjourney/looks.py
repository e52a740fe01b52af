"""Looking at tasks, one or up to a hundred in one call.  Pure.

What a task gives is known by its operation, not by the task: its `action` is for display only (2.6).  So each kind
of result has a look of its own.

Contract: gateway/midjourney-and-video.md 4.1, 4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from shared.errors import UnreadableReply
from shared.gateway import reading
from shared.gateway.adapter import Looking
from shared.gateway.adapters.midjourney import tasks
from shared.gateway.adapters.midjourney.tasks import Found, Task
from shared.gateway.outcome import Look, Pending, Produced, Unseen
from shared.gateway.request import Request, Response

LOOK_TIMEOUT_S: Final = 30.0

LOOK_MANY_MOST: Final = 100
"""Most ids in one `list-by-condition` call (4.2)."""

LIST_WRAPPERS: Final = ("result", "data", "list", "data.list")


def build_look(task_id: str) -> Request:
    path = f"/mj/task/{reading.segment(task_id)}/fetch"
    return Request("GET", path, timeout_s=LOOK_TIMEOUT_S, name="midjourney.look")


def build_look_many(task_ids: Sequence[str]) -> Request:
    """Ask about up to `LOOK_MANY_MOST` tasks; ids are texts, as numbers they answer 400 (4.2)."""
    body = {"ids": list(task_ids)}
    return Request(
        "POST", "/mj/task/list-by-condition", json=body, timeout_s=LOOK_TIMEOUT_S, name="midjourney.look_many"
    )


def looking(find: Callable[[Task], Found | None]) -> Looking:
    """How tasks are looked at whose result `find` finds."""

    def read(response: Response, _asked_id: str = "") -> Look:
        """What the gateway says about one task; null and an empty body are unreadable (4.1).

        Raises:
            UnreadableReply: not a task.
        """
        body = reading.unwrap(reading.object_of(response))
        inner = body.get("result")
        return tasks.read_task(inner if isinstance(inner, Mapping) else body, find)

    def read_many(response: Response) -> dict[str, Look]:
        """By task id, whatever the order; tasks that the gateway does not know are missing.

        One id may come twice, after a window was filled in: what is further counts (4.2).  A task that cannot be
        read hides no other: it alone was not seen.

        Raises:
            UnreadableReply: no list of tasks.
        """
        looks: dict[str, Look] = {}
        for task in listed(reading.json_of(response)):
            task_id = tasks.id_of(task)
            if task_id:
                look = reading.seen_or_not(response, partial(tasks.read_task, task, find))
                looks[task_id] = max(look, looks.get(task_id, look), key=_rank)
        return looks

    return Looking(build_look, read, build_look_many, read_many, LOOK_MANY_MOST)


def listed(body: Any) -> Iterator[Task]:
    """The tasks of a list, bare or wrapped (4.2).

    Raises:
        UnreadableReply: there is no list.
    """
    found = (
        body
        if isinstance(body, list)
        else next(filter(_is_list, (reading.dig(body, path) for path in LIST_WRAPPERS)), None)
    )
    if found is None:
        raise UnreadableReply("no list of tasks in the answer")
    return (task for task in found if isinstance(task, Mapping))


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _rank(look: Look) -> tuple[int, int]:
    """How far a task is."""
    if isinstance(look, Unseen):
        return -1, 0
    if isinstance(look, Pending):
        return 0, look.progress or 0
    return (2 if isinstance(look, Produced) else 1), 0


PICTURES: Final = looking(tasks.pictures)
FILMS: Final = looking(tasks.films)
DESCRIPTIONS: Final = looking(tasks.descriptions)
SHORT_PROMPTS: Final = looking(tasks.short_prompts)
