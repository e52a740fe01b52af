"""`darkroom`: run the system, ask it for media, look after it.

Commands are thin and import what they need when they run, so that `--help` is quick.
"""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from api.client import Darkroom, Job
    from shared.settings import Settings

FAILED, USAGE, REFUSED, UNREACHABLE, INTERRUPTED = 1, 2, 3, 4, 130

EPILOG: Final = (
    "Exit codes: 0 all went well · 1 a job or a check failed or is unfinished · 2 wrong usage or settings ·"
    " 3 the API refused · 4 the API cannot be reached · 130 interrupted."
    "\n\nThe API is found by --api-url and --api-key, or DARKROOM_API_URL and DARKROOM_API_KEY, or the running"
    " `darkroom up` of --data-dir."
)


class Commands(TyperGroup):
    """The group of all commands: what they raise becomes a line or two on stderr and an exit code."""

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


app = typer.Typer(
    name="darkroom",
    cls=Commands,
    help="Prompts in, stored pictures and films out.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
keys = typer.Typer(name="keys", help="API keys: make, list, revoke.", no_args_is_help=True)
app.add_typer(keys)

ApiUrl = Annotated[
    str | None, typer.Option("--api-url", envvar="DARKROOM_API_URL", metavar="URL", help="Where the API is.")
]
ApiKey = Annotated[
    str | None, typer.Option("--api-key", envvar="DARKROOM_API_KEY", metavar="KEY", help="Your key, dk_….")
]
DataDir = Annotated[
    Path,
    typer.Option("--data-dir", envvar="DARKROOM_DATA_DIR", metavar="DIR", help="Folder of a running `darkroom up`."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="job_…")]
HERE: Final = Path(".darkroom")


# The system.


@app.command()
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
    from deploy.local import up as local

    settings = _settings()
    if with_parent:
        _stop_with_parent()
    code = local.run(settings, data_dir or settings.data_dir, port, flower_port, workers, _say)
    raise typer.Exit(0 if code == 0 else FAILED)


@app.command()
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
    _exit_unless(result.is_success)


@app.command()
def doctor(api_url: ApiUrl = None, api_key: ApiKey = None, data_dir: DataDir = HERE, as_json: AsJson = False) -> None:
    """Check database, broker, S3, gateway, keys and clock, and say how to mend what is wrong."""
    from api.cli import doctor as looking
    from api.cli import printed, terminal

    found = looking.examine(looking.patient(_settings(), data_dir, api_url, api_key))
    is_well = all(finding.ok for finding in found)
    if as_json:
        terminal.print_json({"ok": is_well, "checks": [finding.as_json() for finding in found]})
    else:
        terminal.show(printed.findings(found))
    _exit_unless(is_well)


@app.command()
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
        _say("the database is at the newest schema")


@app.command(hidden=True)
def prepare(as_json: AsJson = False) -> None:
    """Migrations, bucket and first admin key: what must be there before the first API and worker start."""
    from api import prepare as preparing
    from api.cli import terminal

    settings = _settings()
    done = preparing.prepare(settings)
    if as_json:
        terminal.print_json(done)
    elif done["admin_key"] is None or settings.admin_key is not None:
        _say("prepared")  # a key that was given does not belong into a log
    else:
        _say(f"prepared; the admin key is {done['admin_key']}: it is shown only now")


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


# Jobs.


@app.command()
def submit(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What it shall show.")],
    model: Annotated[str, typer.Option(help="As `darkroom models` lists them.")],
    operation: Annotated[str | None, typer.Option(help="Where the model's own is not meant.")] = None,
    image: Annotated[
        list[str] | None, typer.Option(metavar="FILE|URL", help="An input picture: file, URL, asset_…, job_…; repeat.")
    ] = None,
    param: Annotated[list[str] | None, typer.Option(metavar="K=V", help="As seconds=8; repeat.")] = None,
    metadata: Annotated[list[str] | None, typer.Option(metavar="K=V", help="As sku=A-113; repeat.")] = None,
    priority: Annotated[int | None, typer.Option(min=0, max=9, help="Higher goes first.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is finished.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Wait, and download the results there.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The same key and job twice make one job.")
    ] = None,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
    data_dir: DataDir = HERE,
    as_json: AsJson = False,
) -> None:
    """Ask for a picture or a film."""
    from api.cli import printed, terminal

    if out is not None:
        out.mkdir(parents=True, exist_ok=True)  # before anything is paid for
    body: dict[str, Any] = {"model": model, "prompt": prompt}
    body |= {"operation": operation} if operation else {}
    body |= {"params": _pairs(param, "--param", _value)} if param else {}
    body |= {"metadata": _pairs(metadata, "--metadata", str)} if metadata else {}
    body |= {"priority": priority} if priority is not None else {}
    with _connect(api_url, api_key, data_dir) as client:
        if image:
            body["inputs"] = {"images": [_input(client, each, idempotency_key, n) for n, each in enumerate(image)]}
        job = client.jobs.create(idempotency_key=idempotency_key, **body)
        files: list[Path] = []
        if wait or out is not None:
            job = _awaited(client, job)
            files = _downloaded(client, job, out) if out is not None else []
    if as_json:
        terminal.print_json({**job.raw, "files": [str(file) for file in files]} if out is not None else job.raw)
    elif wait or out is not None:
        terminal.show(printed.job(job))
        for file in files:
            terminal.show(f"saved {file}")
    else:
        terminal.show(f"{job.id} is {job.state}; follow it with: darkroom watch {job.id}")
    _exit_unless(job.state == "succeeded" or not (wait or out is not None))


@app.command()
def jobs(
    state: Annotated[str | None, typer.Option(help="Only those that are, as queued or failed.")] = None,
    model: Annotated[str | None, typer.Option(help="Only those of this model.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 20,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
    data_dir: DataDir = HERE,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    from api.cli import printed, terminal

    with _connect(api_url, api_key, data_dir) as client:
        page = client.jobs.list(limit=limit, state=state, model=model)
    if as_json:
        data = [job.raw for job in page.data]
        terminal.print_json({"data": data, "has_more": page.has_more, "next_cursor": page.next_cursor})
        return
    terminal.show(printed.jobs(page.data))
    if page.has_more:
        typer.echo(f"there are more than these {limit}: see --limit, --state, --model", err=True)


@app.command(name="job")
def show_job(
    job_id: JobId, api_url: ApiUrl = None, api_key: ApiKey = None, data_dir: DataDir = HERE, as_json: AsJson = False
) -> None:
    """Show one job, and every event of its life."""
    from api.cli import printed, terminal

    with _connect(api_url, api_key, data_dir) as client:
        job, events = client.jobs.get(job_id), client.jobs.events(job_id)
    if as_json:
        terminal.print_json({**job.raw, "events": [event.raw for event in events]})
        return
    terminal.show(printed.job(job))
    terminal.show(printed.events(events))


@app.command()
def watch(
    job_ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="All unfinished if none.")] = None,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
    data_dir: DataDir = HERE,
    as_json: AsJson = False,
) -> None:
    """Follow jobs, live, until each is finished or held; with --json a line for each change."""
    from api.cli import following, progress, terminal

    display = progress.on(terminal.console(stderr=as_json))
    with _connect(api_url, api_key, data_dir) as client, display:
        wanted = list(dict.fromkeys(job_ids)) if job_ids else following.unfinished(client)
        ended = following.follow(client, wanted, display, lambda job: terminal.print_json(job.raw) if as_json else None)
    if not ended and not as_json:
        typer.echo("no job is unfinished", err=True)
    _exit_unless(all(job.state == "succeeded" for job in ended))


@app.command()
def cancel(
    job_id: JobId, api_url: ApiUrl = None, api_key: ApiKey = None, data_dir: DataDir = HERE, as_json: AsJson = False
) -> None:
    """Cancel a job that is not finished."""
    with _connect(api_url, api_key, data_dir) as client:
        _tell(client.jobs.cancel(job_id), as_json)


@app.command()
def retry(
    job_id: JobId, api_url: ApiUrl = None, api_key: ApiKey = None, data_dir: DataDir = HERE, as_json: AsJson = False
) -> None:
    """Queue a failed, canceled or held job again; the new attempt is paid for."""
    with _connect(api_url, api_key, data_dir) as client:
        _tell(client.jobs.retry(job_id), as_json)


@app.command()
def models(api_url: ApiUrl = None, api_key: ApiKey = None, data_dir: DataDir = HERE, as_json: AsJson = False) -> None:
    """List the models of the catalog."""
    from api.cli import printed, terminal

    with _connect(api_url, api_key, data_dir) as client:
        found = client.models.list()
    if as_json:
        terminal.print_json({"data": [model.raw for model in found]})
    else:
        terminal.show(printed.models(found))


# Keys.


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Who or what uses it.")],
    scope: Annotated[list[str] | None, typer.Option(help="read, write or admin; repeat. [default: write]")] = None,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
    data_dir: DataDir = HERE,
    as_json: AsJson = False,
) -> None:
    """Make a key.  It is shown this once."""
    from api.cli import terminal

    with _connect(api_url, api_key, data_dir) as client:
        key = client.keys.create(name, scope or ["read", "write"])
    if as_json:
        terminal.print_json(key.raw)
    elif key.secret is not None:
        terminal.show(key.secret)
        typer.echo(f"{key.id} for {name}; it is shown this once", err=True)
    if key.secret is None:  # a first answer was lost on its way, and keys are said once
        _fail(FAILED, f"{key.id} was made, but the answer that showed it was lost", f"darkroom keys revoke {key.id}")


@keys.command("list")
def list_keys(
    api_url: ApiUrl = None, api_key: ApiKey = None, data_dir: DataDir = HERE, as_json: AsJson = False
) -> None:
    """List the keys of your project."""
    from api.cli import printed, terminal

    with _connect(api_url, api_key, data_dir) as client:
        page = client.keys.list(limit=200)
    if as_json:
        terminal.print_json({"data": [key.raw for key in page.data], "has_more": page.has_more})
    else:
        terminal.show(printed.keys(page.data))


@keys.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="key_…")],
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
    data_dir: DataDir = HERE,
    as_json: AsJson = False,
) -> None:
    """Make a key useless, at once and for good."""
    from api.cli import terminal

    with _connect(api_url, api_key, data_dir) as client:
        client.keys.revoke(key_id)
    if as_json:
        terminal.print_json({"id": key_id, "revoked": True})
    else:
        terminal.show(f"{key_id} is revoked")


# What commands share.


def _settings() -> Settings:
    from shared.settings import Settings

    return Settings.load()


def _connect(api_url: str | None, api_key: str | None, data_dir: Path) -> Darkroom:
    """The API that was named, or the one of a running `darkroom up`."""
    from api.cli.runtime import Running
    from api.client import Darkroom

    api_url, api_key = api_url or None, api_key or None  # an empty variable is none
    running = Running.find(data_dir) if api_url is None or api_key is None else None
    if running is not None and api_url in (None, running.api_url):
        api_url, api_key = running.api_url, api_key or running.admin_key
    if api_url is None:
        _fail(
            UNREACHABLE,
            f"no Darkroom runs on {data_dir}",
            "start one with `darkroom up`, or name one with --api-url and --api-key",
        )
    if api_key is None:
        raise typer.BadParameter("a key is needed: --api-key or DARKROOM_API_KEY", param_hint="--api-key")
    try:
        return Darkroom(api_url, api_key)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _input(client: Darkroom, named: str, idempotency_key: str | None, number: int) -> Any:
    """An input as the API takes it; a file is uploaded first."""
    if named.startswith(("https://", "http://", "data:", "asset_", "artifact_")):
        return named
    if named.startswith("job_"):
        return {"job": named}
    file = Path(named)
    if not file.is_file():
        raise typer.BadParameter(f"there is no file {named}", param_hint="--image")
    # With its own key an upload that is repeated is the same asset, so that the whole job is the same.
    return client.assets.upload(file, idempotency_key=f"{idempotency_key}-{number}" if idempotency_key else None).id


def _pairs(given: Sequence[str], option: str, read: Any) -> dict[str, Any]:
    found = {}
    for pair in given:
        name, is_given, value = pair.partition("=")
        if not is_given or not name:
            raise typer.BadParameter(f"must be NAME=VALUE, not {pair!r}", param_hint=option)
        found[name] = read(value)
    return found


def _value(text: str) -> Any:
    """`8`, `true`, `[1]` as JSON means them; everything else is text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, float) and not math.isfinite(value) else value


def _awaited(client: Darkroom, job: Job) -> Job:
    """The job at its end; what happens until then is shown on stderr."""
    from api.cli import following, progress, terminal

    with progress.on(terminal.console(stderr=True)) as display:
        return following.follow(client, [job.id], display, lambda _: None)[0]


def _downloaded(client: Darkroom, job: Job, out_dir: Path) -> list[Path]:
    out_dir.mkdir(parents=True, exist_ok=True)
    many = len(job.artifacts) > 1
    return [
        client.artifacts.download(each, out_dir / f"{job.id}{f'-{each.index}' if many else ''}.{each.extension}")
        for each in job.artifacts
    ]


def _tell(job: Job, as_json: bool) -> None:
    from api.cli import terminal

    if as_json:
        terminal.print_json(job.raw)
    else:
        terminal.show(f"{job.id} is {job.state}{f': {job.why}' if job.why else ''}")


def _say(line: str) -> None:
    typer.echo(line)


def _exit_unless(is_well: bool) -> None:
    if not is_well:
        raise typer.Exit(FAILED)


def _fail(code: int, *lines: str) -> NoReturn:
    typer.echo("\n".join(lines), err=True)
    raise typer.Exit(code)


def _told(error: Exception) -> tuple[int, list[str]] | None:
    """Exit code and lines for a trouble that people can do something about; None for a bug."""
    from api.cli.demo.jobs_file import BadFile
    from api.cli.demo.system import SystemFailed
    from api.client import ApiError, ClientError, Unreachable
    from shared.errors import DarkroomError, SettingsError

    if isinstance(error, ApiError):
        return REFUSED, _problem(error)
    if isinstance(error, Unreachable):
        return UNREACHABLE, [str(error), "is it running? `darkroom up` starts it, `darkroom doctor` looks at its parts"]
    if isinstance(error, BadFile | SettingsError):
        return USAGE, [str(error)]
    if isinstance(error, ClientError | SystemFailed | DarkroomError):
        return FAILED, [str(error)]
    if isinstance(error, OSError) and error.filename is not None:
        return FAILED, [f"{error.filename}: {error.strerror}"]
    return None


def _problem(error: Any) -> list[str]:
    """What the API said; a wrong key gets a word on what to do."""
    asked = f" (request {error.request_id})" if error.request_id else ""
    lines = [f"{error.code}: {error.detail}{asked}"]
    if error.status == 401:
        lines.append(
            "set DARKROOM_API_KEY to a key that is not revoked; an admin makes one with `darkroom keys create`"
        )
    return lines


def _stop_with_parent() -> None:
    """Stop, as on SIGTERM, when the process that started this one is gone."""
    parent = os.getppid()

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=look, name="parent", daemon=True).start()


def main() -> None:
    app()


if __name__ == "__main__":
    main()
