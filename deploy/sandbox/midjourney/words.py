"""What Describe and Shorten say, and where in a task they say it.  Pure.

Contract: gateway/midjourney-and-video.md 3.4, 3.8.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from deploy.sandbox.midjourney.buttons import KEYCAPS
from deploy.sandbox.script import drawn

SUBJECTS: Final = ("a paper boat", "a lighthouse", "a tin robot", "a kettle", "a fox in the snow", "a harbour")
MANNERS: Final = ("macro photo", "linocut", "watercolour", "16 mm film still", "isometric drawing", "etching")
LIGHTS: Final = ("morning fog", "neon at night", "golden hour", "overcast sky", "candlelight", "moonlight")
SHORTEST: Final = 4
"""Letters of a word that counts."""


def description(seed: str) -> str:
    """Four numbered prompts, one with a link in it as newer versions write them."""
    chance = random.Random(seed)  # noqa: S311 - a text, not a secret
    lines = [
        f"{chance.choice(MANNERS)} of {chance.choice(SUBJECTS)}, {chance.choice(LIGHTS)} --ar 1:1" for _ in range(4)
    ]
    linked = lines[0].replace(" of ", " of [", 1).replace(",", "](https://www.midjourney.com/explore),", 1)
    return "\n\n".join(f"{keycap} {line}" for keycap, line in zip(KEYCAPS, [linked, *lines[1:]], strict=False))


def short_prompts(prompt: str) -> str:
    """Which words count, and three shorter prompts."""
    said = drawn(prompt).split() or ["nothing"]
    tokens = " ".join(f"**{word}**" if len(word) >= SHORTEST else f"~~{word}~~" for word in said)
    kept = [word for word in said if len(word) >= SHORTEST] or said
    shorter = [" ".join(kept), " ".join(kept[: max(len(kept) * 2 // 3, 1)]), kept[0]]
    lines = "\n".join(f"{keycap} {line}" for keycap, line in zip(KEYCAPS, shorter, strict=False))
    return f"## Important tokens\n{tokens}\n\n## Shortened prompts\n{lines}"


#: Fields of the task that hold the text, by behaviour.
PLACES: Final[Mapping[str, Callable[[str], dict[str, Any]]]] = {
    "both": lambda text: {"promptEn": text, "properties": {"finalPrompt": text, "finalZhPrompt": ""}},
    "final_prompt": lambda text: {"properties": {"finalPrompt": text, "finalZhPrompt": ""}},
    "prompt": lambda text: {"prompt": text, "promptEn": text},
    "prompt_en": lambda text: {"promptEn": text},
}
