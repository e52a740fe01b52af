"""Options that several commands have, each group of them declared once, as the function that makes one value of it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from api.cli import asking
from api.cli.asking import Named
from api.cli.ending import UNREACHABLE, fail

if TYPE_CHECKING:
    from api.client import Darkroom

HERE: Final = Path(".darkroom")

DataDir = Annotated[
    Path,
    typer.Option("--data-dir", envvar="DARKROOM_DATA_DIR", metavar="DIR", help="Folder of a running `darkroom up`."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="job_…")]


def takes(*groups: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of these groups besides its own; their values are its first arguments, in order."""
    options_by_group = {group: inspect.signature(group, eval_str=True).parameters for group in groups}

    def given_to(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[len(groups) :]

        @functools.wraps(command)
        def with_groups(**given: Any) -> None:
            values = [
                group(**{name: given.pop(name) for name in options}) for group, options in options_by_group.items()
            ]
            command(*values, **given)

        options = [option for options in options_by_group.values() for option in options.values()]
        with_groups.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
        return with_groups

    return given_to


@dataclass(frozen=True)
class Api:
    """The API that a command asks, and how its answer is wanted."""

    url: str | None
    key: str | None
    data_dir: Path
    as_json: bool

    def connect(self) -> Darkroom:
        """The API that was named, or the one of a running `darkroom up`."""
        from api.cli.runtime import Running
        from api.client import Darkroom

        url, key = self.url, self.key
        running = Running.find(self.data_dir) if url is None or key is None else None
        if running is not None and url in (None, running.api_url):
            url, key = running.api_url, key or running.admin_key
        if url is None:
            fail(
                UNREACHABLE,
                f"no Darkroom runs on {self.data_dir}",
                "start one with `darkroom up`, or name one with --api-url and --api-key",
            )
        if key is None:
            raise typer.BadParameter("a key is needed: --api-key or DARKROOM_API_KEY", param_hint="--api-key")
        try:
            return Darkroom(url, key)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None


def api(
    api_url: Annotated[
        str | None, typer.Option("--api-url", envvar="DARKROOM_API_URL", metavar="URL", help="Where the API is.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option("--api-key", envvar="DARKROOM_API_KEY", metavar="KEY", help="Your key, dk_….")
    ] = None,
    data_dir: DataDir = HERE,
    as_json: AsJson = False,
) -> Api:
    return Api(api_url or None, api_key or None, data_dir, as_json)  # an empty variable is none


@dataclass(frozen=True)
class Wishes:
    """What a new job is made of besides its prompt, how it is to be treated, and what is done with its results."""

    inputs: Sequence[Named]
    body: Mapping[str, Any]
    """Fields of the request that need no connection."""
    idempotency_key: str | None
    is_awaited: bool
    out: Path | None
    """Where the results go; None: they stay where they are."""


def wishes(
    image: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE|URL|ID", help="An input picture: file, URL, asset_…, job_…; repeat."),
    ] = None,
    mask: Annotated[
        str | None, typer.Option(metavar="FILE|URL|ID", help="What of the picture may change, as a picture.")
    ] = None,
    given_inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="ROLE=FILE|URL|ID", help="Any other input, as audio=talk.mp3; repeat."),
    ] = None,
    param: Annotated[list[str] | None, typer.Option(metavar="K=V", help="As seconds=8; repeat.")] = None,
    metadata: Annotated[list[str] | None, typer.Option(metavar="K=V", help="As sku=A-113; repeat.")] = None,
    priority: Annotated[int | None, typer.Option(min=0, max=9, help="Higher goes first.")] = None,
    ttl: Annotated[int | None, typer.Option(min=1, metavar="SECONDS", help="Past this it fails.")] = None,
    max_attempts: Annotated[int | None, typer.Option(min=1, max=10, help="Paid calls, at most.")] = None,
    on_unknown: Annotated[
        Literal["hold", "retry", "fail"] | None,
        typer.Option(help="If nobody can tell whether a paid call went through."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is finished.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Wait, and download the results there.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The same key and job twice make one job.")
    ] = None,
) -> Wishes:
    body = {
        "params": asking.pairs(param, "--param", asking.value),
        "metadata": asking.pairs(metadata, "--metadata", str),
        "priority": priority,
        "ttl_seconds": ttl,
        "max_attempts": max_attempts,
        "on_unknown": on_unknown,
    }
    return Wishes(
        inputs=asking.inputs(image or [], mask, given_inputs or []),
        body={name: value for name, value in body.items() if value not in (None, {})},
        idempotency_key=idempotency_key,
        is_awaited=wait or out is not None,
        out=out,
    )
