"""What is known of a held attempt, and what its owner can do about it: rows to answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from api import shapes
from shared.catalog.lookup import Catalog
from shared.gateway.adapters.account import usd
from shared.gateway.call import marked
from shared.lifecycle import State
from shared.policy import OnUnknown
from shared.tables import HeldAttempt, Job


def of(session: Session, rows: Sequence[Job], catalog: Catalog) -> Mapping[str, shapes.Held]:
    """By job, what is known of its present attempt, if that was held."""
    attempts = {row.id: row for row in rows}
    found = session.execute(select(HeldAttempt).where(col(HeldAttempt.job_id).in_(attempts))).scalars()
    return {
        row.job_id: _held(row, attempts[row.job_id], catalog)
        for row in found
        if row.attempt == attempts[row.job_id].attempt
    }


def _held(row: HeldAttempt, job: Job, catalog: Catalog) -> shapes.Held:
    looked_for = [shapes.LookedFor.model_validate(one) for one in row.looked_for]
    is_held = job.state is State.HELD
    operation = catalog.operations.get(job.operation)
    can_run = operation is not None and operation.is_asynchronous
    return shapes.Held(
        since=row.held_at,
        sent_at=row.sent_at,
        came_back=_came_back(row),
        balance=_balance(row),
        looked_for=looked_for,
        looks_again_at=row.due_at if is_held else None,
        mark=marked(row.job_id, row.attempt),
        what_to_do=_what_to_do(row, can_run=can_run) if is_held else f"nothing: the job is {job.state}",
    )


def _came_back(row: HeldAttempt) -> shapes.CameBack:
    said = row.came_back
    fields = ("class", "code", "message", "upstream_status", "upstream_request_id")
    known = {name: said.get(name) for name in fields}
    return shapes.CameBack.model_validate({**known, "body": said.get("body") or None, "at": row.heard_at})


def _balance(row: HeldAttempt) -> shapes.BalanceAround:
    before, after = row.balance_before or {}, row.balance_after or {}
    return shapes.BalanceAround(
        before=before.get("remaining_usd"),
        before_at=_moment(before),
        after=after.get("remaining_usd"),
        after_at=_moment(after),
        used_between=_used(before, after),
        unknown_because=_unknown_because(row.balance_before, row.balance_after),
    )


def _moment(seen: Mapping[str, Any]) -> datetime | None:
    return datetime.fromisoformat(seen["at"]) if seen.get("at") else None


def _used(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    if before.get("used_usd") is None or after.get("used_usd") is None:
        return None
    return usd(Decimal(after["used_usd"]) - Decimal(before["used_usd"]))


def _unknown_because(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str | None:
    if before is None:
        return "no balance was seen before the call was begun"
    if after is None:
        return "the balance was not seen since; workers look every few minutes"
    if before.get("remaining_usd") is None or after.get("remaining_usd") is None:
        return "the key has no limit of its own; see what it used"
    return None


def _what_to_do(row: HeldAttempt, *, can_run: bool) -> str:
    """In plain words, with the calls as they are to be made."""
    call, command = f"POST /v1/jobs/{row.job_id}/resolve", f"darkroom resolve {row.job_id}"
    said = []
    if row.due_at is not None:
        then = {OnUnknown.RETRY: ", then it is tried again", OnUnknown.FAIL: ", then it is given up"}
        said.append(f"Its task is being searched for at the gateway{then.get(row.gives_way, '')}; you can wait.")
    said.append("Look into the gateway's own console or log whether the call was carried out and charged.")
    if can_run:
        said.append(
            f'If it has the task: {call} {{"as": "running", "task_id": "…"}}, or: {command} --as running --task-id …'
        )
    said.append(f'If it is not there, try again: {call} {{"as": "retry"}}, or: {command} --as retry')
    said.append(f'To give it up: {call} {{"as": "failed"}}, or: {command} --as failed')
    return "\n".join(said)
