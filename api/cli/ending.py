"""How commands end: exit codes, and every trouble told in a line or two on stderr."""

from __future__ import annotations

from typing import Any, Final, NoReturn

import typer
from typer.core import TyperGroup

FAILED, USAGE, REFUSED, UNREACHABLE, INTERRUPTED = 1, 2, 3, 4, 130

EPILOG: Final = (
    "Exit codes: 0 all went well · 1 a job or a check failed or is unfinished · 2 wrong usage or settings ·"
    " 3 the API refused · 4 the API cannot be reached · 130 interrupted."
    "\n\nThe API is found by --api-url and --api-key, or DARKROOM_API_URL and DARKROOM_API_KEY, or the running"
    " `darkroom up` of --data-dir."
)


class Commands(TyperGroup):
    """A group of commands: what they raise becomes a line or two on stderr and an exit code.

    Named without a command it shows its help, which is no mistake of anybody's.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["--help"])

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            told = _told(error)
            if told is None:
                raise  # a bug: its traceback is wanted
            code, lines = told
            typer.echo("\n".join(lines), err=True)
            raise typer.Exit(code) from error


def exit_unless(is_well: bool) -> None:
    if not is_well:
        raise typer.Exit(FAILED)


def fail(code: int, *lines: str) -> NoReturn:
    typer.echo("\n".join(lines), err=True)
    raise typer.Exit(code)


def _told(error: Exception) -> tuple[int, list[str]] | None:
    """Exit code and lines for a trouble that people can do something about; None for a bug."""
    from api.cli.demo.jobs_file import BadFile
    from api.cli.demo.system import SystemFailed
    from api.client import ApiError, ClientError, Unreachable
    from shared.errors import DarkroomError, SettingsError

    if isinstance(error, ApiError):
        return REFUSED, problem(error)
    if isinstance(error, Unreachable):
        return UNREACHABLE, [str(error), "is it running? `darkroom up` starts it, `darkroom doctor` looks at its parts"]
    if isinstance(error, BadFile | SettingsError):
        return USAGE, [str(error)]
    if isinstance(error, ClientError | SystemFailed | DarkroomError):
        return FAILED, [str(error)]
    if isinstance(error, OSError) and error.filename is not None:
        return FAILED, [f"{error.filename}: {error.strerror}"]
    return None


def problem(error: Any) -> list[str]:
    """What the API said; a wrong key gets a word on what to do."""
    asked = f" (request {error.request_id})" if error.request_id else ""
    lines = [f"{error.code}: {error.detail}{asked}"]
    if error.status == 401:
        lines.append(
            "set DARKROOM_API_KEY to a key that is not revoked; an admin makes one with `darkroom keys create`"
        )
    return lines
