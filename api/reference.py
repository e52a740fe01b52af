"""The OpenAPI document as one HTML page: every operation with its parameters, an example and a curl line.  Pure.

It needs no script and loads nothing, so it can be read where there is no network and no trust.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup, escape

Schema = Mapping[str, Any]

DEPTH_MOST: Final = 6
"""So deep an example is built; schemas may hold themselves."""
FRAMEWORKS: Final = "Successful Response"
"""What FastAPI says of an answer of which nothing was said."""
KEY: Final = "Authorization: Bearer $DARKROOM_API_KEY"


@dataclass(frozen=True)
class Field:
    """One line of a table."""

    name: str
    where: str
    """`path`, `query`, `header`; of a schema's field nothing."""
    kind: str
    is_needed: bool
    description: str


@dataclass(frozen=True)
class Answer:
    """What may come back."""

    status: str
    meaning: str
    shape: str
    """Of its JSON; empty where there is none."""


@dataclass(frozen=True)
class Operation:
    """One method of one address."""

    method: str
    path: str
    summary: str
    description: str
    fields: list[Field]
    body: str | None
    """An example, as JSON; None where none is sent, or a file."""
    curl: str
    answers: list[Answer]

    @property
    def anchor(self) -> str:
        return re.sub(r"\W+", "-", f"{self.method}{self.path}").strip("-").lower()


def page(document: Schema, base_url: str) -> str:
    """
    Args:
        base_url: where the API is, for the curl lines; without a slash at the end.
    """
    operations = list(_operations(document, base_url))
    groups = [
        (tag["name"], tag["description"], [item for name, item in operations if name == tag["name"]])
        for tag in document.get("tags", [])
    ]
    shapes = {
        name: (schema.get("description", ""), _fields_of(schema))
        for name, schema in sorted(document["components"]["schemas"].items())
    }
    return _template().render(info=document["info"], groups=groups, shapes=shapes)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["prose"] = prose
    return environment.get_template("reference.html")


def prose(text: str) -> Markup:
    """Paragraphs and `code`, which is all the markup that our descriptions have."""
    coded = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", str(escape(text.strip())))
    return Markup("".join(f"<p>{part}</p>" for part in re.split(r"\n\s*\n", coded) if part))  # noqa: S704 - escaped above


def _operations(document: Schema, base_url: str) -> Iterator[tuple[str, Operation]]:
    """With the tag of each."""
    schemas = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            body = _example_of_body(said.get("requestBody"), schemas)
            yield (
                said.get("tags", ["operations"])[0],
                Operation(
                    method=method.upper(),
                    path=path,
                    summary=said.get("summary", ""),
                    description=said.get("description", ""),
                    fields=[_parameter(item) for item in said.get("parameters", [])],
                    body=body,
                    curl=_curl(method.upper(), f"{base_url}{path}", said, body),
                    answers=[_answer(status, answer) for status, answer in said["responses"].items()],
                ),
            )


def _answer(status: str, said: Schema) -> Answer:
    contents = said.get("content", {}).values()
    shape = next((kind_of(content.get("schema", {})) for content in contents), "")
    meaning = said["description"] if said["description"] != FRAMEWORKS else "Done"
    return Answer(status, meaning, shape)


def _parameter(said: Schema) -> Field:
    schema = said.get("schema", {})
    description = said.get("description") or schema.get("description", "")
    return Field(said["name"], said["in"], kind_of(schema), bool(said.get("required")), description)


def _fields_of(schema: Schema) -> list[Field]:
    needed = set(schema.get("required", ()))
    return [
        Field(name, "", kind_of(field), name in needed, field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    ]


def kind_of(schema: Schema) -> str:
    """What a schema takes, in words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    options = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    if options:
        return " or ".join(dict.fromkeys(map(kind_of, options)))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return f"list of {kind_of(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "anything")


def _example_of_body(said: Schema | None, schemas: Schema) -> str | None:
    schema = (said or {}).get("content", {}).get("application/json", {}).get("schema")
    return None if schema is None else json.dumps(example_of(schema, schemas), indent=2, ensure_ascii=False)


def example_of(schema: Schema, schemas: Schema, depth: int = 0) -> Any:
    """The example that a schema names, or one made of its needed fields."""
    if "$ref" in schema:
        return example_of(schemas[str(schema["$ref"]).rpartition("/")[2]], schemas, depth)
    for name in ("examples", "enum"):
        if schema.get(name):
            return schema[name][0]
    for name in ("example", "default", "const"):
        if name in schema:
            return schema[name]
    if schema.get("anyOf"):
        return example_of(schema["anyOf"][0], schemas, depth)
    needed = schema.get("required", ()) if depth < DEPTH_MOST else ()
    if schema.get("type") == "object":
        fields = schema.get("properties", {})
        return {name: example_of(fields[name], schemas, depth + 1) for name in needed if name in fields}
    return {"array": [], "integer": 1, "number": 1, "boolean": True}.get(schema.get("type", ""), "…")


def _curl(method: str, url: str, said: Schema, body: str | None) -> str:
    words = ["curl"] if method == "GET" else ["curl", "-X", method]
    parts = [f"{' '.join(words)} {shlex.quote(url)}"]
    if said.get("security"):
        parts.append(f'-H "{KEY}"')
    content = said.get("requestBody", {}).get("content", {})
    if "multipart/form-data" in content:
        parts.append("-F file=@picture.png")
    elif body is not None:
        parts += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(json.dumps(json.loads(body)))}"]
    return " \\\n  ".join(parts)
