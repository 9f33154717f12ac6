"""HTTP requests to an openpi gateway: a WebSocket with the right key, the health, and everything else."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

__all__ = ["HOW_TO_CONNECT", "reply_to"]

HOW_TO_CONNECT: Final = "this is an openpi policy server: connect with a WebSocket client, or GET /healthz"
HEALTH_PATH: Final = "/healthz"
SCHEME: Final = "Api-Key "
NO_KEY: Final = "wanted the header Authorization: Api-Key <key>, with the right key\n"


def reply_to(
    request: Request, connection: ServerConnection, is_right: Callable[[str | None], bool]
) -> Response | None:
    """Return the answer to a request that opens no WebSocket here; None: it may open one.

    Args:
        request: what the client asks for; any path opens a WebSocket, as at openpi's own server.
        connection: makes the answer.
        is_right: whether a key is the right one; None: the client sends none.
    """
    if request.path.partition("?")[0] == HEALTH_PATH:
        return connection.respond(HTTPStatus.OK, "OK\n")
    if not request.headers.get_all("Upgrade"):
        return connection.respond(HTTPStatus.UPGRADE_REQUIRED, f"{HOW_TO_CONNECT}\n")
    if is_right(_key_in(request.headers)):
        return None
    response = connection.respond(HTTPStatus.UNAUTHORIZED, NO_KEY)
    response.headers["WWW-Authenticate"] = SCHEME.strip()
    return response


def _key_in(headers: Headers) -> str | None:
    given = headers.get_all("Authorization")
    return given[0][len(SCHEME) :] if len(given) == 1 and given[0].startswith(SCHEME) else None
