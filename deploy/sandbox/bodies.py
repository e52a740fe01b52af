"""Bodies that callers send, read as new-api reads them."""

from __future__ import annotations

import json
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
