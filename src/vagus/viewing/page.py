"""Page of a recording: one HTML file that needs nothing else, and asks nobody."""

from __future__ import annotations

import base64
import html
import re
from importlib.resources import files

import msgspec

from vagus.viewing.description import RecordingView
from vagus.viewing.page_content import PageContent, content_of
from vagus.viewing.thumbnails import Thumbnail, thumbnails_of
from vagus.wire.images import encode_image

__all__ = ["page_of"]

MAX_PICTURES = 240
"""Small pictures in a page."""
MAX_PER_CAMERA = 60
WIDTH_PX = 192
QUALITY = 75
MARK = re.compile(r"%%(\w+)%%")
"""Place of a part in `page.html`."""


def page_of(view: RecordingView) -> str:
    """Return the page: text of an HTML file with its numbers, pictures, style and script inside.

    Its size is bounded whatever the length of the recording; peaks and gaps stay.
    """
    cameras = max(len(view.cameras), 1)
    most = max(min(MAX_PICTURES // cameras, MAX_PER_CAMERA), 1)
    thumbnails, warnings = thumbnails_of(view.pictures, most=most, width=WIDTH_PX)
    content = content_of(view)
    content["warnings"] = [*view.warnings, *warnings]
    content["pictures"] = [_picture(thumbnail) for thumbnail in thumbnails]
    parts = {
        "title": html.escape(view.title),
        "style": _own("page.css"),
        "script": _own("page.js"),
        "content": msgspec.json.encode(content).decode().replace("<", "\\u003c"),
    }
    return MARK.sub(lambda mark: parts[mark[1]], _own("page.html"))


def _own(name: str) -> str:
    return (files("vagus.viewing") / "page_parts" / name).read_text(encoding="utf-8")


def _picture(thumbnail: Thumbnail) -> PageContent:
    jpeg = encode_image(thumbnail.image, "jpeg", quality=QUALITY).data
    return {
        "camera": thumbnail.camera,
        "at": round(thumbnail.at_s, 4),
        "height": thumbnail.image.shape[0],
        "width": thumbnail.image.shape[1],
        "uri": f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}",
    }
