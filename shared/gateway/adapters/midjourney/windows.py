"""Windows ("modals"): some buttons ask back for a prompt or a mask before anything is drawn.  Pure.

Contract: gateway/midjourney-and-video.md 2.3, 2.7, 3.2, 3.7.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from shared.errors import FieldError
from shared.gateway import reading

SAID: Final = re.compile("窗口|window confirm", re.IGNORECASE)
"""How `description` says that a window waits; where new-api made code 1 of 21 nothing else does (2.3)."""

INPAINT: Final = "MJ::Inpaint::"
CUSTOM_ZOOM: Final = "MJ::CustomZoom::"
"""How the buttons begin that always open one; others do where the account is in remix mode (2.7)."""

FREE: Final = 21
"""With this code those two buttons opened their window for nothing; all else is billed when it is pressed (1.6)."""

REFERENCES: Final = re.compile(r"\A(?:https?://\S+\s+)+", re.IGNORECASE)
"""Addresses of reference pictures, which stand before a prompt (3.1)."""

ZOOM: Final = re.compile(r"(?:--|[\u2013\u2014]+)zoom\s+(\d+(?:\.\d+)?)(?!\S)")


def opens(answer: Mapping[str, Any], code: int | None) -> bool:
    """Whether a submit was answered with a window.

    Code 21 means "exists already" with the state of that task, and "window" with a prompt to change (2.3).
    """
    if SAID.search(reading.first_text(answer, "description")):
        return True
    properties = answer.get("properties")
    return code == 21 and isinstance(properties, Mapping) and "remix" in properties


def is_free(custom_id: str, code: int | None) -> bool:
    """Whether it cost nothing to open a window, by the button and the code of the answer.

    Code 21 alone does not tell: the gateway means to make 1 of it for other buttons and bills them, but it leaves a
    21 as it is that is printed with a blank (2.3).
    """
    return code == FREE and custom_id.startswith((INPAINT, CUSTOM_ZOOM))


def lacking(custom_id: str, prompt: str, *, has_mask: bool) -> FieldError | None:
    """What the window of this button needs that is not there, or None; known before anything is sent."""
    if custom_id.startswith(INPAINT) and not has_mask:
        told = "is needed: a PNG of the whole picture's size, white where it is to be painted again and black elsewhere"
        return FieldError("/inputs/mask", told)
    if custom_id.startswith(CUSTOM_ZOOM) and not zooms(prompt):
        return FieldError("/prompt", "must hold --zoom with a number above 1 and at most 2, as --zoom 1.8")
    return None


def zooms(prompt: str) -> bool:
    """Whether a prompt says how far the camera goes back, in a way that Custom Zoom takes."""
    found = ZOOM.search(prompt)
    return found is not None and 1 < float(found[1]) <= 2


def words_for(answer: Mapping[str, Any], prompt: str) -> str:
    """What to fill a window in with: the job's prompt, or where it says nothing new, what the window came with.

    That has the reference pictures of the picture that is changed, which the job's prompt does not name.
    """
    own = reading.first_text(answer, "properties.finalPrompt", "properties.final_prompt")
    bare = REFERENCES.sub("", own, count=1)
    is_new = prompt.split() != bare.split()
    return prompt if prompt.strip() and is_new else own
