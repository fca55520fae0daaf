"""What every request must obey before anything of it is understood (ASGI).

Size and time of its body, and the token. How long a client may take for the rest is
`patience`'s.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hmac
import json
from typing import Any

from steppo_jax.gateway.errors import ApiError

OPEN_TO_ALL = ("/", "/openapi.json")  # they hold nothing of a run
LOCAL = ("localhost", "127.0.0.1", "[::1]", "testserver")


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bytes of a body; seconds to send headers or a body, and to take what is sent."""

    body: int = 2**20
    send_seconds: float = 30.0
    read_seconds: float = 60.0


class Guarded:
    """An application behind these limits.

    Args:
      token: what `Authorization: Bearer` must say; None: anybody on this machine.
    """

    def __init__(self, app: Any, limits: Limits, token: str | None):
        self._app, self._limits, self._token = app, limits, token

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            headers = {k.lower(): v for k, v in scope["headers"]}
            self._admit(scope, headers)
            body = await self._body(receive, headers)
        except ApiError as error:
            await answer(send, error)
            return
        given = [{"type": "http.request", "body": body, "more_body": False}]

        async def again():
            return given.pop() if given else await receive()

        await self._app(scope, again, send)

    def _admit(self, scope, headers: dict[bytes, bytes]) -> None:
        path = scope["path"]
        if self._token is None:
            host = headers.get(b"host", b"").decode("latin-1")
            if host.rpartition(":")[0] not in LOCAL and host not in LOCAL:
                text = f"host {host!r} is not this machine"
                raise ApiError(403, text, "foreign_host")
        elif path not in OPEN_TO_ALL:
            said = headers.get(b"authorization", b"")
            if not hmac.compare_digest(said, b"Bearer " + self._token.encode()):
                text = "give the gateway's token: Authorization: Bearer TOKEN"
                raise ApiError(401, text, "invalid_api_key")

    async def _body(self, receive, headers: dict[bytes, bytes]) -> bytes:
        most = self._limits.body
        said = headers.get(b"content-length", b"0")
        if said.isdigit() and int(said) > most:
            raise _too_large(most)
        parts, size = [], 0
        try:
            async with asyncio.timeout(self._limits.send_seconds):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise ApiError(400, "the client left", "disconnected")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > most:
                        raise _too_large(most)
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError:
            raise ApiError(408, "the body took too long", "timeout") from None


def _too_large(most: int) -> ApiError:
    return ApiError(413, f"the body exceeds {most} bytes", "too_large")


def headers_of(error: ApiError) -> dict[str, str]:
    """Headers that an error's answer has."""
    found = {}
    if error.retry_after is not None:
        found["retry-after"] = str(error.retry_after)
    if error.status == 401:
        found["www-authenticate"] = "Bearer"
    if error.status == 413:
        found["connection"] = "close"
    return found


async def answer(send, error: ApiError) -> None:
    """Sends an error as the whole answer."""
    body = json.dumps(error.body()).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    pairs = [(k.encode(), v.encode()) for k, v in (headers | headers_of(error)).items()]
    await send(
        {"type": "http.response.start", "status": error.status, "headers": pairs}
    )
    await send({"type": "http.response.body", "body": body})
