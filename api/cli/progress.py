"""Jobs on their way, live: a bar for each on a terminal, a line for each change everywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from api.cli import terminal

ENDED: Final = frozenset({"succeeded", "failed", "canceled", "held", "skipped", "refused"})


@dataclass(frozen=True)
class Bar:
    """How one job stands."""

    label: str
    state: str
    percent: int


class Display(Protocol):
    """Where progress is shown, in a `with` block."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, bars: Sequence[Bar]) -> None:
        """How all of them stand now; each keeps its place by its label."""

    def note(self, line: str) -> None:
        """Something that happened besides."""


def on(console: Console) -> Display:
    return Bars(console) if console.is_terminal else Lines(console)


class Lines:
    """One plain line for each change of a state."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._states: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, bars: Sequence[Bar]) -> None:
        for bar in bars:
            if self._states.get(bar.label) != bar.state:
                self._states[bar.label] = bar.state
                self.note(f"{bar.label}  {bar.state}")

    def note(self, line: str) -> None:
        self._console.print(Text(terminal.visible(line)), soft_wrap=True)


class Bars:
    """A bar for each job; notes scroll above them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28, complete_style="red3", finished_style="green", pulse_style="red3"),
            TextColumn("{task.percentage:>3.0f} %"),
            _State(),
            TimeElapsedColumn(),
            console=console,
            refresh_per_second=8,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, bars: Sequence[Bar]) -> None:
        for bar in bars:
            task = self._tasks.get(bar.label)
            if task is None:
                task = self._progress.add_task(terminal.visible(bar.label), total=100, state=bar.state)
                self._tasks[bar.label] = task
            percent = 100 if bar.state == "succeeded" else min(bar.percent, 99)
            self._progress.update(task, completed=percent, state=bar.state)
            if bar.state in ENDED:
                self._progress.stop_task(task)

    def note(self, line: str) -> None:
        self._console.print(Text(terminal.visible(line)), soft_wrap=True)


class _State(ProgressColumn):
    def render(self, task: Task) -> Text:
        return terminal.state(f"{task.fields['state']:<10}")
