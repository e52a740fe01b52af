"""`python -m tests.unit.draw_operations` writes docs/operations.md anew: every operation, with an example that runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from api.cli.demo import jobs_file
from api.cli.demo.jobs_file import Wanted
from shared.catalog.entry import Entry, Operation
from shared.catalog.lookup import Catalog
from shared.gateway import taken

ROOT: Final = Path(__file__).parents[2]
PLACE: Final = ROOT / "docs" / "operations.md"
EXAMPLES: Final = ROOT / "examples" / "operations.jsonl"
CATALOG: Final = Catalog.built_in()

ACTIONS: Final = {"upscale": "midjourney.action", "inpaint": "midjourney.action", "remix": "video.remix"}
"""What the follow-ups among the examples become."""

BY_HAND: Final = {
    "midjourney.modal": Wanted(
        0,
        None,
        None,
        {
            "model": "midjourney",
            "operation": "midjourney.modal",
            "prompt": "a lantern at the bow",
            "params": {"task_id": "1768730001000000"},
            "inputs": {"mask": [{"upload": "mask.png"}]},
        },
    )
}
"""Not in the file: it fills in a window that somebody else opened, and Darkroom fills in its own by itself."""

HEAD: Final = """\
# Operations

Everything that can be asked of the gateway, drawn from `shared/catalog/` by `python -m tests.unit.draw_operations`; a
test compares the two.  The examples are the lines of [examples/operations.jsonl](../examples/operations.jsonl), which
a test submits, every one: `darkroom demo --file examples/operations.jsonl` runs them all on the sandbox gateway.  (Only
`midjourney.modal` is not among them: it fills in a window that somebody else opened.)

A job names a `model`, and its operation follows from the catalog: from what the model does, and whether there are input
images.  `operation` overrides it, within what the model can do.  Parameters are the gateway's own fields in snake_case;
its camelCase spelling is taken, too.  `GET /v1/models` says the same as JSON schema, narrowed to each model.

"""

PICTURES: Final = """\
## Input pictures

An address, a data URL, an asset, an artifact or another job's result: each adapter sends it in the way that its
endpoint wants.  A picture that goes over a limit stated below is made to fit before anything is paid for, by the least
that helps: another type first, then fewer bytes, then fewer pixels; the event `job.submitting` says what was done.
What fits goes as it came.  The first line that applies counts.

"""

TITLES: Final = {
    "image": "Pictures",
    "midjourney": "Midjourney",
    "video": "Films",
    "audio": "Sound",
    "text": "Text",
    "embedding": "Embeddings",
    "rerank": "Reranking",
}


def examples() -> list[Wanted]:
    return jobs_file.read(EXAMPLES.read_text(encoding="utf-8"), EXAMPLES.name)


def operation_of(wanted: Wanted) -> str:
    """What a line of the examples asks for."""
    if wanted.of is not None:
        return ACTIONS[str(wanted.body["action"])]
    body = wanted.body
    images = body.get("inputs", {}).get("images", [])
    entry = CATALOG.models[str(body["model"])]
    return str(body.get("operation") or (entry.operation_with_images if images else None) or entry.operation)


def drawn() -> str:
    """What docs/operations.md must say."""
    by_operation: dict[str, Wanted] = dict(BY_HAND)
    for wanted in examples():
        by_operation.setdefault(operation_of(wanted), wanted)
    families: dict[str, list[Operation]] = {}
    for operation in CATALOG.operations.values():
        families.setdefault(operation.family.partition(".")[0], []).append(operation)
    parts = [HEAD, _pictures(), *(_family(name, some, by_operation) for name, some in families.items())]
    return "".join(parts).rstrip() + "\n"


def _pictures() -> str:
    """What `shared/gateway/taken.py` says, in words."""
    lines = [f"- {rule.taken.why}: {_takes(rule.taken)}" for rule in taken.RULES]
    return PICTURES + "\n".join(lines) + "\n\n"


def _takes(one: taken.Taken) -> str:
    types = ", ".join(sorted(name.removeprefix("image/").upper() for name in one.types))
    limits = [
        f"{one.most_bytes / 1e6:g} MB each" if one.most_bytes else "",
        f"{one.together_bytes / 1e6:g} MB together" if one.together_bytes else "",
        f"{one.most_side} pixels on the longer side" if one.most_side else "",
        "the first picture exactly as large as the film" if one.is_first_frame else "",
    ]
    return "; ".join([types, *filter(None, limits)])


def _family(name: str, operations: list[Operation], example_of: Mapping[str, Wanted]) -> str:
    return f"## {TITLES[name]}\n\n" + "".join(_operation(one, example_of[one.name]) for one in operations)


def _operation(operation: Operation, example: Wanted) -> str:
    return "\n".join(
        [
            f"### `{operation.name}`",
            "",
            f"{operation.title}.  {_answers(operation)}",
            "",
            f"Models: {_models(operation)}.",
            "",
            *_inputs(operation),
            *_params(operation),
            "```json",
            json.dumps(_shown(example), ensure_ascii=False),
            "```",
            "",
            "",
        ]
    )


def _answers(operation: Operation) -> str:
    gives = {"text": "text or data, in `result`", "image": "pictures", "video": "films", "audio": "sound"}
    how = "an upstream task, looked at until it is done" if operation.is_asynchronous else "the paid call's own answer"
    return f"Gives {gives.get(operation.gives, operation.gives)}; the gateway answers with {how}."


def _models(operation: Operation) -> str:
    by_default = [name for name, entry in CATALOG.models.items() if operation.name in _own(entry)]
    also = [
        name for name, entry in CATALOG.models.items() if name not in by_default and CATALOG.serves(entry, operation)
    ]
    told = [", ".join(f"`{name}`" for name in by_default)] if by_default else []
    if also:
        told.append(("" if not told else "and ") + "when it is named, " + ", ".join(f"`{name}`" for name in also))
    return "; ".join(told)


def _own(entry: Entry) -> tuple[str | None, ...]:
    return entry.operation, entry.operation_with_images


def _inputs(operation: Operation) -> Iterator[str]:
    if not operation.inputs:
        return
    yield "| input | how many | what |"
    yield "|---|---|---|"
    for role, allowed in operation.inputs.items():
        count = str(allowed.most) if allowed.least == allowed.most else f"{allowed.least} to {allowed.most}"
        yield f"| `{role}` | {count} | {' or '.join(allowed.kinds)} |"
    yield ""


def _params(operation: Operation) -> Iterator[str]:
    schema = operation.params.model_json_schema(by_alias=False)
    if not schema["properties"]:
        return
    yield "| parameter | what may stand there | meaning |"
    yield "|---|---|---|"
    required = set(schema.get("required", ()))
    for name, field in schema["properties"].items():
        mark = " (needed)" if name in required else ""
        meaning = " ".join(str(field.get("description", "")).split()).replace("|", "\\|")
        yield f"| `{name}`{mark} | {_allowed(field, schema)} | {meaning} |"
    yield ""


def _allowed(field: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """The values in words: types, bounds, choices."""
    kinds = [kind for kind in field.get("anyOf", [field]) if kind.get("type") != "null"]
    return " or ".join(dict.fromkeys(_kind(kind, schema) for kind in kinds)).replace("|", "\\|")


def _kind(kind: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if "$ref" in kind:
        return _kind(schema["$defs"][kind["$ref"].rpartition("/")[2]], schema)
    if "enum" in kind:
        return ", ".join(f"`{value}`" for value in kind["enum"])
    if "const" in kind:
        return f"`{kind['const']}`"
    least, most = kind.get("minimum", kind.get("exclusiveMinimum")), kind.get("maximum")
    if least is not None or most is not None:
        return f"{kind['type']}, {_bounds(least, most)}"
    if kind.get("type") == "array":
        return f"list of {_allowed(kind.get('items', {}), schema)}"
    return str(kind.get("type", "any JSON"))


def _bounds(least: Any, most: Any) -> str:
    if least is None:
        return f"at most {most}"
    return f"{least} to {most}" if most is not None else f"at least {least}"


def _shown(wanted: Wanted) -> dict[str, Any]:
    """The line as it stands in the file."""
    names = {"ref": wanted.ref, "of": wanted.of}
    return {name: value for name, value in names.items() if value is not None} | dict(wanted.body)


if __name__ == "__main__":
    PLACE.write_text(drawn(), encoding="utf-8")
    print(PLACE)
