"""`darkroom`: run the system, ask it for media, look after it.

Commands are thin and import what they need when they run, so that `--help` is quick.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from api.cli import gateway, jobs, keys, system
from api.cli.ending import EPILOG, Commands

app = typer.Typer(name="darkroom", cls=Commands, epilog=EPILOG, add_completion=False, pretty_exceptions_enable=False)
key_commands = typer.Typer(name="keys", cls=Commands, help="API keys: make, list, revoke.")


def _show_version(is_wanted: bool) -> None:
    if not is_wanted:
        return
    try:
        number = version("darkroom")
    except PackageNotFoundError:
        number = "of a folder that was not installed"
    typer.echo(f"darkroom {number}")
    raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Say which version it is.")
    ] = False,
) -> None:
    """Prompts in, stored pictures, films, sounds and texts out."""


app.command()(system.up)
app.command()(system.demo)
app.command()(jobs.submit)
app.command("jobs")(jobs.list_jobs)
app.command("job")(jobs.show_job)
app.command("events")(jobs.show_events)
app.command()(jobs.watch)
app.command()(jobs.download)
app.command()(jobs.action)
app.command()(jobs.cancel)
app.command()(jobs.retry)
app.command()(jobs.resolve)
app.command()(jobs.models)
app.command()(gateway.balance)
app.command()(gateway.lanes)
app.command()(gateway.usage)
app.command()(system.doctor)
app.command()(system.migrate)
app.command(hidden=True)(system.prepare)

app.add_typer(key_commands)
key_commands.command("create")(keys.create)
key_commands.command("list")(keys.list_keys)
key_commands.command("revoke")(keys.revoke)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
