"""What goes wrong, as clients of the chat-completions API know it."""

from __future__ import annotations

from typing import Any

INVALID, SERVER = "invalid_request_error", "server_error"


class ApiError(Exception):
    """An answer with an HTTP status that is no success.

    Args:
      code: a word that programs can look for.
      param: the field that is wrong, where it is one.
      retry_after: seconds after which the same request may succeed.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        retry_after: int | None = None,
    ):
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.param, self.retry_after = param, retry_after

    def body(self) -> dict[str, Any]:
        """The object that the API's clients read."""
        kind = INVALID if self.status < 500 and self.status != 429 else SERVER
        if self.status == 429:
            kind = "rate_limit_error"
        if self.status in (401, 403):
            kind = "authentication_error"
        error = {"message": self.message, "type": kind}
        return {"error": error | {"param": self.param, "code": self.code}}


def busy(message: str, code: str, seconds: int = 1) -> ApiError:
    """Not now: the same request will do later."""
    return ApiError(429, message, code, retry_after=seconds)


def unavailable(message: str, code: str, seconds: int = 1) -> ApiError:
    """Nobody can be served at the moment."""
    return ApiError(503, message, code, retry_after=seconds)
