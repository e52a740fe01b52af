"""Upstream tasks: a record each, and a clock.  How far one is follows from when it began; nothing ticks."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

from deploy.sandbox.behaviour import Behaviour
from deploy.sandbox.journal import Journal

STUCK_AT: Final = 0.42
HALF_TIME: Final = 0.5
FAILING: Final = frozenset({"fail", "fail_bare", "fail_reason", "moderation", "cancelled"})


@dataclass(frozen=True)
class Task:
    """One accepted film or Midjourney task, as it was submitted."""

    id: str
    kind: Literal["video", "midjourney"]
    action: str
    model: str
    prompt: str
    key: str
    created_at: float
    duration_s: float
    paid_seq: int | None
    said: dict[str, Any]
    """What its behaviour says beside the defaults."""
    params: dict[str, Any] = field(default_factory=dict)
    """What its route wants to know again: seconds, size, state, parent, tile."""
    is_modal: bool = False
    """Waits for a window to be filled in; never ends by itself."""

    @cached_property
    def behaviour(self) -> Behaviour:
        return Behaviour.model_validate(self.said)

    @property
    def ends_at(self) -> float:
        return self.created_at + self.duration_s


@dataclass(frozen=True)
class Phase:
    """How a task stands when someone looks."""

    fraction: float
    state: Literal["queued", "running", "completed", "failed"]


def phase(task: Task, now: float) -> Phase:
    """Where the clock has brought a task: a tenth of its time it is queued."""
    fraction = 1.0 if now >= task.ends_at else (now - task.created_at) / task.duration_s
    if task.behaviour.stuck or task.is_modal:
        fraction = min(fraction, STUCK_AT)
    if fraction >= 1:
        return Phase(1.0, "failed" if task.behaviour.task in FAILING else "completed")
    return Phase(max(fraction, 0.0), "queued" if fraction < 0.1 else "running")


class Tasks:
    """All tasks ever accepted, by id. Counts of queries live in memory: after a restart they begin anew."""

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self._tasks = {record["id"]: Task(**record) for record in self._journal.records()}
        self._ends = [(task.ends_at, task.id) for task in self._tasks.values()]
        heapq.heapify(self._ends)
        self._last_number = 0
        self._looks: Counter[tuple[str, str]] = Counter()

    def add(self, task: Task) -> None:
        """Accept a task; on disk when this returns."""
        self._journal.append(asdict(task))
        self._tasks[task.id] = task
        heapq.heappush(self._ends, (task.ends_at, task.id))

    def find(self, task_id: str, kind: str) -> Task | None:
        task = self._tasks.get(task_id)
        return task if task is not None and task.kind == kind else None

    def next_number(self, now: float) -> int:
        """A Midjourney id: epoch milliseconds and three more digits (2.2); never the same twice."""
        self._last_number = max(self._last_number + 1, int(now * 1_000_000))
        return self._last_number

    def looks(self, task: Task, what: str) -> int:
        """How often this was asked about the task before now; counts this time."""
        self._looks[task.id, what] += 1
        return self._looks[task.id, what] - 1

    def newly_failed(self, now: float) -> Iterator[Task]:
        """Tasks that ended since the last call, those of them that failed."""
        while self._ends and self._ends[0][0] <= now:
            task = self._tasks[heapq.heappop(self._ends)[1]]
            if phase(task, now).state == "failed":
                yield task


def seen(tasks: Tasks, task: Task, now: float) -> Phase:
    """The phase that one query is told: a lying task says once, past half-time, that it failed."""
    true = phase(task, now)
    if task.behaviour.lying and true.fraction >= HALF_TIME and tasks.looks(task, "lie") == 0:
        return Phase(true.fraction, "failed")
    return true
