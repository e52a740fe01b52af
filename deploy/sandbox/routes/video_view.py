"""How a film stands, in each of the shapes that deployments answer.  Pure.

Contract: gateway/midjourney-and-video.md 6.2 to 6.4, 6.7 to 6.9, 7.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from deploy.sandbox import sizes
from deploy.sandbox.behaviour import Behaviour
from deploy.sandbox.script import drawn
from deploy.sandbox.tasks import Phase, Task


@dataclass(frozen=True)
class View:
    """What a query is told, before it has a shape."""

    task: Task
    at: Phase
    now: float
    url: str
    """Where the film is hosted; empty while it is not to be had."""
    own_url: str
    """The gateway's own `/content` address."""
    data_url: str
    """The film itself, for the variant that wants it."""

    @property
    def is_done(self) -> bool:
        return self.at.state == "completed"

    def word(self, vocabulary: str = "stock") -> str:
        """The status, in this vocabulary unless the behaviour names another."""
        told = self.task.behaviour
        if self.at.state == "failed" and told.task == "cancelled":
            return "cancelled"
        return WORDS[vocabulary if told.words == "stock" else told.words][self.at.state]


def submitted(task: Task) -> dict[str, Any]:
    """The answer to a submit, in the shape that the task's behaviour names."""
    words = WORDS[task.behaviour.words]
    film = {
        "id": task.id,
        "task_id": task.id,
        **_head(task),
        "status": words["queued"],
        **_progress(task.behaviour, 0.0),
    }
    return CREATED[task.behaviour.create](film)


def body(view: View) -> dict[str, Any]:
    """The answer to a query in the shape that the task's behaviour names; stock's where that is another route's."""
    return SHAPES.get(view.task.behaviour.variant or "content", _plain)(view)


def old_body(view: View) -> dict[str, Any]:
    """The answer of the older query: its wrapper, unless the behaviour names another shape that it has (6.8)."""
    return SHAPES[view.task.behaviour.variant if view.task.behaviour.variant in OLD_SHAPES else "data_wrapper"](view)


WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "stock": {"queued": "queued", "running": "in_progress", "completed": "completed", "failed": "failed"},
    "upper": {"queued": "NOT_START", "running": "IN_PROGRESS", "completed": "SUCCESS", "failed": "FAILURE"},
    "lower": {"queued": "submitted", "running": "running", "completed": "success", "failed": "failure"},
    "pending": {"queued": "pending", "running": "processing", "completed": "succeeded", "failed": "fail"},
    "submitted": {"queued": "submitted", "running": "video_generating", "completed": "done", "failed": "error"},
    "mixed": {"queued": "Queued", "running": "IN-PROGRESS", "completed": "Completed", "failed": "Failed"},
    "unknown": {"queued": "unknown", "running": "brewing", "completed": "completed", "failed": "failed"},
    "blank": {"queued": "", "running": "", "completed": "completed", "failed": "failed"},
}


def _plain(view: View, **more: Any) -> dict[str, Any]:
    """The stock object: completed without an address (6.2)."""
    task = view.task
    body = {"id": task.id, **_head(task), "status": view.word(), **_progress(task.behaviour, view.at.fraction)}
    if view.is_done:
        ended = int(task.ends_at)
        body |= {"completed_at": ended, "expires_at": ended + 3600, "error": None}
    if view.at.state == "failed":
        body |= {"completed_at": int(view.now), **_failure(task.behaviour)}
    return body | more


def _failure(told: Behaviour) -> dict[str, Any]:
    """Why it failed, as far as it says (6.7)."""
    return FAILURES.get(told.task, FAILURES["fail"])


def _wrapped(view: View, **more: Any) -> dict[str, Any]:
    """The wrapper of 6.8."""
    task = view.task
    reason = _failure(task.behaviour) if view.at.state == "failed" else {}
    data = {
        "id": 811,
        "created_at": int(task.created_at),
        "updated_at": int(view.now),
        "task_id": task.id,
        "platform": "55",
        "user_id": 0,
        "group": "default",
        "channel_id": 0,
        "quota": 400_000,
        "action": task.action,
        "status": view.word("upper"),
        "fail_reason": reason.get("fail_reason") or reason.get("error", {}).get("message", ""),
        "submit_time": int(task.created_at),
        "start_time": int(task.created_at),
        "finish_time": int(task.ends_at) if view.is_done else 0,
        **_progress(task.behaviour, view.at.fraction, "percent"),
        "properties": {"input": drawn(task.prompt), "upstream_model_name": task.model, "origin_model_name": task.model},
        "data": {},
    }
    return {"code": "success", "message": "", "data": data | more}


def _unified(view: View) -> dict[str, Any]:
    changed = {"video_url": view.url, "enhanced_prompt": view.task.prompt, "status_update_time": int(view.now * 1000)}
    return {"id": view.task.id, "status": view.word(), **changed, **_reason(view)}


def _detail(view: View) -> dict[str, Any]:
    detail = {
        "id": view.task.id,
        "status": view.word(),
        "url": view.url,
        "pending_info": {"progress_pct": round(view.at.fraction, 2)},
        "failure_reason": "",
    }
    return {"id": view.task.id, "detail": detail, "status": view.word(), "video_url": view.url, **_reason(view)}


def _output_list(view: View) -> dict[str, Any]:
    done = {"url": view.url, "content_url": view.own_url, "output": [view.url]} if view.is_done else {}
    return _plain(view) | {"status": view.word("pending"), **done}


def _videos_list(view: View) -> dict[str, Any]:
    videos = [{"url": view.url}] if view.is_done else []
    return {"status": view.word("mixed"), "data": {"videos": videos}, **_reason(view)}


def _native(view: View) -> dict[str, Any]:
    """gen-3 (6.9)."""
    task = view.task
    percent = _progress(task.behaviour, view.at.fraction, "percent")
    return {
        "task_id": task.id,
        "platform": "55",
        "status": view.word("upper"),
        **percent,
        "created_at": int(task.created_at),
        "finished_at": int(task.ends_at) if view.is_done else 0,
        "fail_reason": _reason(view).get("error", {}).get("message", ""),
    }


def _live(view: View) -> dict[str, Any]:
    """The wrapper around what a Gemini or Vertex channel was asked just now (6.8)."""
    task = view.task
    words = {"queued": "queued", "running": "processing", "completed": "succeeded", "failed": "failed"}
    status = words[view.at.state]
    told: dict[str, Any] = {"error": None, "format": "mp4", "metadata": None, "status": status, "task_id": task.id}
    return {"code": "success", "message": "", "data": {**told, "url": view.url, **_reason(view)}}


def _sibling(view: View) -> dict[str, Any]:
    """What other gateways document at the older route (6.8)."""
    width, height = sizes.film_size(view.task.params["size"])
    facts = {"duration": int(view.task.params["seconds"]), "fps": 24, "width": width, "height": height, "seed": 7}
    told = {"task_id": view.task.id, "status": view.word(), "url": view.url, "format": "mp4"}
    return {**told, "metadata": facts, "error": None, **_reason(view)}


def _reason(view: View) -> dict[str, Any]:
    return _failure(view.task.behaviour) if view.at.state == "failed" else {}


SHAPES: Final[Mapping[str, Callable[[View], dict[str, Any]]]] = {
    "content": _plain,
    "content_json": _plain,
    "video_url": lambda view: _plain(view, video_url=view.url or None),
    "late_url": lambda view: _plain(view, video_url=view.url),
    "metadata_url": lambda view: _plain(view, **({"metadata": {"url": view.url}} if view.url else {})),
    "data_uri": lambda view: _plain(view, **({"metadata": {"url": view.data_url}} if view.data_url else {})),
    "unified": _unified,
    "detail": _detail,
    "output_list": _output_list,
    "videos_list": _videos_list,
    "data_wrapper": lambda view: _wrapped(view, **({"result_url": view.own_url} if view.is_done else {})),
    "fail_reason_url": lambda view: _wrapped(view, **({"fail_reason": view.url} if view.is_done else {})),
    "native": _native,
    "live": _live,
    "sibling": _sibling,
}
OLD_SHAPES: Final = frozenset({"data_wrapper", "fail_reason_url", "live", "sibling"})
"""Those of the older query."""

FAILURES: Final[Mapping[str, dict[str, Any]]] = {
    "fail": {"error": {"code": "server_error", "message": "heavy load, please try again later"}},
    "fail_bare": {},
    "fail_reason": {"fail_reason": "task failed"},
    "cancelled": {},
    "moderation": {
        "error": {"code": "moderation_blocked", "message": "The request was blocked by the moderation system."}
    },
}

PROGRESS: Final[Mapping[str, Callable[[float], dict[str, Any]]]] = {
    "int": lambda share: {"progress": int(share * 100)},
    "percent": lambda share: {"progress": f"{int(share * 100)}%"},
    "string": lambda share: {"progress": str(int(share * 100))},
    "float": lambda share: {"progress": round(share, 2)},
    "blank": lambda share: {"progress": ""},
    "text": lambda share: {"progress": "Waiting to start"},
    "none": lambda share: {},
}


def _progress(told: Behaviour, share: float, usual: str = "int") -> dict[str, Any]:
    return PROGRESS[usual if told.progress == "stock" else told.progress](share)


CREATED: Final[Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "stock": lambda film: film,
    "bare": lambda film: {name: value for name, value in film.items() if name != "task_id"},
    "task_id": lambda film: {"task_id": film["id"]},
    "wrapped": lambda film: {"code": "success", "message": "", "data": {"task_id": film["id"], "status": "NOT_START"}},
    "data_string": lambda film: {"code": "success", "message": "", "data": film["id"]},
    "created": lambda film: {
        "id": film["id"],
        "object": "video",
        "created": film["created_at"],
        "status": film["status"],
        "model": film["model"],
    },
}


def _head(task: Task) -> dict[str, Any]:
    return {
        "object": "video",
        "model": task.model,
        "created_at": int(task.created_at),
        "seconds": task.params["seconds"],
        "size": task.params["size"],
        **({"remixed_from_video_id": task.params["remixed_from"]} if task.params.get("remixed_from") else {}),
    }
