"""Jobs, models, keys and findings, as people read them on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table
from rich.text import Text

from api.cli import terminal
from api.client import Job, JobEvent, Key, Model

if TYPE_CHECKING:
    from api.cli.doctor.examining import Finding


MARKS: Final = {
    "ok": Text("ok", style="green"),
    "wrong": Text("WRONG", style="bold red"),
    "not checked": Text("–", style="yellow"),
}


def jobs(found: Iterable[Job]) -> Table:
    rows = [
        (
            job.id,
            job.model,
            terminal.state(job.state),
            str(job.progress),
            terminal.seconds(job.seconds),
            terminal.shortened(job.prompt, 48),
        )
        for job in found
    ]
    return terminal.table(("job", "model", "state", "%", "seconds", "prompt"), rows)


def job(found: Job) -> Table:
    """All that there is to say of one job, a line each."""
    price = f"${found.cost_usd} (list price)" if found.cost_usd is not None else ""
    facts: list[tuple[str, str | Text]] = [
        ("job", found.id),
        ("model", f"{found.model}, {found.operation}"),
        ("state", terminal.state(found.state)),
        ("why", found.why),
        ("prompt", found.prompt),
        ("attempt", f"{found.raw.get('attempt', 0)} of {found.raw.get('max_attempts', '?')}"),
        ("parent", str(found.raw.get("parent_id") or "")),
        ("upstream", str((found.raw.get("upstream") or {}).get("task_id") or "")),
        ("price", price),
        ("created", terminal.clock(found.created_at)),
        ("finished", terminal.clock(found.finished_at)),
        ("seconds", terminal.seconds(found.seconds)),
        ("metadata", ", ".join(f"{name}={value}" for name, value in found.metadata.items())),
        *(("artifact", _artifact(each)) for each in found.artifacts),
        *_result(found.raw.get("result") or {}),
    ]
    return terminal.table(("", ""), [fact for fact in facts if fact[1]])


def _artifact(artifact: Any) -> str:
    shape = terminal.dimensions(artifact.width, artifact.height, artifact.duration_s)
    return ", ".join(filter(None, (artifact.id, artifact.content_type, shape, terminal.size(artifact.size_bytes))))


def _result(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is not media: the text, and what can be done next.  Vectors and the like are for programs."""
    buttons = [str(button.get("label") or button.get("emoji") or "?") for button in result.get("buttons") or ()]
    shown = [("text", str(result.get("text") or "")), ("offers", ", ".join(buttons))]
    is_told = any(text for _, text in shown) or not result
    return shown if is_told else [("result", f"has {', '.join(sorted(result))}: see --json")]


def events(found: Sequence[JobEvent], title: str | None = None) -> Table:
    rows = [
        (
            terminal.clock(event.created_at),
            event.type,
            str(event.attempt or ""),
            event.cause or "",
            event.reason or "",
        )
        for event in found
    ]
    return terminal.table(("when", "event", "attempt", "cause", "reason"), rows, title=title)


def models(found: Iterable[Model]) -> Table:
    rows = [
        (model.id, model.title, model.operation, terminal.seconds(model.typical_s), _price(model.raw.get("price")))
        for model in found
    ]
    return terminal.table(("model", "name", "operation", "seconds", "list price"), rows)


def _price(price: Any) -> str:
    if not isinstance(price, dict):
        return ""
    named = (("per_call", "a call"), ("per_second", "a second"))
    return ", ".join(f"${price[key]} {unit}" for key, unit in named if Decimal(str(price.get(key) or 0)) > 0)


def keys(found: Iterable[Key]) -> Table:
    rows = [
        (
            key.id,
            key.name,
            f"{key.raw.get('prefix', '')}…",
            ", ".join(key.scopes),
            terminal.clock(key.created_at),
            terminal.clock(key.last_used_at) or "never",
            terminal.clock(key.revoked_at),
        )
        for key in found
    ]
    return terminal.table(("key", "name", "begins", "scopes", "created", "last used", "revoked"), rows)


def findings(found: Iterable[Finding]) -> Table:
    rows = []
    for finding in found:
        mend = f"\n→ {finding.mend}" if finding.state == "wrong" and finding.mend else ""
        rows.append((MARKS[finding.state], finding.part, f"{finding.detail}{mend}"))
    return terminal.table(("", "part", "what was seen"), rows)
