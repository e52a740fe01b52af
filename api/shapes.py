"""What goes over the wire: the bodies that are taken, and the answers that are given.

What is taken refuses fields that it does not know.  Answers have their fields in the order of `api.md`.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
)
from pydantic_core import PydanticKnownError

from shared.lifecycle import EVENT_OF, State
from shared.policy import OnUnknown
from shared.tables import Scope

T = TypeVar("T")

JOB_ID = "job_01k8f0v4kge8yrbx6m4v0h2z9c"
ARTIFACT_ID = "artifact_01k8f0yq3zfw6r1d0m3c5q8tna"
ASSET_ID = "asset_01k8f0t2e5ecvs8k6a9w3r7bhd"
PROJECT_ID = "project_01k8ezz0m1fatrq4d7x2v9n5kc"
KEY_ID = "key_01k8ezz1c8ebx9t3h6g0p2m4sw"
TIME = "2026-11-20T09:14:03.218000Z"


class Taken(BaseModel):
    """A body that callers send: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Given(BaseModel):
    """An answer."""

    model_config = ConfigDict(use_attribute_docstrings=True, validate_by_name=True, serialize_by_alias=True)


# What callers send.

EVENT_TYPES = frozenset(
    {
        *("job.created", "job.progress", "job.late_result"),
        *("batch.created", "batch.progress", "batch.finished"),
        *EVENT_OF.values(),
    }
)
EVENT_FAMILIES = frozenset({"*", "job.*", "batch.*"})


def _known_event(name: str) -> str:
    if name not in EVENT_TYPES | EVENT_FAMILIES:
        raise ValueError(f"there is no such event; known are {', '.join(sorted(EVENT_TYPES | EVENT_FAMILIES))}")
    return name


def _no_flag(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticKnownError("int_type")  # else true is 1
    return value


def _bounded(labels: dict[str, str]) -> dict[str, str]:
    if len(labels) > 16:
        raise ValueError(f"must be at most 16 pairs, not {len(labels)}")
    return labels


NO_FLAG = BeforeValidator(_no_flag)
EventName = Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_event)]
Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=512)],
    ],
    AfterValidator(_bounded),
]


class Webhook(Taken):
    """Where the news of this one job goes, besides the project's webhook endpoints.

    It is checked and kept with the job.  This version does not deliver it yet: follow the job with `?wait=`.
    """

    url: Annotated[str, StringConstraints(min_length=1, max_length=2048)] = Field(
        examples=["https://shop.example/hooks"]
    )
    events: list[EventName] = Field(
        default=["job.succeeded", "job.failed", "job.canceled"],
        min_length=1,
        max_length=32,
        examples=[["job.succeeded", "job.failed"]],
    )
    """Event types, or `job.*`."""


class JobInput(Taken):
    """The result of another job of the same project; this one waits for it."""

    job: Annotated[str, StringConstraints(max_length=64)] = Field(examples=[JOB_ID])
    index: Annotated[int, Field(ge=0, le=63), NO_FLAG] = 0
    """Which of its artifacts, from 0."""


def _kind_of(value: Any) -> str | None:
    return "an address" if isinstance(value, str) else "a result" if isinstance(value, dict | JobInput) else None


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


INPUT_TOLD = 'must be an https:// URL, a data: URL, asset_…, artifact_…, or {"job": "job_…", "index": 0}'

# One member or the other: else a mistake in one would be told of both.
Input = Annotated[
    Annotated[str, Tag("an address")] | Annotated[JobInput, Tag("a result")],
    Discriminator(_kind_of, custom_error_type="input", custom_error_message=INPUT_TOLD),
]
"""An `https://` URL, a `data:` URL, `asset_…`, `artifact_…`, or the result of another job."""
InputList = Annotated[
    list[Input], Field(max_length=64), BeforeValidator(_as_list, json_schema_input_type=list[Input] | Input)
]
Inputs = dict[Annotated[str, StringConstraints(min_length=1, max_length=32)], InputList]


class Wishes(Taken):
    """How a job is to be treated, whatever it makes."""

    priority: Annotated[int, Field(ge=0, le=9), NO_FLAG] = 5
    """Higher goes first."""
    ttl_seconds: Annotated[int, Field(ge=1, le=365 * 86400), NO_FLAG] | None = None
    """Past this the job fails, whatever its state.  Left out: it has all the time there is."""
    max_attempts: Annotated[int, Field(ge=1, le=10), NO_FLAG] = 3
    """How many paid calls it may take."""
    on_unknown: OnUnknown = OnUnknown.HOLD
    """What to do when nobody can tell whether a paid call went through: `hold` for a person, `retry`, or `fail`."""
    metadata: Metadata = Field({}, examples=[{"sku": "A-113"}])
    """Up to 16 string pairs of your own; found with `?metadata.sku=A-113`."""
    webhook: Webhook | None = None
    """Kept with the job, and not delivered yet by this version."""


class NewJob(Wishes):
    """One request for media."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "sora-2",
                    "prompt": "a paper boat on a rainy street, slow dolly shot",
                    "inputs": {"images": ["https://example.com/first-frame.png"]},
                    "params": {"seconds": 8, "size": "1280x720"},
                    "priority": 5,
                    "ttl_seconds": 3600,
                    "max_attempts": 3,
                    "on_unknown": "hold",
                    "metadata": {"sku": "A-113"},
                    "webhook": {"url": "https://shop.example/hooks", "events": ["job.succeeded", "job.failed"]},
                }
            ]
        }
    )

    model: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """A model of the catalog (`GET /v1/models`), or any other of the gateway's together with `operation`."""
    operation: Annotated[str, StringConstraints(max_length=64)] | None = None
    """What to do with it; left out, what the catalog says."""
    prompt: str | None = None
    inputs: Inputs = {}
    """By role, as `images` or `mask`: one input or a list of them."""
    params: dict[str, Any] = {}
    """The operation's own parameters, as `GET /v1/models` describes them."""


class NewAction(Wishes):
    """A follow-up on a result: a button of a Midjourney job, or what else can be made of a film or a picture."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"action": "upscale", "index": 2}, {"custom_id": "MJ::JOB::upsample::2::7d2f0c11"}]
        }
    )

    action: Literal["upscale", "variation", "reroll", "zoom", "pan", "inpaint", "animate", "remix"] | None = None
    index: Annotated[int, Field(ge=1, le=64), NO_FLAG] | None = None
    """Which of the pictures or films, from 1, as on the button U2."""
    direction: Literal["left", "right", "up", "down", "subtle", "strong", "creative"] | None = None
    """Where to pan, or which kind of upscale or variation of a single picture."""
    custom_id: Annotated[str, StringConstraints(min_length=3, max_length=512)] | None = None
    """In place of `action`: the button itself, from `result.buttons`."""
    prompt: str | None = None
    """What is to be different; left out, the parent's where the action can do without.  `zoom` reads `--zoom 1.8`."""
    inputs: Inputs = {}
    """For `inpaint`: `{"mask": …}`."""
    params: dict[str, Any] = {}
    """Of the operation that is asked for, as `mode` or `motion`; left out, `mode` is the parent's."""
    priority: Annotated[int, Field(ge=0, le=9), NO_FLAG] | None = None  # type: ignore[assignment]
    """Left out, the parent's."""


class Resolution(Taken):
    """What a person found out about a held job."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"as": "running", "task_id": "video_abc"}]})

    outcome: Literal["failed", "retry", "running"] = Field(alias="as")
    """It came to nothing; try it again; or the gateway has it, as `task_id`."""
    task_id: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    """The upstream task, with `running`."""


class AssetFromUrl(Taken):
    """An input that we fetch."""

    url: Annotated[str, StringConstraints(min_length=1, max_length=8192)] = Field(
        examples=["https://example.com/first-frame.png"]
    )


class NewProject(Taken):
    name: Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)] = Field(
        examples=["autumn launch"]
    )


class NewKey(Taken):
    name: Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)] = Field(
        examples=["shop backend"]
    )
    scopes: list[Scope] = Field(default=[Scope.READ, Scope.WRITE], min_length=1, max_length=3)
    """`read` looks, `write` makes and cancels jobs, `admin` makes keys; each includes those before it."""
    project_id: str | None = Field(None, examples=[PROJECT_ID])
    """Another project than the caller's: for keys of the first project alone, the operator's."""


class LaneChange(Taken):
    """What is to be different about a lane; what is left out stays."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"limit": 5, "rate_per_minute": 30}, {"paused": True, "reason": "the provider has trouble"}]
        }
    )

    limit: Annotated[int, Field(ge=0, le=100_000), NO_FLAG] | None = None
    """Jobs in flight at once, by all workers together; 0 lets none go.  Null: the catalog's again."""
    rate_per_minute: Annotated[int, Field(ge=1, le=1_000_000), NO_FLAG] | None = None
    """Paid calls begun in a minute, at most.  Null: the catalog's again."""
    per_day: Annotated[int, Field(ge=0, le=100_000_000), NO_FLAG] | None = None
    """Paid calls begun in a day (UTC), at most.  Null: the catalog's again, which is any number as a rule."""
    paused: Annotated[bool, Field(strict=True)] | None = None
    """`true` lets nothing more go until somebody says `false`, which ends any pause and any probing."""
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)] | None = None
    """Of the pause, for those who wait."""


# What callers get.


def _is_none(value: Any) -> bool:
    return value is None


class Page(Given, Generic[T]):
    """One page of a list, newest first."""

    data: list[T]
    has_more: bool
    next_cursor: str | None
    """To be sent as `cursor` for the next page; null at the end."""


class Upstream(Given):
    """The gateway's own view of the present attempt."""

    task_id: str | None = Field(examples=["video_abc"])
    status: str | None = Field(examples=["completed"])


class Measured(Given):
    """What all stored media have."""

    kind: Literal["image", "video", "audio", "text", "document"]
    content_type: str = Field(examples=["image/png"])
    """As the bytes say, whatever anybody called it."""
    bytes: int = Field(examples=[1834455])
    sha256: str
    width: int | None = Field(examples=[1280])
    height: int | None = Field(examples=[720])
    duration_seconds: float | None = Field(examples=[8.0])


class Links(Given):
    url: str = Field(examples=[f"https://host/v1/artifacts/{ARTIFACT_ID}/content"])
    """Never changes, and needs a key."""
    download_url: str
    """Presigned now; needs no key."""
    download_url_expires_at: datetime = Field(examples=[TIME])
    thumbnail_url: str | None
    """Presigned; null where there is no thumbnail or poster."""


class Placed(Given):
    id: str = Field(examples=[ARTIFACT_ID])
    index: int = Field(examples=[0])
    """Place among the outputs of its job, from 0."""


class JobArtifact(Links, Measured, Placed):
    """A stored result, inside its job."""

    late: Literal[True] | None = Field(None, exclude_if=_is_none)
    """It came after the job had ended or given up on its attempt, and was paid for; left out otherwise."""
    attempt: int | None = Field(None, exclude_if=_is_none)
    """Whose result it is, with `late`."""


class JobError(Given):
    """Why there is no result."""

    error_class: str = Field(alias="class", examples=["content_policy"])
    code: str = Field(examples=["moderation_blocked"])
    message: str
    retryable: bool
    """Whether the same request may go better another time."""
    upstream_status: int | None = Field(examples=[400])
    upstream_request_id: str | None


class CameBack(Given):
    """What the gateway said, or how the call broke off."""

    error_class: str = Field(alias="class", examples=["unknown_outcome"])
    code: str = Field(examples=["worker_died"])
    message: str = Field(examples=["its worker died while the paid call was under way"])
    upstream_status: int | None = Field(examples=[504])
    """HTTP status; null: there was no answer."""
    upstream_request_id: str | None
    """The gateway's own id of the call, by which its operator can look it up."""
    body: str | None = Field(examples=["an HTML page"])
    """Beginning of the answer, without keys and data; null: none came."""
    at: datetime | None = Field(examples=[TIME])
    """When that was; null: nobody lived to hear of it."""


class BalanceAround(Given):
    """What the gateway's key had left before the call and after it.  Other jobs spend from it, too."""

    before: str | None = Field(examples=["7.631"])
    """Left, as last seen before the call was begun; null: not known, or the key has no limit."""
    before_at: datetime | None = Field(examples=[TIME])
    after: str | None = Field(examples=["7.531"])
    """The same as first seen after the job was held."""
    after_at: datetime | None = Field(examples=[TIME])
    used_between: str | None = Field(examples=["0.10"])
    """What the gateway says that the key used between the two looks, by all its jobs."""
    currency: Literal["USD"] = "USD"
    unknown_because: str | None = Field(examples=[None])
    """Why one of them is null; null: both are known."""


class LookedFor(Given):
    """One search for the upstream task of the call."""

    at: datetime = Field(examples=[TIME])
    found: str | None = Field(examples=["1772611200345018"])
    """The task that the job goes on as; null: it was not to be seen, which proves nothing."""
    told: str = Field(examples=["no task that the gateway lists has its mark"])


class Held(Given):
    """What is known of a call whose outcome is not: for whoever must decide about it."""

    since: datetime = Field(examples=[TIME])
    sent_at: datetime | None = Field(examples=[TIME])
    """When the paid call was begun."""
    came_back: CameBack
    balance: BalanceAround
    looked_for: list[LookedFor]
    """Searches at the gateway, oldest first; empty where it shows nothing to search."""
    looks_again_at: datetime | None = Field(examples=[TIME])
    """When it is searched for next; null: not again."""
    mark: str = Field(examples=[f"{JOB_ID}.1"])
    """What the call carried as `state`, where the gateway has such a field."""
    what_to_do: str


class Cost(Given):
    estimated: str | None = Field(examples=["0.80"])
    """By the catalog's list price; null for a model that it does not know."""
    currency: Literal["USD"] = "USD"


Reason = Literal["lane_limit", "rate", "lane_paused", "batch_paused", "budget", "retry_at", "inputs"]


class Queue(Given):
    """Why a job waits, and for how long."""

    reason: Reason | None = Field(examples=["lane_limit"])
    """Null: nothing is in its way, it goes with the next look at the queue."""
    detail: str | None = Field(None, examples=["the gateway refuses the key"], exclude_if=_is_none)
    """The same for people, where there is more to say: why its lane is paused."""
    position: int | None = Field(examples=[3])
    """In its lane, from 1; null if it is far back, or not in line yet."""
    eta_seconds: int | None = Field(examples=[42])
    """An estimate of the seconds until it goes; null if nobody can tell."""


class Job(Given):
    """One request for media, as it is now."""

    id: str = Field(examples=[JOB_ID])
    object: Literal["job"] = "job"
    state: State = Field(examples=["succeeded"])
    state_reason: str | None
    """For people: why it is where it is, when that is not plain."""
    operation: str = Field(examples=["video.create"])
    model: str = Field(examples=["sora-2"])
    prompt: str = Field(examples=["a paper boat on a rainy street, slow dolly shot"])
    inputs: dict[str, Any] = Field(examples=[{"images": ["https://example.com/first-frame.png"]}])
    """As they were given; data URLs are shortened."""
    params: dict[str, Any] = Field(examples=[{"seconds": 8, "size": "1280x720"}])
    priority: int
    progress: int = Field(examples=[100])
    """Percent."""
    attempt: int
    """Number of the present or last paid call; 0 before the first."""
    max_attempts: int
    on_unknown: OnUnknown
    batch_id: str | None
    batch_index: int | None
    schedule_id: str | None
    parent_id: str | None
    """The job that this one follows up on."""
    upstream: Upstream
    artifacts: list[JobArtifact]
    result: dict[str, Any] | None
    """What is not media: text, buttons, seed."""
    error: JobError | None
    cost: Cost
    created_at: datetime = Field(examples=[TIME])
    submitted_at: datetime | None
    """When the call of the present attempt began; null until then, also after a retry."""
    upstream_finished_at: datetime | None
    finished_at: datetime | None
    deadline_at: datetime | None
    metadata: dict[str, str]
    held: Held | None = None
    """While it is held, and after that as long as it is at the same attempt; null otherwise."""
    queue: Queue | None = Field(None, exclude_if=_is_none)
    """While it is waiting or queued; left out otherwise."""


class DryRun(Given):
    """What would be asked for, and what that would cost."""

    object: Literal["dry_run"] = "dry_run"
    operation: str = Field(examples=["video.create"])
    model: str = Field(examples=["sora-2"])
    lane: str = Field(examples=["default.sora"])
    """With the first credential that serves it."""
    lanes: list[str] = Field(examples=[["default.sora"]])
    """All that its jobs may go to."""
    """The limit that it would share."""
    request: dict[str, Any]
    """The job as it would be kept: defaults of the catalog filled in."""
    cost: Cost


class Event(Given):
    """One thing that happened to a job."""

    id: str = Field(examples=["event_01k8f0v4m2fm3rnq8d6a1c9b7e"])
    object: Literal["event"] = "event"
    type: str = Field(examples=["job.running"])
    job_id: str | None = Field(examples=[JOB_ID])
    attempt: int | None
    from_state: str | None = Field(examples=["submitting"])
    state: str | None = Field(examples=["running"])
    """The job's state after it."""
    cause: str | None = Field(examples=["accepted"])
    reason: str | None
    """For people."""
    data: dict[str, Any] | None
    process_id: str | None
    """The worker process that did it; null for the API."""
    created_at: datetime = Field(examples=[TIME])


class Artifact(JobArtifact):
    """A stored result."""

    object: Literal["artifact"] = "artifact"
    job_id: str = Field(examples=[JOB_ID])
    created_at: datetime = Field(examples=[TIME])


class Uploaded(Given):
    id: str = Field(examples=[ASSET_ID])
    object: Literal["asset"] = "asset"
    filename: str = Field(examples=["first-frame.png"])
    """As the uploader called it."""


class Asset(Measured, Uploaded):
    """An uploaded input."""

    created_at: datetime = Field(examples=[TIME])


class Price(Given):
    """By the list, in USD."""

    per_call: str = Field(examples=["0.00"])
    per_second: str = Field(examples=["0.10"])
    per_minute: str = Field(examples=["0.006"])
    per_million_characters: str = Field(examples=["15.00"])
    per_million_tokens: str = Field(examples=["0.02"])
    size_factors: dict[str, str] = Field(examples=[{"1792x1024": "1.666667"}])
    """By `size`, what all of this is multiplied by for it."""
    currency: Literal["USD"] = "USD"


class Model(Given):
    """One entry of the catalog."""

    id: str = Field(examples=["sora-2"])
    object: Literal["model"] = "model"
    title: str = Field(examples=["Sora 2"])
    operation: str = Field(examples=["video.create"])
    operation_with_images: str | None
    """What it does when it is given pictures and no operation, if that is another one."""
    gives: str = Field(examples=["video"])
    lane: str = Field(examples=["default.sora"])
    """With the first credential that serves it."""
    lanes: list[str] = Field(examples=[["default.sora"]])
    """All that its jobs may go to."""
    prompt: Literal["required", "optional"]
    inputs: dict[str, dict[str, int]] = Field(examples=[{"images": {"min": 0, "max": 1}}])
    """How many inputs of each role it takes."""
    params: dict[str, Any]
    """JSON schema of `params`, narrowed to this model."""
    defaults: dict[str, Any]
    """Parameters that are sent when a job does not name them."""
    price: Price
    typical_seconds: float
    available: bool | None
    """Whether the gateway's key may use it: the gateway lists it.  Null as long as that is not known."""
    available_seen_at: datetime | None = Field(examples=[TIME])
    """When the gateway last said so."""


class Lane(Given):
    """The jobs that share one limit."""

    name: str = Field(examples=["default.sora"])
    object: Literal["lane"] = "lane"
    limit: int
    """Jobs in flight at once, by all workers together."""
    in_flight: int
    queued: int
    rate_per_minute: int
    per_day: int | None
    """Paid calls that may begin in a day (UTC); null: any number."""
    left_today: int | None
    """How many of them still may today."""
    paused: bool
    paused_until: datetime | None
    """Null with `paused`: until an admin lets it go on."""
    pause_reason: str | None
    probing: bool
    """A pause of the gateway's making is over: one job at a time goes, until a paid call succeeds."""
    limit_now: int
    """What holds just now: less than `limit` for some minutes after the gateway said that it is too much."""
    slow_reason: str | None
    """What the gateway said then; null while all of `limit` holds."""
    set_by_hand: list[Literal["limit", "rate_per_minute", "per_day"]]
    """What an admin has set; the rest follows the catalog at each start."""


class Key(Given):
    """An API key, without the key."""

    id: str = Field(examples=[KEY_ID])
    object: Literal["api_key"] = "api_key"
    project_id: str = Field(examples=[PROJECT_ID])
    name: str = Field(examples=["shop backend"])
    prefix: str = Field(examples=["dk_3fH9sKx2"])
    """Its first characters."""
    scopes: list[Scope]
    created_at: datetime = Field(examples=[TIME])
    last_used_at: datetime | None
    """To the minute."""
    revoked_at: datetime | None


class FreshKey(Key):
    """A new API key: the only answer that shows it."""

    key: str | None = Field(examples=["dk_3fH9sKx2…"])
    """Shown once: null when this answer is replayed for the same Idempotency-Key."""


class Project(Given):
    id: str = Field(examples=[PROJECT_ID])
    object: Literal["project"] = "project"
    name: str = Field(examples=["autumn launch"])
    created_at: datetime = Field(examples=[TIME])


class Health(Given):
    status: Literal["ok"] = "ok"


class PartHealth(Given):
    state: Literal["ok", "down"]
    milliseconds: int = Field(examples=[3])
    detail: str | None = None
    """What is wrong."""


class Readiness(Given):
    """Whether each part answers."""

    status: Literal["ok", "down"]
    database: PartHealth
    broker: PartHealth
    s3: PartHealth


class Balance(Given):
    """What is left of something, as the gateway said last.  Money is USD; 500 000 of the gateway's units are one."""

    status: Literal["ok", "exhausted", "expired", "refused", "banned"] | None = Field(examples=["ok"])
    """`exhausted`: right, and nothing left · `expired` · `refused`: unknown or disabled · `banned`: its user is
    disabled · null: not known."""
    remaining_usd: str | None = Field(examples=["7.531"])
    used_usd: str | None = Field(examples=["2.469"])
    total_usd: str | None = Field(examples=["10.00"])
    seen_at: datetime | None = Field(examples=[TIME])
    """When the gateway said so; null: it has not yet."""
    age_seconds: int | None = Field(examples=[42])
    """How old that is by now."""
    tried_at: datetime | None = Field(examples=[TIME])
    """When it was last asked."""
    error: str | None = Field(examples=[None])
    """Why the last question told nothing new; null: it did."""


class KeyBalance(Balance):
    """What the gateway's key has left."""

    name: str | None = Field(examples=["render-farm"])
    """What the gateway's console calls the key."""
    unlimited: bool | None = Field(examples=[False])
    """It has no limit of its own: it may spend what its user has left, and `remaining_usd` is null."""
    expires_at: datetime | None = Field(examples=[None])
    """Null: never, or not known."""
    allowed_models: list[str] | None = Field(examples=[["gpt-image-1"]])
    """The only models that it may use; null: all of its group."""
    source: Literal["usage", "billing"] | None = Field(examples=["usage"])
    """How the gateway was asked.  `billing` is the older way: there the numbers may be the user's instead of the
    key's, and in the operator's currency."""


class UserBalance(Balance):
    """What the account has left that the key belongs to."""

    username: str | None = Field(examples=["farm"])
    group: str | None = Field(examples=["vip"])
    """It decides on prices and models."""
    requests: int | None = Field(examples=[913])
    """Counted by the gateway."""


class CredentialBalance(Given):
    """What can still be spent with one credential."""

    name: str = Field(examples=["default"])
    """The first part of the names of its lanes."""
    remaining_usd: str | None = Field(examples=["7.531"])
    token: KeyBalance
    user: UserBalance | None


class GatewayBalance(Given):
    """What can still be spent at the gateway."""

    object: Literal["gateway_balance"] = "gateway_balance"
    currency: Literal["USD"] = "USD"
    remaining_usd: str | None = Field(examples=["7.531"])
    """What the key can still spend: the lesser of what it and its user have left, as far as that is known.  With
    several credentials the sum of theirs: too much, if two of them belong to one user."""
    token: KeyBalance
    """Of the first credential."""
    user: UserBalance | None
    """Of the first credential.  Null where its access token is not set: only that can ask for it."""
    credentials: list[CredentialBalance]
    """Each of them, in the order of the settings."""


class UsageCounts(Given):
    """Jobs that were created in a time, what they stored, and what they cost."""

    jobs: int = Field(examples=[128])
    bytes: int = Field(examples=[164003211])
    """Of their stored results, without thumbnails."""
    spend: Cost
    """By the catalog's list price, once for each job that has a result, may have one or was canceled on its way."""
    unpriced_jobs: int = Field(examples=[0])
    """Jobs that would count in `spend`, but whose price nobody knows."""


class UsageGroup(UsageCounts):
    """The same for one group; it has the fields that were asked for in `group_by`."""

    day: date | None = Field(None, examples=["2026-11-20"], exclude_if=_is_none)
    """UTC."""
    model: str | None = Field(None, examples=["sora-2"], exclude_if=_is_none)
    operation: str | None = Field(None, examples=["video.create"], exclude_if=_is_none)
    state: State | None = Field(None, examples=["succeeded"], exclude_if=_is_none)


class Usage(Given):
    """What a project used."""

    object: Literal["usage"] = "usage"
    from_: datetime = Field(alias="from", examples=[TIME])
    to: datetime = Field(examples=[TIME])
    group_by: list[str] = Field(examples=[["day", "model"]])
    data: list[UsageGroup]
    """The newest day first."""
    total: UsageCounts
