"""`darkroom keys`: make, list, revoke."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli import options
from api.cli.ending import FAILED, fail
from api.cli.options import Api, takes


@takes(options.api)
def create(
    api: Api,
    name: Annotated[str, typer.Argument(help="Who or what uses it.")],
    scope: Annotated[list[str] | None, typer.Option(help="read, write or admin; repeat. [default: write]")] = None,
) -> None:
    """Make a key.  It is shown this once."""
    from api.cli import terminal

    with api.connect() as client:
        key = client.keys.create(name, scope or ["read", "write"])
    if api.as_json:
        terminal.print_json(key.raw)
    elif key.secret is not None:
        terminal.show(key.secret)
        typer.echo(f"{key.id} for {name}; it is shown this once", err=True)
    if key.secret is None:  # a first answer was lost on its way, and keys are said once
        fail(FAILED, f"{key.id} was made, but the answer that showed it was lost", f"darkroom keys revoke {key.id}")


@takes(options.api)
def list_keys(api: Api) -> None:
    """List the keys of your project."""
    from api.cli import printed, terminal

    with api.connect() as client:
        page = client.keys.list(limit=200)
    if api.as_json:
        terminal.print_json({"data": [key.raw for key in page.data], "has_more": page.has_more})
    else:
        terminal.show(printed.keys(page.data))


@takes(options.api)
def revoke(api: Api, key_id: Annotated[str, typer.Argument(metavar="ID", help="key_…")]) -> None:
    """Make a key useless, at once and for good."""
    from api.cli import terminal

    with api.connect() as client:
        client.keys.revoke(key_id)
    if api.as_json:
        terminal.print_json({"id": key_id, "revoked": True})
    else:
        terminal.show(f"{key_id} is revoked")
