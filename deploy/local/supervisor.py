"""Starts processes, waits until they are ready, starts again what dies, and stops all in reverse order.

One thread, one loop: it looks at everything every few hundredths of a second.  Signals are only counted,
and the loop sees the count: one means stop in order, another one while stopping means at once.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from deploy.local import leftovers, records
from deploy.local.process import Child, Spec, cause_of_death
from shared.errors import DarkroomError

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
STARTING_LOOK_S = 0.02
STEADY_LOOK_S = 0.1


class StartFailed(DarkroomError):
    """A process that did not get ready; the message holds the end of its log."""

    code = "start_failed"


class Stopped(DarkroomError):
    """We were asked to stop before all was ready."""

    code = "stopped"


class Supervisor:
    """As a context manager it takes the signals, and at its end stops what it started and gives them back."""

    def __init__(
        self,
        data_dir: Path,
        say: Callable[[str], None],
        on_change: Callable[[Mapping[str, int]], None] = lambda pids: None,
    ) -> None:
        self.data_dir = data_dir
        self.say = say
        self.on_change = on_change
        self._stages: list[list[Child]] = []
        self._signals = 0
        self._log_dir = data_dir / "logs"
        self._log_dir.mkdir(mode=0o700, exist_ok=True)

    def __enter__(self) -> Self:
        self._handlers = {each: signal.getsignal(each) for each in SIGNALS}
        for each, handler in self._handlers.items():
            # `nohup` wants a hang-up ignored; an interrupt is ignored by every shell that starts us in the background.
            if handler is not signal.SIG_IGN or each is not signal.SIGHUP:
                signal.signal(each, self._count)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        for each, handler in self._handlers.items():
            signal.signal(each, handler)

    def _count(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    @property
    def pids(self) -> dict[str, int]:
        """The living, by name, in the order of their start."""
        return {child.spec.name: child.pid for child in self._children() if child.restart_at is None}

    def start(self, specs: Sequence[Spec]) -> None:
        """Start these together and wait for all; they are one stage, and stop together.

        Raises:
            StartFailed: one died or was not ready in time; this stage is stopped again.
            Stopped: a signal came; the same.
        """
        stage: list[Child] = []
        self._stages.append(stage)
        try:
            for spec in specs:
                stage.append(self._launch(spec))  # noqa: PERF401 - if one fails, those before it must be known
            self._changed()
            self._await(stage)
        except BaseException:
            self._stop_stage()
            raise

    def run(self, spec: Spec) -> str:
        """Run this to its end, and answer what it wrote to its standard output (`Spec.answers`).

        Raises:
            StartFailed: it failed or took too long.
            Stopped: a signal came.
        """
        stage = [self._launch(spec)]
        self._stages.append(stage)
        try:
            while not stage[0].has_ended():
                self._check(stage[0], stage)
                time.sleep(STARTING_LOOK_S)
        finally:
            self._stop_stage()
        return self._outcome(stage[0])

    def watch(self, until: Callable[[], bool] = lambda: False, look_s: float = STEADY_LOOK_S) -> None:
        """Start again what dies, until a signal comes or `until` says so."""
        while not self._signals and not until():
            self._tend(self._children())
            time.sleep(look_s)

    def stop(self) -> None:
        """Stop all, the last stage first."""
        while self._stages:
            self._stop_stage()
        leftovers.path(self.data_dir).unlink(missing_ok=True)

    def _children(self) -> list[Child]:
        return [child for stage in self._stages for child in stage]

    def _launch(self, spec: Spec) -> Child:
        try:
            return Child(spec, self._log_dir / f"{spec.name}.log")
        except (OSError, subprocess.SubprocessError) as error:
            raise StartFailed(f"{spec.name} could not be started: {error}") from error

    def _changed(self) -> None:
        programs = {child.spec.name: child.spec.argv[0] for child in self._children()}
        records.write(
            leftovers.path(self.data_dir),
            {name: leftovers.describe(pid, programs[name]) for name, pid in self.pids.items()},
        )
        self.on_change(self.pids)

    def _await(self, stage: Sequence[Child]) -> None:
        waiting = list(stage)
        while waiting:
            for child in list(waiting):
                self._check(child, stage)
                if child.is_ready():
                    waiting.remove(child)
                    self.say(f"{child.spec.name:<10} {child.spec.address:<34} ready in {child.lived_s():.1f} s")
            time.sleep(STARTING_LOOK_S)

    def _check(self, child: Child, stage: Sequence[Child]) -> None:
        """While a stage starts: all is well so far, with it and with the stages before it."""
        if self._signals:
            raise Stopped("stopped before all was ready")
        if child.has_ended():
            raise StartFailed(_report(child, f"ended with {cause_of_death(child.process.returncode)}"))
        if child.lived_s() > child.spec.start_s:
            raise StartFailed(_report(child, f"was not ready within {child.spec.start_s:g} s"))
        self._tend([other for other in self._children() if other not in stage])

    def _outcome(self, child: Child) -> str:
        if child.process.returncode != 0:
            raise StartFailed(_report(child, f"failed with {cause_of_death(child.process.returncode)}"))
        return child.answer()

    def _tend(self, children: Sequence[Child]) -> None:
        for child in children:
            if child.restart_at is None:
                self._mourn(child)
            elif time.monotonic() >= child.restart_at:
                self._revive(child)

    def _mourn(self, child: Child) -> None:
        if child.has_ended():
            cause = cause_of_death(child.process.returncode)
            child.kill()  # what it left in its group would hold its port
            self.say(f"{child.spec.name} died ({cause}), started again in {child.fail():g} s")
            self._changed()

    def _revive(self, child: Child) -> None:
        try:
            child.launch()
        except (OSError, subprocess.SubprocessError, DarkroomError) as error:
            self.say(f"{child.spec.name} could not be started ({error}), tried again in {child.fail():g} s")
        self._changed()

    def _stop_stage(self) -> None:
        """Ask the last stage to stop, wait as long as each may take, kill who is left."""
        stage = self._stages[-1]
        asked_at = time.monotonic()
        for child in stage:
            child.ask_to_stop()
        while waiting := [child for child in stage if not child.has_ended()]:
            overdue = [child for child in waiting if time.monotonic() - asked_at > child.spec.grace_s]
            for child in waiting if self._signals > 1 else overdue:
                child.kill()
            self._tend([child for other in self._stages[:-1] for child in other])
            time.sleep(STARTING_LOOK_S)
        for child in stage:
            child.kill()
            child.spec.tidy()
        self._stages.pop()


def tolerant(say: Callable[[str], None]) -> Callable[[str], None]:
    """A terminal or a pipe that was closed must not stop what runs."""

    def say_if_possible(line: str) -> None:
        with suppress(OSError):
            say(line)

    return say_if_possible


def _report(child: Child, what: str) -> str:
    return f"{child.spec.name} {what}; the end of {child.log_path}:\n{child.last_lines()}"
