"""What the answer to a submit means: accepted, refused, or a window that is filled in at once.  Pure.

Contract: gateway/midjourney-and-video.md 1.6, 2.2, 2.3, 4.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from shared.gateway import classify, reading
from shared.gateway.adapters.midjourney import requests, windows
from shared.gateway.call import Call
from shared.gateway.outcome import Accepted, Continued, ErrorClass, Outcome, Produced, Refused
from shared.gateway.request import Response

ACCEPTED: Final = frozenset({0, 1, 21, 22, 200})
"""Codes of a submit result that has a task: accepted, exists already, queued, and what re-implementations say (2.3)."""


def read_submit(response: Response, call: Call) -> Outcome:
    """What came of a submit: judged by the `code` in the body, never by the HTTP status.

    Reply: the submit result of 2.2.

    Raises:
        UnreadableReply: no such object, a code that nobody listed, or success without a task id.
    """
    body = reading.object_of(response)
    code = _number(body.get("code"))
    if code is not None and code in classify.MIDJOURNEY:
        return _refused(body, code)
    task_id = reading.first_id(body, "result")
    if code not in ACCEPTED or not task_id:
        raise reading.unreadable(f"a submit result with code {code} and task id {task_id or 'missing'}", body)
    # Some buttons make several tasks, named with commas; the first is the one that can be followed (2.2).
    return Accepted(task_id.split(",")[0].strip(), "queued" if code == 22 else "")


def read_press(response: Response, call: Call) -> Outcome:
    """The same for a button; if it opened a window, that is filled in at once, since it does not stay open (3.7).

    What the job does not say, the window does: it comes with the prompt of the picture that is changed.
    """
    outcome = read_submit(response, call)
    body = reading.object_of(response)
    code = _number(body.get("code"))
    if not isinstance(outcome, Accepted) or not windows.opens(body, code):
        return outcome
    charged = not windows.is_free(call.params.given().get("custom_id", ""), code)
    prompt = windows.words_for(body, call.prompt)
    if not prompt:
        message = "this button opened a window (modal) that wants a prompt; give the job one"
        return classify.refused(ErrorClass.INVALID_REQUEST, "modal_required", message, charged=charged)
    return Continued(
        requests.fill_in(call, outcome.task_id, prompt),
        charged=charged,
        read=lambda answer: read_submit(answer, call),
    )


def read_seed(response: Response, call: Call) -> Outcome:
    """The seed of a task, as text: it may be longer than a number of JSON is exact (4.3).

    Many deployments cannot tell it and say so in many ways.  The query is free, so whatever is no seed is a failure
    that may be tried again, never an outcome that nobody knows.
    """
    body = next((one for one in classify.documents(response.body) if isinstance(one, Mapping)), {})
    code = _number(body.get("code"))
    seed = reading.first_id(body, "result", "properties.seed", "seed")
    if code in ACCEPTED and seed:
        return Produced((), {"task_id": call.params.given()["task_id"], "seed": seed})
    refused = _refused(body, code) if code is not None and code in classify.MIDJOURNEY else None
    if refused is not None and refused.error.error_class in classify.FINAL:
        return refused
    words = classify.said(body).message or "the gateway told no seed"
    return classify.refused(ErrorClass.TASK_FAILED, "no_seed", words)


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else None


def _refused(body: Mapping[str, Any], code: int) -> Refused:
    refused = classify.submit_refusal(body, code)
    word = reading.first_text(body, "properties.bannedWord")
    if not word:
        return refused
    return Refused(replace(refused.error, message=classify.clean(f"{refused.error.message}: {word}")))
