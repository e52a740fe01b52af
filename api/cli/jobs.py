"""Commands about jobs: ask for media, follow it, steer it, take it home."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from api.cli import asking, options
from api.cli.ending import exit_unless
from api.cli.options import Api, JobId, Wishes, takes

if TYPE_CHECKING:
    from api.client import Darkroom, Job

Action = Literal["upscale", "variation", "reroll", "zoom", "pan", "inpaint", "animate", "remix"]
Direction = Literal["left", "right", "up", "down", "subtle", "strong", "creative"]


@takes(options.wishes, options.api)
def submit(
    wishes: Wishes,
    api: Api,
    model: Annotated[str, typer.Option(help="As `darkroom models` lists them.")],
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="What is wanted; some operations need none.")
    ] = None,
    operation: Annotated[str | None, typer.Option(help="Where the model's own is not meant.")] = None,
) -> None:
    """Ask for a picture, a film, a sound or a text."""
    body = {"model": model, "prompt": prompt, "operation": operation}
    _make(wishes, api, body, lambda client, body: client.jobs.create(idempotency_key=wishes.idempotency_key, **body))


@takes(options.wishes, options.api)
def action(
    wishes: Wishes,
    api: Api,
    job_id: JobId,
    name: Annotated[Action | None, typer.Argument(metavar="ACTION", help="What to do with its result.")] = None,
    index: Annotated[
        int | None, typer.Option(min=1, max=4, help="Which of its pictures, from 1, as on the button U2.")
    ] = None,
    direction: Annotated[Direction | None, typer.Option(help="Where to pan, or which kind of it.")] = None,
    custom_id: Annotated[
        str | None, typer.Option(metavar="ID", help="The button itself, from `result.buttons`, in place of ACTION.")
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="What is to be different.")] = None,
) -> None:
    """Go on from a result: upscale 2, pan left, animate, remix ….  It makes a new job.

    What a result offers stands in `darkroom job ID`.
    """
    body = {"action": name, "index": index, "direction": direction, "custom_id": custom_id, "prompt": prompt}
    key = wishes.idempotency_key
    _make(wishes, api, body, lambda client, body: client.jobs.action(job_id, idempotency_key=key, **body))


def _make(wishes: Wishes, api: Api, body: dict[str, Any], make: Callable[[Darkroom, dict[str, Any]], Job]) -> None:
    """Make a job, wait for it and save its results as far as that is wished, and tell what came of it."""
    from api.cli import printed, saving, terminal

    given = {name: value for name, value in body.items() if value is not None} | dict(wishes.body)
    if wishes.out is not None:
        wishes.out.mkdir(parents=True, exist_ok=True)  # before anything is paid for
    with api.connect() as client:
        inputs = asking.uploaded(client, wishes.inputs, wishes.idempotency_key)
        job = make(client, given | ({"inputs": inputs} if inputs else {}))
        job = _awaited(client, job) if wishes.is_awaited else job
        saved = list(saving.save(client, job, wishes.out)) if wishes.out is not None else []
    if api.as_json:
        terminal.print_json({**job.raw, "files": [str(each.file) for each in saved]} if wishes.out else job.raw)
    elif wishes.is_awaited:
        terminal.show(printed.job(job))
        for each in saved:
            terminal.show(each.told)
    else:
        terminal.show(f"{job.id} is {job.state}; follow it with: darkroom watch {job.id}")
    is_saved = all(each.outcome != "failed" for each in saved)
    exit_unless((job.state == "succeeded" and is_saved) or not wishes.is_awaited)


def _awaited(client: Darkroom, job: Job) -> Job:
    """The job at its end; what happens until then is shown on stderr."""
    from api.cli import following, progress, terminal

    with progress.on(terminal.console(stderr=True)) as display:
        return following.follow(client, [job.id], display, lambda _: None)[0]


@takes(options.api)
def list_jobs(
    api: Api,
    state: Annotated[list[str] | None, typer.Option(help="As queued or failed; repeat for any of several.")] = None,
    model: Annotated[str | None, typer.Option(help="Of this model.")] = None,
    operation: Annotated[str | None, typer.Option(help="Of this operation.")] = None,
    q: Annotated[str | None, typer.Option("--q", metavar="WORDS", help="With all these words in the prompt.")] = None,
    metadata: Annotated[list[str] | None, typer.Option(metavar="K=V", help="With this metadata; repeat.")] = None,
    after: Annotated[
        str | None, typer.Option(metavar="TIME", help="Made not before this: 2026-11-20, 2026-11-20T09:14 ….")
    ] = None,
    before: Annotated[str | None, typer.Option(metavar="TIME", help="Made before this.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many, at most.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="All there are, whatever --limit.")] = False,
) -> None:
    """List jobs, newest first."""
    from api.cli import printed, terminal

    filters: dict[str, Any] = {
        "state": state,
        "model": model,
        "operation": operation,
        "q": q,
        "created_after": asking.moment(after, "--after"),
        "created_before": asking.moment(before, "--before"),
        "metadata": asking.pairs(metadata, "--metadata", str),
    }
    with api.connect() as client:
        if everything:
            found, has_more, next_cursor = tuple(client.jobs.each(**filters)), False, None
        else:
            page = client.jobs.list(limit=limit, **filters)
            found, has_more, next_cursor = page.data, page.has_more, page.next_cursor
    if api.as_json:
        data = [job.raw for job in found]
        terminal.print_json({"data": data, "has_more": has_more, "next_cursor": next_cursor})
        return
    terminal.show(printed.jobs(found))
    if has_more:
        typer.echo(f"there are more than these {limit}: see --all, --limit and the filters of --help", err=True)


@takes(options.api)
def show_job(api: Api, job_id: JobId) -> None:
    """Show one job, and every event of its life."""
    from api.cli import printed, terminal

    with api.connect() as client:
        job, events = client.jobs.get(job_id), client.jobs.events(job_id)
    if api.as_json:
        terminal.print_json({**job.raw, "events": [event.raw for event in events]})
        return
    terminal.show(printed.job(job))
    terminal.show(printed.events(events, title="\nevents"))


@takes(options.api)
def show_events(api: Api, job_id: JobId) -> None:
    """Show every event of a job's life, oldest first."""
    from api.cli import printed, terminal

    with api.connect() as client:
        events = client.jobs.events(job_id)
    if api.as_json:
        terminal.print_json({"data": [event.raw for event in events]})
    else:
        terminal.show(printed.events(events))


@takes(options.api)
def watch(
    api: Api,
    job_ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="All unfinished if none.")] = None,
) -> None:
    """Follow jobs, live, until each is finished or held; with --json a line for each change."""
    from api.cli import following, progress, terminal

    display = progress.on(terminal.console(stderr=api.as_json))
    with api.connect() as client, display:
        wanted = list(dict.fromkeys(job_ids)) if job_ids else following.unfinished(client)
        tell = terminal.print_json if api.as_json else lambda _: None
        ended = following.follow(client, wanted, display, lambda job: tell(job.raw))
    if not ended and not api.as_json:
        typer.echo("no job is unfinished", err=True)
    exit_unless(all(job.state == "succeeded" for job in ended))


@takes(options.api)
def download(
    api: Api,
    job_ids: Annotated[list[str], typer.Argument(metavar="ID", help="job_…")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")] = Path("."),
) -> None:
    """Download all results of finished jobs, also late ones; what is there whole is skipped, what broke off goes on."""
    from api.cli import saving, terminal

    saved, unfinished = [], []
    with api.connect() as client:
        for job in [client.jobs.get(job_id) for job_id in dict.fromkeys(job_ids)]:
            if not job.artifacts and job.state != "succeeded":
                unfinished.append(job)
                typer.echo(f"{job.id} is {job.state}: it has no results", err=True)
            elif not job.artifacts:
                typer.echo(f"{job.id} gave no files; what it gave shows: darkroom job {job.id} --json", err=True)
            for each in saving.save(client, job, out):
                saved.append(each)
                if each.outcome == "failed":
                    typer.echo(each.told, err=True)
                elif not api.as_json:
                    terminal.show(each.told)
    if api.as_json:
        terminal.print_json({"data": [each.as_json() for each in saved]})
    exit_unless(not unfinished and all(each.outcome != "failed" for each in saved))


@takes(options.api)
def cancel(api: Api, job_id: JobId) -> None:
    """Cancel a job that is not finished."""
    with api.connect() as client:
        _tell(client.jobs.cancel(job_id), api.as_json)


@takes(options.api)
def retry(api: Api, job_id: JobId) -> None:
    """Queue a failed, canceled or held job again; the new attempt is paid for."""
    with api.connect() as client:
        _tell(client.jobs.retry(job_id), api.as_json)


@takes(options.api)
def resolve(
    api: Api,
    job_id: JobId,
    outcome: Annotated[
        Literal["failed", "retry", "running"],
        typer.Option("--as", help="It came to nothing; pay for another try; or the gateway has it, as --task-id."),
    ],
    task_id: Annotated[
        str | None, typer.Option(metavar="TASK", help="The upstream task that was found, with --as running.")
    ] = None,
) -> None:
    """Say what became of a held job, once somebody has looked at the gateway."""
    with api.connect() as client:
        _tell(client.jobs.resolve(job_id, outcome, task_id=task_id), api.as_json)


@takes(options.api)
def models(api: Api) -> None:
    """List the models of the catalog."""
    from api.cli import printed, terminal

    with api.connect() as client:
        found = client.models.list()
    if api.as_json:
        terminal.print_json({"data": [model.raw for model in found]})
    else:
        terminal.show(printed.models(found))


def _tell(job: Job, as_json: bool) -> None:
    from api.cli import terminal

    if as_json:
        terminal.print_json(job.raw)
    else:
        terminal.show(f"{job.id} is {job.state}{f': {job.why}' if job.why else ''}")
