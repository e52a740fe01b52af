"""Midjourney: pictures, films and prompts from prompts, pictures and buttons.  Pure.

Each submit is answered with the id of an upstream task (`answers.py`), which is then looked at, alone or with many
others in one call (`looks.py`).  A button may open a window first (`windows.py`).  A submit whose answer was lost is
looked for by its mark (`finding.py`).

Contract: gateway/midjourney-and-video.md 2 to 5.  Literal replies: tests/replies/midjourney/.
"""

from __future__ import annotations

from typing import Final

from shared.gateway.adapter import Adapter
from shared.gateway.adapters.midjourney import answers, looks, requests
from shared.gateway.adapters.midjourney.finding import FINDING

ADAPTERS: Final = (
    Adapter("midjourney.imagine", requests.build_imagine, answers.read_submit, looks.PICTURES, FINDING),
    Adapter("midjourney.blend", requests.build_blend, answers.read_submit, looks.PICTURES, FINDING),
    Adapter("midjourney.action", requests.build_action, answers.read_press, looks.PICTURES, FINDING),
    Adapter("midjourney.change", requests.build_change, answers.read_press, looks.PICTURES, FINDING),
    Adapter("midjourney.simple_change", requests.build_simple_change, answers.read_press, looks.PICTURES, FINDING),
    Adapter("midjourney.modal", requests.build_modal, answers.read_submit, looks.PICTURES, FINDING),
    Adapter("midjourney.swap_face", requests.build_swap_face, answers.read_submit, looks.PICTURES, FINDING),
    Adapter("midjourney.describe", requests.build_describe, answers.read_submit, looks.DESCRIPTIONS, FINDING),
    Adapter("midjourney.shorten", requests.build_shorten, answers.read_submit, looks.SHORT_PROMPTS, FINDING),
    Adapter("midjourney.video", requests.build_video, answers.read_submit, looks.FILMS, FINDING),
    Adapter("midjourney.seed", requests.build_seed, answers.read_seed),
)
