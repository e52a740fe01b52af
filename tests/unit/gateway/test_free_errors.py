"""After which errors of a provider in trouble nothing was charged, by operation (images 2.2, 2.3, 5.8, 5.10)."""

from __future__ import annotations

from typing import Final

import pytest

from shared.catalog.operations.table import OPERATIONS
from shared.gateway import reading
from shared.gateway.adapters.table import BY_OPERATION
from shared.gateway.outcome import ErrorClass, GatewayError, Outcome, Refused
from shared.gateway.request import Ambiguous, Response
from tests.unit.gateway.replies import reply

IN_TROUBLE: Final = "chat/2.3-503-upstream.json"
PLACEHOLDER: Final = "audio/5.10-503-placeholder.json"
CRASHED: Final = "audio/5.10-500-do-request-failed.json"

REPLIES: Final = frozenset(
    {
        *(IN_TROUBLE, PLACEHOLDER, CRASHED),
        *("audio/5.10-500-upstream.json", "vectors/5.8-500-upstream.json"),
    }
)

ALL: Final = frozenset({500, 502, 503, 529})
SATURATED: Final = frozenset({503, 529})
#: By operation, the statuses at which the contract says that nothing was charged; at none for all others.
FREE: Final = {
    "audio.speech": ALL,
    "embedding.create": ALL,
    "chat.completion": SATURATED,
    "response.create": SATURATED,
    "claude.message": SATURATED,
    "gemini.generate": SATURATED,
    "image.gemini": SATURATED,
}


def never_read(answer: Response) -> Outcome:
    raise AssertionError("an error is no answer")


def error(operation: str, response: Response) -> GatewayError:
    outcome = reading.outcome_of(response, never_read, BY_OPERATION[operation].free_at)
    assert isinstance(outcome, Refused)
    return outcome.error


@pytest.mark.parametrize("name", [IN_TROUBLE, PLACEHOLDER])
@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 524, 529])
@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_a_provider_in_trouble_costs_nothing_only_where_the_contract_says_so(
    operation: str, status: int, name: str
) -> None:
    found = error(operation, reply(name, status))

    is_free = status in FREE.get(operation, frozenset())
    assert found.error_class is (ErrorClass.UNAVAILABLE if is_free else ErrorClass.UNKNOWN_OUTCOME)
    assert not found.charged


@pytest.mark.parametrize(
    ("operation", "name"),
    [("audio.speech", "audio/5.10-500-upstream.json"), ("embedding.create", "vectors/5.8-500-upstream.json")],
)
def test_speech_and_vectors_that_were_not_made_are_asked_for_again(operation: str, name: str) -> None:
    assert error(operation, reply(name, 500)).error_class is ErrorClass.UNAVAILABLE


@pytest.mark.parametrize("operation", sorted(FREE))
@pytest.mark.parametrize("status", sorted(ALL))
def test_what_says_that_the_provider_was_at_work_is_believed_wherever_it_stands(operation: str, status: int) -> None:
    assert error(operation, reply(CRASHED, status)).error_class is ErrorClass.UNKNOWN_OUTCOME


@pytest.mark.parametrize("operation", sorted(FREE))
@pytest.mark.parametrize("body", [b"", b"<html>502 Bad Gateway</html>", b"upstream connect error"])
@pytest.mark.parametrize("status", sorted(ALL))
def test_an_edge_does_not_know_what_goes_on_behind_it(operation: str, status: int, body: bytes) -> None:
    assert error(operation, Response(status, body=body)).error_class is ErrorClass.UNKNOWN_OUTCOME


@pytest.mark.parametrize("operation", sorted(FREE))
def test_a_call_that_nobody_answered_may_be_charged_whatever_it_was(operation: str) -> None:
    outcome = reading.outcome_of(Ambiguous("read timed out"), never_read, BY_OPERATION[operation].free_at)

    assert isinstance(outcome, Refused)
    assert outcome.error.error_class is ErrorClass.UNKNOWN_OUTCOME


@pytest.mark.parametrize("operation", sorted(FREE))
def test_an_error_that_is_billed_stays_billed(operation: str) -> None:
    found = error(operation, reply("errors/2.2-500-empty-response.json", 503))

    assert (found.error_class, found.charged) == (ErrorClass.NO_MEDIA, True)
