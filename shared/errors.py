"""Our errors, each with a stable code.  Pure.

    DarkroomError
    ├── CallerError              the caller can mend it; `api/problems.py` gives it an HTTP status
    │   ├── InvalidRequest       invalid_request
    │   ├── Unauthorized         unauthorized
    │   ├── Forbidden            forbidden
    │   ├── NotFound             not_found
    │   ├── Conflict             conflict
    │   ├── KeyReused            idempotency_key_reused   the same Idempotency-Key with another body
    │   ├── PayloadTooLarge      payload_too_large
    │   ├── RateLimited          rate_limited
    │   └── Unavailable          unavailable              a part of Darkroom is down
    ├── UnsafeAddress            unsafe_address           an address that others named and we do not call
    ├── FetchFailed              fetch_failed             an address that could not be fetched whole
    ├── WrongMedia               wrong_media              bytes that are not the media they should be
    ├── StorageUnavailable       storage_unavailable      S3 did not answer or refused
    ├── ObjectMissing            object_missing           S3 answered that there is no such object
    ├── InputRefused             input_refused            an input that its operation cannot use
    ├── UnreadableReply          unreadable_reply         the gateway said something outside the contract
    ├── IllegalMove              illegal_move             a bug of ours: no such move in `lifecycle.py`
    └── SettingsError            settings                 settings that do not fit, by name

What the gateway answers is never an exception: it is an outcome (`gateway/outcome.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FieldError:
    """One field of a request that is wrong.  `pointer` is a JSON pointer (RFC 6901), as `/params/seconds`."""

    pointer: str
    detail: str


class DarkroomError(Exception):
    """The root.  `str(error)` is a sentence for people; it never holds a key, a prompt or a presigned URL."""

    code: ClassVar[str] = "error"


class CallerError(DarkroomError):
    """What the caller of the API did wrong, or must know."""

    def __init__(self, detail: str, errors: tuple[FieldError, ...] = (), retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        self.retry_after_s = retry_after_s


class InvalidRequest(CallerError):
    code = "invalid_request"


class Unauthorized(CallerError):
    code = "unauthorized"


class Forbidden(CallerError):
    code = "forbidden"


class NotFound(CallerError):
    code = "not_found"


class Conflict(CallerError):
    code = "conflict"


class KeyReused(CallerError):
    code = "idempotency_key_reused"


class PayloadTooLarge(CallerError):
    code = "payload_too_large"


class RateLimited(CallerError):
    code = "rate_limited"


class Unavailable(CallerError):
    code = "unavailable"


class UnsafeAddress(DarkroomError):
    """An address that may not be called: private, with credentials, of a wrong scheme or port."""

    code = "unsafe_address"


class FetchFailed(DarkroomError):
    """A fetch that did not give a whole body."""

    code = "fetch_failed"

    def __init__(self, detail: str, status: int | None = None, too_large: bool = False) -> None:
        super().__init__(detail)
        self.status = status
        self.too_large = too_large


class WrongMedia(DarkroomError):
    """Bytes that are not the media that they should be: an error page, another kind, cut short."""

    code = "wrong_media"


class StorageUnavailable(DarkroomError):
    """S3 is down or refuses us; what was asked may be tried again."""

    code = "storage_unavailable"


class ObjectMissing(DarkroomError):
    """There is no such object."""

    code = "object_missing"


class InputRefused(DarkroomError):
    """An input that cannot be used, however often it is tried.  An adapter may say so while it builds."""

    code = "input_refused"


class UnreadableReply(DarkroomError):
    """An answer that is in no contract: neither success nor a final failure."""

    code = "unreadable_reply"


class IllegalMove(DarkroomError):
    """A state has no such cause: a bug of ours."""

    code = "illegal_move"


class SettingsError(DarkroomError):
    """Settings that are wrong or do not fit each other."""

    code = "settings"
