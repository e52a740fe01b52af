"""The ticks of a worker process: threads that look for rows which no hint named.  There is no beat.

Each tick has a thread of its own, so that a slow look at the gateway never keeps the dispatcher waiting, and the
heartbeat is alone: it must go on while everything else drains.  Whoever claims the rows does the work, so the
same ticks in every process are harmless, and while the broker is away what is known still goes on.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from shared import claims
from workers import account, dispatch, late, outage, reconcile, store, submit, sweep, trouble
from workers.experience import LEARN_S
from workers.poll import Looks
from workers.ports import Ports

log = structlog.get_logger(__name__)

DISPATCH_GAP_S: Final = 0.05
"""Slots become free two or three times for each job; under load one look serves many of them.  A job that has just
come is another matter: for it the dispatcher rests no longer than its last look took."""
POLL_S: Final = 0.25
"""What is due is looked for so often at least: a finished film should not wait for the tick on top of its interval."""
FIRST_BEAT_S: Final = 60.0
SWEEP_S: Final = 5.0
OUTAGE_S: Final = 5.0
"""How often each process looks whether results can be kept."""
ACCOUNT_S: Final = 10.0
"""How often each process looks whether a look at the gateway's account is due."""
LATE_S: Final = 5.0
"""How often each process looks for late results that are due."""
RECONCILE_S: Final = 1.0
"""How often each process looks whether the task of a lost answer is to be searched for."""
TOLD_EVERY_S: Final = 30.0
"""How often a tick says that an outage goes on."""
ECHO_SHARE: Final = 3
"""So many times within `exit_on_lost_tick_s` a process asks whether it still hears."""
STORE_TICKS: Final = 4
"""Each stores one result at a time: a large one keeps three others from waiting for it."""


class Tick:
    """One thing that is done again and again: every `every_s` seconds, and at once when it is woken.

    Work that says "there is more" by returning True is done again at once.
    """

    def __init__(self, name: str, every_s: float, work: Callable[[], bool], gap_s: float = 0.0) -> None:
        """
        Args:
            gap_s: however often it is woken, it rests so long after each time, unless it is hurried.
        """
        self.name = name
        self._gap_s = gap_s
        self.last_alive = time.monotonic()
        self.steady_since: float | None = None
        """Since when it has not failed once; None: it failed the last time."""
        self._told_at: float | None = None
        """When the log was last told of the outage that goes on; None: there is none."""
        self._every_s = every_s
        self._work = work
        self._woken = threading.Event()
        self._hurried = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"tick-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._woken.set()

    def hurry(self) -> None:
        """Wake it, and cut its rest short."""
        self._woken.set()
        self._hurried.set()

    def stop(self) -> None:
        self._stopped.set()
        self.hurry()

    @property
    def is_stopped(self) -> bool:
        return self._stopped.is_set()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._woken.clear()
            self._hurried.clear()
            began = time.monotonic()
            there_is_more = self.run_once()
            self.last_alive = time.monotonic()
            if not there_is_more:
                self._rest(self.last_alive - began)
                self._woken.wait(self._every_s)

    def _rest(self, took_s: float) -> None:
        if self._gap_s:
            self._stopped.wait(min(took_s, self._gap_s))
            self._hurried.wait(self._gap_s)

    def run_once(self) -> bool:
        try:
            there_is_more = self._work()
        except Exception as error:
            # The database is away, or a bug: either way the next tick is another try.
            self.steady_since = None
            self._tell(error)
            return False
        if self.steady_since is None:
            self.steady_since = time.monotonic()
        if self._told_at is not None:
            self._told_at = None
            log.info("tick.works", tick=self.name, told="the outage is over for this tick")
        return there_is_more

    def _tell(self, error: Exception) -> None:
        """A surprise each time; of an outage, that it begins, and now and then that it goes on."""
        now = time.monotonic()
        if not trouble.is_outage(error):
            trouble.tell("tick.failed", error, tick=self.name)
        elif self._told_at is None or now - self._told_at >= TOLD_EVERY_S:
            self._told_at = now
            trouble.tell("tick.failed", error, tick=self.name)


class Ticks:
    """All ticks of one process."""

    def __init__(self, ports: Ports, name: str, is_busy: Callable[[], bool] = lambda: False) -> None:
        """
        Args:
            is_busy: no thread is free to hear a hint.
        """
        settings = ports.settings
        self._is_busy = is_busy
        self._ports = ports
        self._name = name
        self._pulse = Tick("pulse", settings.heartbeat_s, lambda: self._beat(name))
        self._dispatch = Tick(
            "dispatch", settings.tick_s, lambda: _then_rest(dispatch.dispatch, ports), gap_s=DISPATCH_GAP_S
        )
        self._others = [
            Tick("submit", settings.tick_s, lambda: _then_rest(submit.find, ports)),
            Tick("inputs", settings.tick_s, lambda: _then_rest(_ready_inputs, ports)),
            Tick("poll", min(settings.tick_s, POLL_S), Looks(ports).go),
            Tick("late", LATE_S, lambda: late.look(ports)),
            Tick("echo", settings.exit_on_lost_tick_s / ECHO_SHARE, lambda: _then_rest(self._say, ports)),
            Tick("outage", OUTAGE_S, lambda: _then_rest(outage.look, ports)),
            Tick("account", ACCOUNT_S, lambda: account.refresh(ports)),
            Tick("experience", LEARN_S, lambda: _then_rest(_learn, ports)),
            Tick("reconcile", RECONCILE_S, lambda: reconcile.reconcile(ports)),
            Tick("sweep", min(SWEEP_S, settings.dead_after_s / 4), self._sweep),
        ]
        self._stores = [
            Tick(f"store-{number}", settings.tick_s, lambda: store.store(None, ports, most=1) > 0)
            for number in range(STORE_TICKS)
        ]
        self._stores.append(Tick("store-late", LATE_S, lambda: late.keep(ports)))
        self._watchdog = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin once the database knows that we live: what a process holds that it does not know is taken back.

        Raises:
            TimeoutError: the database did not answer in time; the process is to be started again.
        """
        deadline = time.monotonic() + FIRST_BEAT_S
        while self._pulse.steady_since is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the database took no heartbeat within {FIRST_BEAT_S:g} s")
            self._pulse.run_once()
            if self._pulse.steady_since is None:
                time.sleep(0.5)
        for tick in (self._pulse, self._dispatch, *self._others, *self._stores):
            tick.start()
        self._watchdog.start()

    def wake_dispatch(self) -> None:
        self._dispatch.wake()

    def hurry_dispatch(self) -> None:
        self._dispatch.hurry()

    def stop_looking(self) -> None:
        """Begin nothing more; the heartbeat goes on while paid calls finish."""
        for tick in (self._dispatch, *self._others, *self._stores):
            tick.stop()

    def stop(self) -> None:
        """After the last paid call."""
        self._ended.set()
        self._pulse.stop()
        self._pulse.join(5)

    def _sweep(self) -> bool:
        """Once, with judgement only after a steady time.

        After an outage of the database, or when the whole machine slept, every heartbeat is old and nobody is dead:
        first let all of them beat.
        """
        since = self._pulse.steady_since
        steady_s = 0.0 if since is None else time.monotonic() - since
        may_judge = steady_s > self._ports.settings.dead_after_s and not self._is_silent()
        sweep.sweep(self._ports, may_judge=may_judge)
        return False

    def _is_silent(self) -> bool:
        """Whether our own heartbeat is so old that others have reason to ask."""
        with self._ports.pulse() as session:
            silence_s = claims.silence_s(session, self._ports.process_id)
        return silence_s is not None and silence_s > self._ports.settings.dead_after_s / 2

    def _beat(self, name: str) -> bool:
        if self._is_silent():
            self._pulse.steady_since = None
        with self._ports.pulse() as session:
            claims.beat(session, self._ports.process_id, name, self._ports.host, os.getpid())
        return False

    def _say(self, ports: Ports) -> None:
        if self._is_busy():
            ports.echo.heard()  # nobody is free to hear it
        else:
            ports.hints.echo(self._name, ports.echo.said)

    def _watch(self) -> None:
        """A thread that hangs cannot be ended: then the process says so and exits, to be started again.  So it does
        when hints do not reach it any more.

        The same for a stop that takes longer than `drain_seconds`.
        """
        limit_s = self._ports.settings.exit_on_lost_tick_s + self._ports.settings.poll_timeout_s * 4
        drain_s = 0.0
        while not self._ended.wait(1.0):
            drain_s += self._ports.stopping.is_set()
            if drain_s > self._ports.settings.drain_seconds:
                log.error("watchdog.drain", told="what is not finished is taken back by others", drain_s=drain_s)
                os._exit(70)
            silent_s = self._ports.echo.silent_s
            if silent_s > self._ports.settings.exit_on_lost_tick_s:
                self._end_when_idle("watchdog.deaf", told="hints do not reach this process", silent_s=round(silent_s))
            # Storing may take long; the others are bounded by time-outs, also while the database is away.
            for tick in (self._pulse, self._dispatch, *self._others):
                silent_s = time.monotonic() - tick.last_alive
                if silent_s > limit_s and not tick.is_stopped:
                    self._end_when_idle("watchdog.exit", tick=tick.name, silent_s=round(silent_s))

    def _end_when_idle(self, event: str, **told: object) -> None:
        """Begin nothing more, and let the paid calls end."""
        self._ports.stopping.set()
        if not self._ports.in_hand.any():
            log.error(event, **told)
            os._exit(70)


def _then_rest(work: Callable[[Ports], None], ports: Ports) -> bool:
    work(ports)
    return False


def _learn(ports: Ports) -> None:
    ports.experience.learn(ports.transaction)


def _ready_inputs(ports: Ports) -> None:
    with ports.transaction() as session:
        ready = claims.ready_inputs(session, ports.process_id)
    if ready:
        ports.wake_dispatch()
