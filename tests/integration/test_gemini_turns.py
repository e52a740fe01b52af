"""A picture is drawn again: the first job's `message` and its artifact are all that the second one needs."""

from __future__ import annotations

import base64

from shared.lifecycle import State
from tests import rows
from tests.sandbox import SandboxServer
from workers import submit
from workers.ports import Ports


def test_what_a_model_said_is_given_back_with_its_picture_and_its_signature(
    ports: Ports, sandbox: SandboxServer
) -> None:
    words = rows.prompt("say=thoughts_and_signatures")
    first = rows.make(ports, model="nano-banana-pro", operation="image.gemini", prompt=words)
    submit.submit([first.id], ports)
    message = dict(rows.result(ports, first).result or {})["message"]
    (picture,) = rows.artifacts(ports, first)
    with ports.store.open(picture.object_key) as opened:
        content = base64.b64encode(b"".join(opened)).decode()

    again = rows.prompt()
    turns = [
        {"role": "user", "parts": [{"text": words}]},
        message,
        {"role": "user", "parts": [{"text": again}]},
    ]
    second = rows.make(
        ports,
        model="nano-banana-pro",
        operation="image.gemini",
        prompt="",
        params={"contents": turns},
        inputs={"images": [f"data:{picture.content_type};base64,{content}"]},
    )
    submit.submit([second.id], ports)

    drawn = message["parts"][-1]
    assert drawn["thoughtSignature"]
    assert drawn["inlineData"]["artifact_index"] == 0
    assert "data" not in drawn["inlineData"]
    assert rows.read(ports, second).state is State.SUCCEEDED, rows.error(ports, second)
    assert len(rows.artifacts(ports, second)) == 1
    assert len(sandbox.ledger(again)) == 1
