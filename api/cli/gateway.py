"""Commands that look through to the gateway: what is left there, how full the lanes are, what was used."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import asking, options
from api.cli.options import Api, takes

if TYPE_CHECKING:
    from api.client.usage import UsageQuery


@takes(options.api)
def balance(api: Api) -> None:
    """Show what is left to spend at the gateway, as a worker last saw it."""
    from api.cli import printed, terminal

    with api.connect() as client:
        found = client.gateway.balance()
    if api.as_json:
        terminal.print_json(found.raw)
    else:
        terminal.show(printed.balance(found))


@takes(options.api)
def lanes(api: Api) -> None:
    """List the lanes: limits, what is in flight and queued, what is paused and why."""
    from api.cli import printed, terminal

    with api.connect() as client:
        found = client.lanes.list()
    if api.as_json:
        terminal.print_json({"data": [lane.raw for lane in found]})
    else:
        terminal.show(printed.lanes(found))


@takes(options.api)
def usage(
    api: Api,
    group_by: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT", help="day, model, operation or state; repeat. [default: day and model]"),
    ] = None,
    begin: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Not before, as 2026-11-20. [default: 30 days ago]")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Before. [default: now]")] = None,
) -> None:
    """Show what your project used: jobs, stored bytes, spend by the list price."""
    from api.cli import printed, terminal

    asked = _query(group_by, begin, end)
    with api.connect() as client:
        found = client.usage(**asked)
    if api.as_json:
        terminal.print_json(found.raw)
    else:
        terminal.show(printed.usage(found))


def _query(group_by: list[str] | None, begin: str | None, end: str | None) -> UsageQuery:
    asked: UsageQuery = {}
    if group_by:
        asked["group_by"] = group_by
    first, last = asking.moment(begin, "--from"), asking.moment(end, "--to")
    if first is not None:
        asked["begin"] = datetime.fromisoformat(first)
    if last is not None:
        asked["end"] = datetime.fromisoformat(last)
    return asked
