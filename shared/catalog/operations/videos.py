"""Films: `/v1/videos` (Sora, Veo and kin), and models that film in a conversation.  Pure.

Source: gateway/midjourney-and-video.md 7, 8, 9.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from shared.catalog.entry import Operation, Role
from shared.catalog.operations.chat_images import Messages
from shared.catalog.params import Params, Short

VideoSize = Annotated[str, StringConstraints(pattern=r"^([1-9]\d{2,3}x[1-9]\d{2,3}|16x9|9x16|small|large)$")]
Address = Annotated[str, StringConstraints(pattern=r"^https?://\S+$", max_length=2000)]
Span = Annotated[str, StringConstraints(pattern=r"^\d{1,4}(\.\d{1,3})?,\d{1,4}(\.\d{1,3})?$")]
Orientation = Literal["portrait", "landscape"]


class VideoCreateParams(Params):
    """`video.create`: `POST /v1/videos` (video 7.1, 8.1)."""

    seconds: int | None = Field(None, ge=1, le=60)
    """Length of the film, whole seconds; paid for by the second at most models."""
    size: VideoSize | None = None
    """`WIDTHxHEIGHT` in pixels, or a name that the model knows."""
    aspect_ratio: Literal["16:9", "9:16", "1:1"] | None = None
    """Width to height, for models that take it apart from `size`."""
    orientation: Orientation | None = None
    """For models that take no size."""
    resolution: Literal["720p", "1080p", "4k"] | None = None
    """Of official Veo models, apart from `size`."""
    watermark: bool | None = None
    """Whether the provider may print its mark."""
    private: bool | None = None
    """Keep the film out of the provider's public gallery."""
    style: Short | None = None
    """A style name that the model knows, as `comic` or `selfie`."""
    character_url: Address | None = None
    """A film in which the character plays that is wanted (Sora on reverse channels)."""
    character_timestamps: Span | None = None
    """From which to which second of it the character is seen, as `1,3`."""
    enhance_prompt: bool | None = None
    """Let the provider rewrite or translate the prompt."""
    enable_upsample: bool | None = None
    """1080p by upscaling (Veo)."""
    quality: Short | None = None
    """A grade that the model knows."""
    negative_prompt: Annotated[str, StringConstraints(max_length=4000)] | None = None
    """What must not be in the film (Veo)."""
    person_generation: Short | None = None
    """Which people may be in the film, as `allow_adult` (Veo)."""
    generate_audio: bool | None = None
    """Whether the film has sound; Veo on Vertex alone takes it, elsewhere the request is refused."""
    seed: int | None = Field(None, ge=0, le=2**32 - 1)
    """The same seed and prompt give a like film, where the model honours it (Veo)."""
    metadata: Annotated[dict[str, Any], Field(max_length=32)] | None = None
    """Further fields of the vendor's, in its own spelling."""
    encoding: Literal["form", "json"] | None = None
    """How the request is sent; a form if left out.  Some deployments read nothing but JSON."""
    images_in: Literal["images", "image", "input_reference"] | None = None
    """The field of a JSON request that input pictures go in; `images` if left out.  The other two hold one."""


class VideoRemixParams(Params):
    """`video.remix`: `POST /v1/videos/{id}/remix`, a finished film again by another prompt (video 7.3).

    Model, length and size are those of the film.
    """

    task_id: Short
    """The upstream task of the film; it must have succeeded."""


class VideoChatParams(Params):
    """`video.chat`: `POST /v1/chat/completions` of a model that films (video 9)."""

    messages: Messages | None = None
    """The whole conversation as the API takes it, in place of the prompt; input pictures go to its last user message.

    After an earlier answer, complete with its ids, the film of that answer is changed.
    """
    stream: bool | None = None
    """Let the gateway send the answer in pieces; yes if left out, since a silent call dies on the way after minutes."""
    n: int | None = Field(None, ge=1, le=4)
    """Films to make, where the model looks at it."""
    seconds: int | None = Field(None, ge=1, le=60)
    """Length of the film, whole seconds; said in the prompt, since there is no field for it."""
    orientation: Orientation | None = None
    """Said in the prompt, too."""
    watermark: bool | None = None
    """Whether the provider may print its mark; goes into the address, where some deployments look for it."""
    images_as: Literal["image_url", "file_url"] | None = None
    """The kind of part that input pictures are; `image_url` if left out."""


OPERATIONS: Final = (
    Operation(
        "video.create",
        "A film from words, with a first frame or reference pictures where the model takes them",
        VideoCreateParams,
        gives="video",
        inputs={"images": Role(0, 3)},
        is_asynchronous=True,
        timeout_s=120,
    ),
    Operation(
        "video.remix",
        "A finished film again, by another prompt",
        VideoRemixParams,
        gives="video",
        is_asynchronous=True,
        timeout_s=120,
    ),
    Operation(
        "video.chat",
        "A film from words and pictures, in a conversation",
        VideoChatParams,
        gives="video",
        prompt_required=False,
        prompt_in="messages",
        inputs={"images": Role(0, 3)},
        timeout_s=900,
    ),
)
