"""The supervisor with children that are a line of Python each: deaths, starts that fail, stops that hang."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from deploy.local import leftovers, records, stage
from deploy.local.ports import Book, Want
from deploy.local.process import Spec
from deploy.local.supervisor import StartFailed, Stopped, Supervisor

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def spec(name: str, code: str, **more: object) -> Spec:
    known = {"argv": (sys.executable, "-c", code), "address": "", "env": dict(os.environ), "ready_word": "up"}
    return Spec(name=name, **(known | more))  # type: ignore[arg-type]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    with Supervisor(tmp_path, said.append) as supervisor:
        yield supervisor


def until(condition: Callable[[], bool], within_s: float = 10) -> Callable[[], bool]:
    """For `Supervisor.watch`: true once the condition holds; a test failure after the deadline."""
    deadline = time.monotonic() + within_s

    def look() -> bool:
        assert time.monotonic() < deadline, "it did not happen in time"
        return condition()

    return look


def test_a_child_that_dies_is_started_again_and_that_is_said(supervisor: Supervisor, said: list[str]) -> None:
    supervisor.start([spec("a", SLEEP)])
    first = supervisor.pids["a"]

    os.kill(first, signal.SIGKILL)
    supervisor.watch(until(lambda: supervisor.pids.get("a", first) != first), look_s=0.01)

    assert said[-1] == "a died (signal 9), started again in 0.2 s"
    assert psutil.pid_exists(supervisor.pids["a"])


def test_who_dies_again_and_again_waits_longer_each_time(supervisor: Supervisor, said: list[str]) -> None:
    supervisor.start([spec("a", "import time; print('up', flush=True); time.sleep(.3); raise SystemExit(7)")])

    supervisor.watch(until(lambda: len(said) == 4), look_s=0.01)

    assert said[1:] == [f"a died (exit code 7), started again in {wait} s" for wait in ("0.2", "0.4", "0.8")]


def test_a_child_that_fails_at_its_start_ends_its_stage_and_shows_its_last_lines(supervisor: Supervisor) -> None:
    supervisor.start([spec("first", SLEEP)])
    noisy = "import sys; [print(f'line {n}.') for n in range(100)]; sys.exit(3)"

    with pytest.raises(StartFailed) as failure:
        supervisor.start([spec("second", SLEEP), spec("third", noisy, ready_word="never")])

    message = str(failure.value)
    assert message.startswith("third ended with exit code 3; the end of ")
    assert "line 80." in message
    assert "line 79." not in message
    assert list(supervisor.pids) == ["first"]


def test_a_child_that_is_not_ready_in_time_is_a_failed_start(supervisor: Supervisor) -> None:
    with pytest.raises(StartFailed, match=r"slow was not ready within 0\.3 s"):
        supervisor.start([spec("slow", SLEEP, ready_word="never", start_s=0.3)])

    assert supervisor.pids == {}


def test_a_program_that_is_missing_is_a_failed_start(supervisor: Supervisor) -> None:
    with pytest.raises(StartFailed, match="missing could not be started"):
        supervisor.start([spec("other", SLEEP), spec("missing", "", argv=("/no/such/program",))])

    assert supervisor.pids == {}


def test_a_signal_while_starting_stops_the_start(supervisor: Supervisor) -> None:
    code = f"import os, signal, time; os.kill({os.getpid()}, signal.SIGTERM); time.sleep(60)"

    with pytest.raises(Stopped):
        supervisor.start([spec("a", code, ready_word="never")])

    assert supervisor.pids == {}


def test_who_does_not_stop_within_its_grace_is_killed(supervisor: Supervisor) -> None:
    supervisor.start([spec("a", STUBBORN, grace_s=0.3)])
    pid = supervisor.pids["a"]

    supervisor.stop()

    assert not psutil.pid_exists(pid)


def test_a_second_signal_stops_at_once(supervisor: Supervisor) -> None:
    supervisor.start([spec("a", STUBBORN, grace_s=60)])
    begun_at = time.monotonic()

    os.kill(os.getpid(), signal.SIGTERM)
    supervisor.watch(until(lambda: False))
    os.kill(os.getpid(), signal.SIGINT)
    supervisor.stop()

    assert time.monotonic() - begun_at < 5


def test_stages_stop_in_reverse_order(supervisor: Supervisor, tmp_path: Path) -> None:
    note = "import signal, sys, time\n" + "def end(*_): open(sys.argv[1], 'a').write(sys.argv[2]); sys.exit()\n"
    code = note + "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(60)"
    for name in ("1", "2", "3"):
        supervisor.start([spec(name, code, argv=(sys.executable, "-c", code, str(tmp_path / "order"), name))])

    supervisor.stop()

    assert (tmp_path / "order").read_text() == "321"


def test_what_a_child_left_in_its_group_ends_with_it(supervisor: Supervisor, tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time; child = subprocess.Popen(['sleep', '60']);"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid)); print('up', flush=True); time.sleep(60)"
    )
    supervisor.start([spec("a", code)])
    grandchild = psutil.Process(int((tmp_path / "pid").read_text()))

    supervisor.stop()

    psutil.wait_procs([grandchild], timeout=5)
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


def test_what_a_program_answers_is_not_in_its_log(supervisor: Supervisor, tmp_path: Path) -> None:
    code = "import sys; print('dk_secret'); print('done', file=sys.stderr)"

    answer = supervisor.run(spec("prepare", code, answers=True))

    assert answer == "dk_secret\n"
    assert (tmp_path / "logs" / "prepare.log").read_text() == "done\n"


def test_a_secret_goes_in_by_standard_input(supervisor: Supervisor) -> None:
    answer = supervisor.run(spec("a", "import sys; print(sys.stdin.read()[::-1])", answers=True, stdin=b"abc"))

    assert answer == "cba\n"


def test_leftovers_of_a_killed_supervisor_are_ended_and_named(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start([spec("a", SLEEP)])
    pid = supervisor.pids["a"]
    assert records.read(leftovers.path(tmp_path))["a"]["pid"] == pid

    ended = leftovers.end(tmp_path)

    assert ended == ["a"]
    assert leftovers.end(tmp_path) == []


def test_a_port_that_was_lost_before_it_was_used_is_replaced(supervisor: Supervisor, tmp_path: Path) -> None:
    code = "import socket, sys, time; s = socket.socket(); s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen();"
    code += "print('up', flush=True); time.sleep(60)"
    tried: list[int] = []

    with socket.socket() as thief:

        def build(ports: Mapping[str, int]) -> list[Spec]:
            tried.append(ports["a"])
            if len(tried) == 1:
                thief.bind(("127.0.0.1", ports["a"]))
                thief.listen()
            return [spec("a", "", argv=(sys.executable, "-c", code, str(ports["a"])))]

        ports = stage.start(supervisor, Book(tmp_path), [Want("a")], build)

    assert len(tried) == 2
    assert ports == {"a": tried[1]}
    assert records.read(tmp_path / "ports.json") == ports


def test_a_log_that_has_grown_large_makes_room_at_the_next_start(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.local.process.LOG_LIMIT_BYTES", 3)
    for _ in range(2):
        supervisor.run(spec("a", "print('long enough')"))

    assert (tmp_path / "logs" / "a.log").read_text() == "long enough\n"
    assert (tmp_path / "logs" / "a.log.1").read_text() == "long enough\n"
