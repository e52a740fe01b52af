"""The file of a demo: one job on each line, as the API takes it, and a few words that tie them together.  Pure.

Besides the fields of `POST /v1/jobs` a line may have `ref`, a name for other lines to use.  An input may be
`{"upload": "boat.png"}`, a file beside this one, or `{"job": REF}`, the result of an earlier line; a parameter may
be `{"task": REF}`, the upstream task of one, or `{"task": REF, "and": "U2"}`, with a word behind it.  A line with
`of` is a follow-up on the result of that earlier line, and has the fields of `POST /v1/jobs/{id}/actions`.
examples/README.md explains it to users.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Body = Mapping[str, Any]


class BadFile(Exception):
    """A line that is not what it should be; the message names it."""


@dataclass(frozen=True)
class Wanted:
    """One job that the file asks for."""

    number: int
    """Its place in the file, from 1; blank lines and comments are not counted."""
    ref: str | None
    of: str | None
    """The `ref` of the job whose result it follows up on."""
    body: Body
    """What the API is sent, once uploads and references have been replaced by ids."""

    @property
    def uploads(self) -> list[str]:
        return [each["upload"] for each in _references(self.body) if "upload" in each]

    @property
    def needs(self) -> set[str]:
        """The refs that must have become jobs before this one can be submitted."""
        named = {each["job"] for each in _references(self.body) if "job" in each}
        return named | self.needs_ended

    @property
    def needs_ended(self) -> set[str]:
        """Those of them that must have succeeded: it follows up on what they came to."""
        tasks = {str(value["task"]) for value in self.body.get("params", {}).values() if _is_task(value)}
        return tasks | ({self.of} if self.of is not None else set())


def read(text: str, name: str) -> list[Wanted]:
    """The jobs of a file; `name` is what messages call it.

    Raises:
        BadFile: no job at all, or the first line that is wrong.
    """
    found: list[Wanted] = []
    refs: set[str] = set()
    for line_number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            wanted = _wanted(line, len(found) + 1, refs)
        except BadFile as error:
            raise BadFile(f"{name}, line {line_number}: {error}") from None
        found.append(wanted)
        refs |= {wanted.ref} if wanted.ref is not None else set()
    if not found:
        raise BadFile(f"{name} has no job in it")
    return found


def resolved(
    body: Body, asset_ids: Mapping[str, str], job_ids: Mapping[str, str], task_ids: Mapping[str, str]
) -> dict[str, Any]:
    """The body as the API takes it: uploads as asset ids, refs as the ids of jobs or of upstream tasks."""
    inputs = {role: _resolved_role(value, asset_ids, job_ids) for role, value in body.get("inputs", {}).items()}
    params = {
        name: _resolved_task(value, task_ids) if _is_task(value) else value
        for name, value in body.get("params", {}).items()
    }
    return {**body, **({"inputs": inputs} if inputs else {}), **({"params": params} if params else {})}


def _is_task(value: Any) -> bool:
    return isinstance(value, dict) and "task" in value and set(value) <= {"task", "and"}


def _resolved_task(value: Mapping[str, Any], task_ids: Mapping[str, str]) -> str:
    return " ".join([task_ids[str(value["task"])], *([str(value["and"])] if "and" in value else [])])


def _wanted(line: str, number: int, refs: set[str]) -> Wanted:
    try:
        body = json.loads(line)
    except ValueError as error:
        raise BadFile(f"not JSON ({error})") from None
    if not isinstance(body, dict):
        raise BadFile("must be a JSON object, as {…}")
    ref, of = _name(body, "ref"), _name(body, "of")
    if of is None and not isinstance(body.get("model"), str):
        raise BadFile('needs a "model" (or "of", to follow up on another line)')
    if of is not None and "action" not in body and "custom_id" not in body:
        raise BadFile('a line with "of" needs an "action", as "upscale"')
    if ref in refs:
        raise BadFile(f"ref {ref!r} is used twice")
    wanted = Wanted(number, ref, of, body)
    if not isinstance(body.get("inputs", {}), dict):
        raise BadFile('inputs must be an object, as {"images": […]}')
    if not isinstance(body.get("params", {}), dict):
        raise BadFile('params must be an object, as {"size": "1024x1024"}')
    unknown = sorted(wanted.needs - refs)
    if unknown:
        raise BadFile(f"no earlier line has the ref {unknown[0]!r}")
    return wanted


def _name(body: dict[str, Any], key: str) -> str | None:
    value = body.pop(key, None)
    if value is not None and not isinstance(value, str):
        raise BadFile(f"{key} must be a text")
    return value


def _references(body: Body) -> Iterator[Mapping[str, str]]:
    """The inputs that stand for something: `{"upload": …}` and `{"job": …}`."""
    for value in body.get("inputs", {}).values():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                yield {key: str(each[key]) for key in ("upload", "job") if key in each}


def _resolved_role(value: Any, asset_ids: Mapping[str, str], job_ids: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_resolved(each, asset_ids, job_ids) for each in value]
    return _resolved(value, asset_ids, job_ids)


def _resolved(value: Any, asset_ids: Mapping[str, str], job_ids: Mapping[str, str]) -> Any:
    if not isinstance(value, dict):
        return value
    if "upload" in value:
        return asset_ids[str(value["upload"])]
    if "job" in value:
        return {**value, "job": job_ids[str(value["job"])]}
    return value
