"""Logging: an event and fields, one line each; secrets are taken out here, not by memory.

Fields that are bound where they are known: `process`, `job_id`, `attempt`, `request_id`, `task`.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

SECRETS: Final = re.compile(
    r"""(?xi)
    (?P<kept> \b(?:bearer|basic)\s+ | (?:x-amz-(?:signature|credential|security-token)|signature|sig|access|token|key)=
      ["']? )
    [^\s"'&@,}]+
    | (?P<user> ://[^\s/:@]*: ) [^\s/@]+ (?=@)
    | \b(?:sk|dk|whsec)[-_][A-Za-z0-9_\-+/=]{6,}
    """
)


def redact(text: str) -> str:
    """A text without keys, signatures and passwords in URLs."""
    return SECRETS.sub(lambda found: f"{found.group('kept') or found.group('user') or ''}[secret]", text)


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(repr(value))  # what the renderer would write of it


def _redact_line(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What begins with an underscore is structlog's own, and is not written."""
    return {key: value if key.startswith("_") else _redacted(value) for key, value in line.items()}


BROKER_CLIENTS: Final = ("celery", "kombu")
PASSING: Final = frozenset({"OSError", "ConnectionError", "TimeoutError", "OperationalError", "RestartFreqExceeded"})
"""What is raised while the broker or the database is away, by name: each client has such classes of its own."""
OF_A_CHOICE: Final = "CPendingDeprecationWarning"
"""Celery warns of a setting of ours whenever the connection is lost."""


class _InBrief(logging.Filter):
    """Celery and kombu try again by themselves: of something that is away one line each time is enough."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == "py.warnings" and OF_A_CHOICE in record.getMessage():
            return False
        if record.name.partition(".")[0] in BROKER_CLIENTS:
            record.msg, record.args = _on_one_line(record.getMessage()), ()
            error = record.exc_info[1] if record.exc_info else None
            if error is not None and PASSING & {kind.__name__ for kind in type(error).__mro__}:
                record.msg += f" ({type(error).__name__}: {_on_one_line(str(error))})"
                record.exc_info = None
        return True


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def set_up(level: str, style: str, **bound: str) -> None:
    """Send structlog's and the standard library's lines to standard error, in one form.

    Args:
        style: `json` or `console`.
        bound: fields of every line of this process.
    """

    def add_bound(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {**bound, **line}  # not by contextvars: threads do not inherit those

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        add_bound,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact_line,
    ]
    renderer: Any = structlog.dev.ConsoleRenderer() if style == "console" else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(_InBrief())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # httpx and its kin tell whole URLs at info, and those may be signed; Celery tells each hint twice.
    for chatty in (
        "celery.worker.strategy",
        "celery.app.trace",
        "httpx",
        "httpcore",
        "aiohttp",
        "botocore",
        "boto3",
        "urllib3",
        "s3transfer",
        "PIL",
        "alembic",
    ):
        logging.getLogger(chatty).setLevel(logging.WARNING)
