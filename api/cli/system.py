"""Commands about the system: start it, show it, look at its parts, bring its database up to date."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import options
from api.cli.ending import FAILED, exit_unless
from api.cli.options import HERE, Api, AsJson, DataDir, takes

if TYPE_CHECKING:
    from shared.settings import Settings


def up(
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of all data. [default: DARKROOM_DATA_DIR, or .darkroom]")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the API; 0 takes a free one.")] = 8000,
    flower_port: Annotated[int, typer.Option(min=0, max=65535, help="Of Flower; 0 takes a free one.")] = 5555,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Start everything that no setting names by URL, and keep it running until Ctrl-C."""
    from api.cli import catalog_file
    from deploy.local import up as local

    settings = _settings()
    if settings.catalog is not None:
        catalog_file.check(settings.catalog)
    if with_parent:
        _stop_with_parent()
    code = local.run(settings, data_dir or settings.data_dir, port, flower_port, workers, typer.echo)
    raise typer.Exit(0 if code == 0 else FAILED)


def demo(
    data_dir: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the demo's own system.")] = Path(
        ".darkroom-demo"
    ),
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the results go.")] = Path("out"),
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The jobs. [default: examples/first-job.jsonl]")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Do not remove the data folder afterwards.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start everything, make a dozen pictures and films, lay them out in ./out, stop everything."""
    from api.cli import terminal
    from api.cli.demo import demo as show

    file = file or Path(__file__).parents[2] / "examples" / "first-job.jsonl"
    if not file.is_file():
        raise typer.BadParameter(f"there is no file {file}", param_hint="--file")
    result = show.run(show.Wish(data_dir, out, file, keep), terminal.console(stderr=as_json))
    if as_json:
        terminal.print_json(result.as_json())
    else:
        terminal.show(show.table(result))
        for line in show.closing_lines(result):
            terminal.show(line)
    exit_unless(result.is_success)


@takes(options.api)
def doctor(api: Api) -> None:
    """Check database, broker, S3, gateway, keys and clock, and say how to mend what is wrong."""
    from api.cli import printed, terminal
    from api.cli.doctor import checks, examining, patient

    who = patient.patient(_settings(), api.data_dir, api.url, api.key)
    found = examining.examine(who, checks.checks_of(who))
    is_well = all(finding.state != "wrong" for finding in found)
    if api.as_json:
        terminal.print_json({"ok": is_well, "checks": [finding.as_json() for finding in found]})
    else:
        terminal.show(printed.findings(found))
    exit_unless(is_well)


def migrate(
    data_dir: DataDir = HERE,
    new: Annotated[str | None, typer.Option(metavar="WHAT", hidden=True)] = None,
) -> None:
    """Bring the database to the newest schema: that of DARKROOM_DATABASE_URL, or of a running `darkroom up`."""
    from api.cli.runtime import Running
    from shared.migrations import migrate as migrations

    running = Running.find(data_dir)
    url = _settings().database_url or (str(running.raw.get("database_url") or "") if running is not None else "")
    if not url:
        raise typer.BadParameter("DARKROOM_DATABASE_URL is not set, and no `darkroom up` runs here")
    migrations.upgrade(url)
    if new is not None:
        _write_migration(url, new)
    else:
        typer.echo("the database is at the newest schema")


def prepare(as_json: AsJson = False) -> None:
    """Migrations, bucket and first admin key: what must be there before the first API and worker start."""
    from api import prepare as preparing
    from api.cli import terminal

    settings = _settings()
    done = preparing.prepare(settings)
    if as_json:
        terminal.print_json(done)
    elif done["admin_key"] is None or settings.admin_key is not None:
        typer.echo("prepared")  # a key that was given does not belong into a log
    else:
        typer.echo(f"prepared; the admin key is {done['admin_key']}: it is shown only now")


def _settings() -> Settings:
    from shared.settings import Settings

    return Settings.load()


def _stop_with_parent() -> None:
    """Stop, as on SIGTERM, when the process that started this one is gone."""
    parent = os.getppid()

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=look, name="parent", daemon=True).start()


def _write_migration(database_url: str, what: str) -> None:
    """A file for the difference between the tables and a database that has all migrations."""
    from alembic import command

    from shared import db
    from shared.migrations import migrate as migrations

    engine = db.engine(database_url, 1, "darkroom-migration", patience=None)
    try:
        with engine.connect() as connection:
            config = migrations.config()
            config.attributes["connection"] = connection
            command.revision(config, message=what, autogenerate=True)
    finally:
        engine.dispose()
