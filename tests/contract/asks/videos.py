"""Films over `/v1/videos`: what a create answers, and what a query of the film says then."""

from __future__ import annotations

from typing import Any, Final

import httpx

from tests.contract.asks.ask import Ask, Family, Way, json_call, tagged
from tests.contract.shapes import Loose

CREATED: Final = json_call("/v1/videos", model="sora-2", prompt="{prompt}", seconds="8", size="1280x720")
VEO_CREATED: Final = json_call("/v1/videos", model="veo3.1-fast", prompt="{prompt}", seconds="8", size="1280x720")


def _looked_at(path: str = "/v1/videos/{id}", model: str = "sora-2") -> Way:
    """Ask for a film, and then how it stands."""

    def look(client: httpx.Client, words: str) -> httpx.Response:
        return client.get(path.format(id=_film(client, words, model)))

    return look


def _film(client: httpx.Client, words: str, model: str = "sora-2") -> str:
    fields = {"model": model, "prompt": tagged("a tin robot", words), "seconds": "8", "size": "1280x720"}
    created: dict[str, Any] = client.post("/v1/videos", json=fields).raise_for_status().json()
    return str(created["id"])


def _remix(client: httpx.Client, words: str) -> httpx.Response:
    parent = _film(client, "id_form=video")
    return client.post(f"/v1/videos/{parent}/remix", json={"prompt": tagged("at night", words)})


def _remixed(client: httpx.Client, words: str) -> httpx.Response:
    return client.get(f"/v1/videos/{_remix(client, words).json()['id']}")


def _unknown(client: httpx.Client, words: str) -> httpx.Response:
    return client.get("/v1/videos/task_that_nobody_knows")


LOOKED: Final = _looked_at()
OLD: Final = _looked_at("/v1/video/generations/{id}")
VEO: Final = _looked_at(model="veo3.1-fast")

ENDS: Final = Loose(
    r"(completed_at|expires_at|error)(: (number|null|talk))?$",
    "stock tells when a film ended, other channels do not (6.2)",
)
RUNNING: Final = "stuck=true"

ASKS: Final = {
    "0-cut-off.txt": Ask(CREATED, "cut=unnoticed", media_type="application/json"),
    "0-empty.txt": Ask(CREATED, "fail_after=200_empty"),
    "0-page.html": Ask(CREATED, "fail_after=200_page"),
    "1.1-look-401-key-exhausted.json": Ask(LOOKED, "poll_fail=401_exhausted"),
    "1.1-look-403-allow-list.json": Ask(LOOKED, "poll_fail=403_allow_list"),
    "1.3-look-200-page.html": Ask(LOOKED, "poll_fail=200_page"),
    "1.4-look-404.json": Ask(LOOKED, "poll_fail=404_task"),
    "10.1-look-outer-final-inner-running.json": Ask(OLD, "task=fail say=inner_running"),
    "2.5-look-200-error.json": Ask(LOOKED, "poll_fail=200_not_found"),
    "6.2-look-completed-at-while-running.json": Ask(VEO, f"{RUNNING} say=completed_at_early"),
    "6.3-look-cancelled.json": Ask(LOOKED, "task=cancelled"),
    "6.3-look-empty-status.json": Ask(LOOKED, f"{RUNNING} words=blank progress=blank"),
    "6.3-look-expired.json": Ask(LOOKED, "task=fail_bare say=expired"),
    "6.3-look-not-start.json": Ask(LOOKED, "latency=3600 words=upper progress=percent"),
    "6.3-look-unknown.json": Ask(LOOKED, "latency=3600 words=unknown"),
    "6.3-look-word-nobody-listed.json": Ask(LOOKED, f"{RUNNING} say=odd_word"),
    "6.4-look-100-percent-while-running.json": Ask(LOOKED, f"{RUNNING} say=all_done_while_running"),
    "6.5-create-camel-case.json": Ask(CREATED, "say=camel_case"),
    "6.5-create-failed-at-once.json": Ask(CREATED, "say=failed_at_once"),
    "6.5-create-long.json": Ask(VEO_CREATED, "id_form=long say=without_length"),
    "6.5-create-number.json": Ask(CREATED, "say=number"),
    "6.5-create-task-id-only.json": Ask(CREATED, "create=task_id"),
    "6.5-create-video-id.json": Ask(CREATED, "say=video_id"),
    "6.5-create-without-id.json": Ask(CREATED, "say=without_id"),
    "6.5-create-wrapped-id.json": Ask(CREATED, "say=wrapped_id"),
    "6.5-create-wrapped-object.json": Ask(CREATED, "say=wrapped_object"),
    "6.5-create-wrapped-text.json": Ask(CREATED, "create=data_string"),
    "6.6-look-every-source.json": Ask(LOOKED, "variant=video_url say=every_source"),
    "6.7-look-400-task-not-exist.json": Ask(_unknown),
    "6.7-look-failed-error-text.json": Ask(LOOKED, "task=fail_bare say=error_text"),
    "6.7-look-failed-fail-reason.json": Ask(LOOKED, "task=fail say=fail_reason"),
    "6.7-look-failed-moderation.json": Ask(LOOKED, "task=moderation"),
    "6.7-look-failed-size.json": Ask(LOOKED, "task=fail say=failed_size"),
    "6.7-look-failed-without-code.json": Ask(LOOKED, "task=fail say=no_error_code"),
    "6.7-look-failed-without-reason.json": Ask(LOOKED, "task=fail_bare"),
    "6.8-look-empty-record.json": Ask(OLD, "say=empty_record"),
    "6.8-look-invalid-url.json": Ask(OLD, "query=videos", 404),
    "6.8-look-live.json": Ask(OLD, "variant=live"),
    "6.8-look-sibling.json": Ask(OLD, "variant=sibling"),
    "6.8-look-url-in-fail-reason.json": Ask(OLD, "variant=fail_reason_url"),
    "6.8-look-wrapper-failed.json": Ask(OLD, "task=fail"),
    "6.8-look-wrapper-running.json": Ask(OLD, RUNNING),
    "6.8-look-wrapper.json": Ask(OLD),
    "6.9-look-gen-3.json": Ask(LOOKED, "variant=native"),
    "7.1-create-22codex.json": Ask(CREATED, "create=bare id_form=video"),
    "7.1-create-not-start.json": Ask(CREATED, "create=bare words=upper"),
    "7.1-create-submitted.json": Ask(CREATED, "create=bare words=lower"),
    "7.1-create.json": Ask(CREATED),
    "7.2-look-22codex.json": Ask(LOOKED, "variant=unified"),
    "7.2-look-completed-video-url-empty.json": Ask(LOOKED, "say=video_url_empty"),
    "7.2-look-completed-video-url-null.json": Ask(LOOKED, "say=video_url_null"),
    "7.2-look-completed-video-url.json": Ask(LOOKED, "variant=video_url"),
    "7.2-look-completed-without-url.json": Ask(LOOKED),
    "7.2-look-detail-completed.json": Ask(LOOKED, "variant=detail say=detail_url"),
    "7.2-look-detail-running.json": Ask(LOOKED, f"{RUNNING} variant=detail words=pending say=detail_without_url"),
    "7.2-look-gpt-best.json": Ask(OLD, "say=gpt_best"),
    "7.2-look-in-progress.json": Ask(LOOKED, RUNNING),
    "7.2-look-metadata-url.json": Ask(LOOKED, "variant=metadata_url"),
    "7.2-look-modelsell.json": Ask(LOOKED, "variant=output_list say=short_list"),
    "7.2-look-qnaigc.json": Ask(LOOKED, "variant=videos_list"),
    "7.3-look-remixed.json": Ask(_remixed),
    "7.3-remix.json": Ask(_remix, "create=bare"),
    "8.1-create-colon.json": Ask(VEO_CREATED, "id_form=colon create=bare"),
    "8.1-create-created.json": Ask(VEO_CREATED, "say=generation_pending"),
    "8.1-create-video-generation.json": Ask(VEO_CREATED, "id_form=colon say=video_generation"),
    "8.2-look-data-url.json": Ask(VEO, "variant=data_uri"),
    "8.2-look-veo.json": Ask(VEO, "id_form=colon variant=video_url"),
}

FAMILY: Final = Family(ASKS, (ENDS,))
