"""Bodies that callers send, read as new-api reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from fastapi import Request

from deploy.sandbox.replies import Refused, openai_error


async def json_fields(request: Request) -> dict[str, Any]:
    """The JSON object.

    Raises:
        Refused: it is none, or its model is no text (images 2.2).
    """
    try:
        fields = json.loads(await request.body())
    except ValueError as error:
        raise Refused(openai_error(400, "", "invalid character looking for beginning of value")) from error
    if not isinstance(fields, dict) or not isinstance(fields.get("model", ""), str):
        raise Refused(openai_error(400, "", "json: cannot unmarshal into Go struct field .model of type string"))
    return fields


def last_said(messages: Any) -> Any:
    """What the user said last in a conversation.

    Raises:
        Refused: there is none.
    """
    if not isinstance(messages, list) or not messages:
        raise Refused(openai_error(500, "invalid_request", "field messages is required"))
    said = [one.get("content") for one in messages if isinstance(one, dict) and one.get("role") == "user"]
    return said[-1] if said else ""


def texts(content: Any) -> Iterator[str]:
    """Those of a message: it is one, or has parts."""
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else []:
        if isinstance(part, dict) and part.get("type") == "text":
            yield str(part.get("text", ""))
