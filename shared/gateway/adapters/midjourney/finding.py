"""Finding the task of a submit whose answer was lost: by the `state` that went along with it.  Pure.

The gateway has no list of all tasks (3): `list-by-condition` answers for ids alone, and those of our key's paid calls
stand in its usage log.  `state` goes along with the ids, for gateways that pick by it.  A task has its `state` from
the first look of the gateway's own on, some 15 s after the submit (2.9): until then nothing is to be seen.

Contract: gateway/midjourney-and-video.md 2.4, 2.9, 4.2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from shared.gateway import reading
from shared.gateway.adapter import Finding, Found, Sight, Unfound, Wanted
from shared.gateway.adapters.midjourney import looks, tasks
from shared.gateway.adapters.midjourney.tasks import Task
from shared.gateway.request import Request, Response

SENT_WITH_ITS_PROMPT: Final = frozenset({"midjourney.imagine", "midjourney.video"})
"""Where a task has the prompt of its job; that of a button has its parent's, that of words may have what came of it."""

WINDOW: Final = "modal"
"""The status of a task that waits for its window to be filled in: nothing was drawn yet."""

REFERENCES: Final = re.compile(r"https?://\S+")
FLAGS: Final = re.compile(r"(?:--|[\u2013\u2014]+)\w+(?:\s+(?!-)\S+)?")
"""What deployments add to a prompt, take away or spell in another way."""


def build(task_ids: Sequence[str], wanted: Wanted) -> Request:
    """Ask about these tasks, and for whatever has our mark."""
    request = looks.build_look_many(task_ids)
    return replace(request, json={**request.json, "state": wanted.mark}, name="midjourney.find")


def read(response: Response, wanted: Wanted) -> Sight:
    """Which of the tasks is the wanted one, if any.  That none is proves nothing.

    Raises:
        UnreadableReply: no list of tasks.
    """
    listed = looks.listed(reading.json_of(response))
    ours = [task for task in listed if reading.first_text(task, "state") == wanted.mark and tasks.id_of(task)]
    if not ours:
        return Unfound("no task that the gateway lists has its mark")
    drawn = [task for task in ours if reading.fold(task.get("status")) != WINDOW]
    if not drawn:
        return Unfound("its window is open at the gateway, and nothing is drawn yet")
    fitting = [task for task in drawn if _is_of_its_time(task, wanted) and _is_of_its_prompt(task, wanted)]
    if not fitting:
        return Unfound(f"task {tasks.id_of(drawn[0])} has its mark, and another prompt or an earlier time")
    found = {tasks.id_of(task) for task in fitting}
    if len(found) > 1:
        return Unfound(f"{len(found)} tasks have its mark: {', '.join(sorted(found))}")
    return Found(found.pop())


def _is_of_its_time(task: Task, wanted: Wanted) -> bool:
    """Whether it was submitted when the call was made; a task that does not say, may have been."""
    at = task.get("submitTime", task.get("submit_time"))
    if isinstance(at, bool) or not isinstance(at, int | float) or at <= 0:
        return True
    try:
        return datetime.fromtimestamp(at / 1000, UTC) >= wanted.not_before
    except (ValueError, OverflowError, OSError):
        return True


def _is_of_its_prompt(task: Task, wanted: Wanted) -> bool:
    theirs, ours = _bare(reading.first_text(task, "prompt")), _bare(wanted.prompt)
    if wanted.operation not in SENT_WITH_ITS_PROMPT or not theirs or not ours:
        return True
    return ours in theirs or theirs in ours


def _bare(prompt: str) -> str:
    """The words alone, without addresses of pictures and flags."""
    return " ".join(FLAGS.sub(" ", REFERENCES.sub(" ", prompt)).casefold().split())


FINDING: Final = Finding(build, read, looks.LOOK_MANY_MOST)
