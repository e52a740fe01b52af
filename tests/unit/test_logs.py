"""Lines of the log: their form, and what they must not hold."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pytest
import structlog
from kombu.exceptions import OperationalError as KombuOperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy.exc import OperationalError

from shared import logs

SIGNED = "https://s3.example/b/k?X-Amz-Credential=AKIA%2F1&X-Amz-Signature=0badf00d&X-Amz-Expires=60"


class Lines:
    """What is written to the log from now on."""

    def __init__(self, style: Literal["json", "console"]) -> None:
        self.stream = io.StringIO()
        with contextlib.redirect_stderr(self.stream):
            logs.set_up("info", style, process="a-test")

    def __call__(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def _own_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:], root.level = handlers, level
    structlog.configure(**config)


@pytest.fixture
def lines(_own_logging: None) -> Lines:
    return Lines("json")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer sk-abc123def", "Authorization: Bearer [secret]"),
        ("bearer abcdef", "bearer [secret]"),
        ("Basic dXNlcjpwdw==", "Basic [secret]"),
        ("the key sk-proj_ABCDEF12", "the key [secret]"),
        ("dk_live1234567890", "[secret]"),
        ("whsec_MfKQ9r8GKYqrTwjU", "[secret]"),
        ("postgresql://me:pa$$w0rd&x,y@db:5432/d", "postgresql://me:[secret]@db:5432/d"),
        ("redis://:hunter2@127.0.0.1:6379/0", "redis://:[secret]@127.0.0.1:6379/0"),
        (
            SIGNED,
            "https://s3.example/b/k?X-Amz-Credential=[secret]&X-Amz-Signature=[secret]&X-Amz-Expires=60",
        ),
        ("https://cdn.example/f.mp4?token=abc&sig=def", "https://cdn.example/f.mp4?token=[secret]&sig=[secret]"),
        ("aws_secret_access_key='abc/def+1'", "aws_secret_access_key='[secret]'"),
    ],
)
def test_secrets_are_taken_out_of_a_text(text: str, shown: str) -> None:
    assert logs.redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:9000/bucket/key.png",
        "https://gate.example:8443/v1/videos?model=sora-2",
        "job_01k0000000000000000000000000 is running",
        "a task-force of 3 sk8ers",
        "2026-11-25T03:00:00Z",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert logs.redact(text) == text


def test_a_line_has_its_event_fields_level_time_and_process(lines: Lines) -> None:
    structlog.get_logger("x").info("job.moved", job_id="job_1", attempt=2)

    (line,) = lines()
    assert line["timestamp"].endswith("Z")
    assert {name: line[name] for name in ("event", "job_id", "attempt", "level", "process")} == {
        "event": "job.moved",
        "job_id": "job_1",
        "attempt": 2,
        "level": "info",
        "process": "a-test",
    }


@dataclass
class Holder:
    url: str


@pytest.mark.parametrize(
    "value",
    [
        SIGNED,
        {"headers": {"Authorization": "Bearer 0badf00d"}},
        [("Authorization", "Bearer 0badf00d")],
        ValueError("Bearer 0badf00d"),
        Holder(SIGNED),
        b"Bearer 0badf00d",
        {"Bearer 0badf00d"},
    ],
)
def test_secrets_are_taken_out_of_every_field_whatever_it_is(lines: Lines, value: object) -> None:
    structlog.get_logger("x").info("an.event", field=value)

    (line,) = lines()
    assert "0badf00d" not in json.dumps(line)
    assert "[secret]" in json.dumps(line)


def test_secrets_are_taken_out_of_exceptions(lines: Lines) -> None:
    try:
        raise RuntimeError(f"could not get {SIGNED}")
    except RuntimeError:
        structlog.get_logger("x").error("an.event", exc_info=True)

    (line,) = lines()
    assert "could not get https://s3.example/b/k" in line["exception"]
    assert "0badf00d" not in json.dumps(line)


def test_secrets_are_taken_out_of_the_lines_of_libraries(lines: Lines) -> None:
    try:
        raise RuntimeError("Bearer 0badf00d")
    except RuntimeError:
        logging.getLogger("a.library").exception("with %s", {"Authorization": "Bearer 0badf00d"})

    (line,) = lines()
    assert line["process"] == "a-test"
    assert "RuntimeError" in line["exception"]
    assert "0badf00d" not in json.dumps(line)


@pytest.mark.parametrize("library", ["celery.worker.consumer.consumer", "celery.app.trace", "kombu.asynchronous.hub"])
@pytest.mark.parametrize(
    "error",
    [
        RedisConnectionError("Error 111 connecting to 127.0.0.1:6379.\nConnection refused."),
        KombuOperationalError("Error 111"),
        ConnectionResetError(104, "Connection reset by peer"),
        OperationalError("SELECT 1", {}, Exception("server closed the connection")),
    ],
    ids=lambda error: type(error).__module__,
)
def test_what_celery_says_while_something_is_away_is_one_line_without_a_traceback(
    lines: Lines, library: str, error: Exception
) -> None:
    try:
        raise error
    except Exception:
        logging.getLogger(library).error("consumer: Cannot connect to %s.\nTrying again…\n", "redis", exc_info=True)

    (line,) = lines()
    assert "exception" not in line
    assert line["event"].startswith(f"consumer: Cannot connect to redis. Trying again… ({type(error).__name__}: ")
    assert "\n" not in line["event"]


@pytest.mark.parametrize(("library", "error"), [("celery.worker", KeyError("x")), ("a.library", OSError("x"))])
def test_surprises_keep_their_traceback_and_so_do_other_libraries(lines: Lines, library: str, error: Exception) -> None:
    try:
        raise error
    except Exception:
        logging.getLogger(library).error("trouble", exc_info=True)

    assert "Traceback" in lines()[0]["exception"]


def test_a_password_in_what_celery_says_is_taken_out(lines: Lines) -> None:
    try:
        raise OSError("redis://:hunter2@127.0.0.1:6379/0 refused")
    except OSError:
        logging.getLogger("celery.worker").error("lost %s", "redis://:hunter2@127.0.0.1:6379/0", exc_info=True)

    assert "hunter2" not in json.dumps(lines())


def test_celerys_warning_of_a_setting_that_we_chose_is_not_written(lines: Lines) -> None:
    warnings = logging.getLogger("py.warnings")
    warnings.warning("%s", "consumer.py:427: CPendingDeprecationWarning: \nIn Celery 5.1 …")
    warnings.warning("%s", "db.py:1: DeprecationWarning: old")

    assert [line["event"] for line in lines()] == ["db.py:1: DeprecationWarning: old"]


@pytest.mark.parametrize("value", [1, 1.5, True, None])
def test_numbers_stay_numbers(lines: Lines, value: object) -> None:
    structlog.get_logger("x").info("an.event", field=value)

    assert lines()[0]["field"] == value


@pytest.mark.parametrize("library", ["httpx", "aiohttp", "botocore", "urllib3", "celery.app.trace"])
def test_libraries_that_tell_whole_urls_are_silent_at_info(lines: Lines, library: str) -> None:
    logging.getLogger(library).info("HTTP Request: GET %s", SIGNED)
    logging.getLogger(library).warning("trouble")

    assert [line["event"] for line in lines()] == ["trouble"]


def test_what_is_below_the_level_is_not_written(lines: Lines) -> None:
    structlog.get_logger("x").debug("an.event")

    assert lines() == []


@pytest.mark.usefixtures("lines")
def test_to_set_up_twice_writes_once() -> None:
    again = Lines("json")

    structlog.get_logger("x").info("an.event")

    assert len(again()) == 1


@pytest.mark.usefixtures("_own_logging")
def test_the_console_style_says_the_same_without_secrets() -> None:
    shown = Lines("console").stream

    structlog.get_logger("x").warning("an.event", url=SIGNED)

    assert "an.event" in shown.getvalue()
    assert "0badf00d" not in shown.getvalue()
