"""Jobs, models, keys, balances, lanes, usage and findings, as people read them on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table
from rich.text import Text

from api.cli import terminal
from api.client import Balance, GatewayBalance, Job, JobEvent, Key, Lane, Model, Usage, UsageGroup

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
        *_held(found.raw.get("held") or {}),
        *(("artifact", _artifact(each)) for each in found.artifacts),
        *_result(found.raw.get("result") or {}),
    ]
    return terminal.table(("", ""), [fact for fact in facts if fact[1]])


def _held(held: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is known of a call whose outcome is not, a line each."""
    if not held:
        return []
    came, balance = held["came_back"], held["balance"]
    status = f"HTTP {came['upstream_status']}" if came["upstream_status"] else ""
    said = ", ".join(filter(None, (came["code"], status, came["message"], came["body"] or "")))
    return [
        ("held since", _clock(held["since"])),
        ("sent", _clock(held["sent_at"])),
        ("came back", f"{_clock(came['at'])} {said}".strip()),
        ("request id", came["upstream_request_id"] or ""),
        ("balance before", _money(balance["before"], balance["before_at"])),
        ("balance after", _money(balance["after"], balance["after_at"])),
        ("used between", f"${balance['used_between']} by all jobs" if balance["used_between"] is not None else ""),
        ("balance", balance["unknown_because"] or ""),
        *(("searched", f"{_clock(one['at'])} {one['told']}") for one in held["looked_for"]),
        ("searched next", _clock(held["looks_again_at"])),
        ("what to do", held["what_to_do"]),
    ]


def _clock(moment: str | None) -> str:
    return terminal.clock(datetime.fromisoformat(moment)) if moment else ""


def _money(amount: str | None, moment: str | None) -> str:
    return f"${amount} at {_clock(moment)}" if amount is not None else ""


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


def balance(found: GatewayBalance) -> Table:
    """A line for each that may run out."""
    rows = []
    for one in found.credentials:
        name = f"{one.name}: " if len(found.credentials) > 1 else ""
        rows.append(_balance(f"{name}key", one.token))
        if one.user is not None:
            rows.append(_balance(f"{name}user", one.user))
    columns = ("whose", "stands", "left", "used", "granted", "expires", "seen", "trouble")
    return terminal.table(columns, rows, title=f"{_dollars(found.remaining_usd) or 'an unknown amount'} left to spend")


def _balance(whose: str, found: Balance) -> tuple[str, ...]:
    return (
        whose,
        found.status or "unknown",
        "no limit" if found.is_unlimited else _dollars(found.remaining_usd),
        _dollars(found.used_usd),
        _dollars(found.total_usd),
        terminal.clock(found.expires_at),
        terminal.clock(found.seen_at) or "never",
        found.error or "",
    )


def _dollars(amount: Decimal | None) -> str:
    return "" if amount is None else f"${amount}"


def lanes(found: Iterable[Lane]) -> Table:
    rows = [
        (
            lane.name,
            f"{lane.in_flight} of {lane.limit_now}",
            str(lane.queued),
            f"{lane.rate_per_minute} a minute{f', {lane.per_day} a day' if lane.per_day is not None else ''}",
            _standing(lane),
        )
        for lane in found
    ]
    return terminal.table(("lane", "in flight", "queued", "rate", "stands"), rows)


def _standing(lane: Lane) -> str:
    """Paused until when and why, or slowed down from what."""
    if lane.is_paused:
        until = terminal.clock(lane.paused_until)
        return f"paused{f' until {until}' if until else ''}: {lane.pause_reason or 'nobody said why'}"
    if lane.is_probing:
        return "one job at a time, until a paid call succeeds"
    return f"slowed down from {lane.limit}" if lane.limit_now < lane.limit else ""


def usage(found: Usage) -> Table:
    """The groups, and at last the total of them."""
    names = tuple(found.groups[0].keys) if found.groups else ()
    rows = [_usage(group, tuple(group.keys.values())) for group in found.groups]
    rows.append(_usage(found.total, ("total", *("" for _ in names[1:])) if names else ()))
    title = f"from {terminal.clock(found.begin)} to {terminal.clock(found.end)}"
    return terminal.table((*names, "jobs", "size", "list price", "without a price"), rows, title=title)


def _usage(group: UsageGroup, keys: tuple[str, ...]) -> tuple[str, ...]:
    counts = (str(group.jobs), terminal.size(group.size_bytes), f"${group.spend_usd}", str(group.unpriced_jobs or ""))
    return (*keys, *counts)


def findings(found: Iterable[Finding]) -> Table:
    rows = []
    for finding in found:
        mend = f"\n→ {finding.mend}" if finding.state == "wrong" and finding.mend else ""
        rows.append((MARKS[finding.state], finding.part, f"{finding.detail}{mend}"))
    return terminal.table(("", "part", "what was seen"), rows)
