"""The routes: bodies in, answers out, every error as the API's clients know it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import pydantic
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from steppo_jax.gateway import (
    answers,
    openapi,
    page,
    parameters,
    status,
    streaming,
    wire,
)
from steppo_jax.gateway.calls import Calls, Origin
from steppo_jax.gateway.errors import ApiError
from steppo_jax.gateway.limits import Guarded, Limits, headers_of

SWEEP_SECONDS = 1.0


def build(calls: Calls, limits: Limits, token: str | None = None) -> Any:
    """The ASGI application of a gateway."""
    routes = Routes(calls)
    get, post = {"methods": ["GET"]}, {"methods": ["POST"]}
    one = "/v1/trajectories/{id}"
    app = Starlette(
        routes=[
            Route("/", routes.page, **get),
            Route("/openapi.json", routes.openapi, **get),
            Route("/v1/models", routes.models, **get),
            Route("/v1/models/{model}", routes.model, **get),
            Route("/v1/chat/completions", routes.chat, **post),
            Route("/v1/status", routes.status, **get),
            Route("/v1/trajectories", routes.open, **post),
            Route(one, routes.look, **get),
            Route(f"{one}/models", routes.models, **get),
            Route(f"{one}/chat/completions", routes.chat, **post),
            Route(f"{one}/reward", routes.reward, **post),
            Route(f"{one}/close", routes.close, **post),
            Route(f"{one}/abandon", routes.abandon, **post),
        ],
        exception_handlers={ApiError: _refused, HTTPException: _http, Exception: _bug},
        lifespan=routes.lifespan,
    )
    return Guarded(app, limits, token)


def _refused(_: Request, error: ApiError) -> Response:
    return JSONResponse(error.body(), error.status, headers_of(error))


def _http(_: Request, error: HTTPException) -> Response:
    found = ApiError(error.status_code, error.detail, "http")
    return JSONResponse(found.body(), error.status_code, error.headers)


def _bug(_: Request, error: Exception) -> Response:
    text = f"the gateway failed: {type(error).__name__}"
    return JSONResponse(ApiError(500, text, "internal").body(), 500)


def _read(kind: type[pydantic.BaseModel], body: bytes) -> Any:
    """A body as `kind`. Raises ApiError 400 that names the first wrong field."""
    try:
        return kind.model_validate_json(body)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        param = ".".join(map(str, first["loc"])) or None
        what = "unknown parameter" if first["type"] == "extra_forbidden" else None
        text = f"{param or 'body'}: {what or first['msg']}"[:500]
        code = "unknown_parameter" if what else "invalid_value"
        raise ApiError(400, text, code, param and param[:100]) from None


class Routes:
    """The handlers."""

    def __init__(self, calls: Calls):
        self.calls, self.pool = calls, calls.pool

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(self._sweep())
        yield
        task.cancel()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            with contextlib.suppress(ApiError):  # the record cannot be written
                self.pool.sweep()
            self.calls.tidy()

    # ---- chat ------------------------------------------------------------------
    async def chat(self, request: Request) -> Response:
        origin = await _origin(request)
        body = _read(wire.ChatBody, origin.body)
        calls = self.calls
        wanted = parameters.understand(body, calls.temperature, calls.max_new)
        names = {request.path_params.get("id"), body.trajectory}
        names |= {request.headers.get("x-trajectory")}
        names -= {None}
        if len(names) > 1:
            raise ApiError(400, "the trajectory is named twice", "invalid_value")
        answer = calls.answer
        if names:
            answer = functools.partial(calls.step, names.pop())
        if wanted.stream:
            told = await streaming.begin(calls.chat, answer, wanted, origin)
            return StreamingResponse(
                told,
                media_type="text/event-stream",
                headers={"cache-control": "no-store"},
            )
        reply = await answer(wanted, origin, None)
        return JSONResponse(answers.whole(calls.chat, reply, wanted))

    async def models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [self._model()]})

    async def model(self, request: Request) -> Response:
        parameters.check_model(request.path_params["model"])
        return JSONResponse(self._model())

    def _model(self) -> dict[str, Any]:
        return {
            "id": wire.MODEL,
            "object": "model",
            "created": 0,
            "owned_by": "steppo_jax",
        }

    # ---- trajectories ----------------------------------------------------------
    async def open(self, request: Request) -> Response:
        origin = await _origin(request)
        body = _read(wire.OpenBody, origin.body)
        name, done = self.pool.open(body, origin.key)
        await _recorded(done)
        return JSONResponse(self._described(name), 201 if done else 200)

    async def look(self, request: Request) -> Response:
        return JSONResponse(self._described(request.path_params["id"]))

    async def reward(self, request: Request) -> Response:
        name, origin = request.path_params["id"], await _origin(request)
        body = _read(wire.RewardBody, origin.body)
        await _recorded(self.pool.reward(name, body.step, body.reward))
        return JSONResponse(self._described(name))

    async def close(self, request: Request) -> Response:
        name, origin = request.path_params["id"], await _origin(request)
        body = _read(wire.CloseBody, origin.body)
        self.pool.find(name)
        after = await self.calls.after(name, body)
        await _recorded(self.pool.close(name, body, after, origin.key))
        return JSONResponse({"id": name, "status": body.end})

    async def abandon(self, request: Request) -> Response:
        name, origin = request.path_params["id"], await _origin(request)
        body = _read(wire.AbandonBody, origin.body)
        await _recorded(self.pool.abandon(name, body.cause))
        return JSONResponse({"id": name, "status": "abandoned"})

    def _described(self, name: str) -> dict[str, Any]:
        one = self.pool.find(name)
        return {
            "id": one.id,
            "object": "trajectory",
            "status": one.status,
            "steps": len(one.steps),
            "number": one.number,
            "iteration": one.iteration,
            "base_url": f"/v1/trajectories/{one.id}",
        }

    # ---- for people ------------------------------------------------------------
    async def status(self, _: Request) -> Response:
        return JSONResponse(status.of(self.calls))

    async def page(self, _: Request) -> Response:
        return HTMLResponse(page.HTML, headers={"content-security-policy": page.POLICY})

    async def openapi(self, _: Request) -> Response:
        return JSONResponse(openapi.DESCRIPTION)


async def _origin(request: Request) -> Origin:
    """What every request with a body is asked for first."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        # A browser's page can send JSON to another host only with that host's leave.
        text = "the body must be JSON, with Content-Type: application/json"
        raise ApiError(415, text, "not_json")
    key = request.headers.get("idempotency-key")
    if key is not None and not re.fullmatch(wire.KEY, key):
        text = f"Idempotency-Key: give 1 to {wire.SHORT} visible ASCII characters"
        raise ApiError(400, text, "invalid_value")
    retry = request.headers.get("x-stainless-retry-count", "0") not in ("0", "")
    return Origin(await request.body(), key, retry, time.perf_counter())


async def _recorded(done) -> None:
    """Waits until what happened is on disk."""
    if done is not None:
        try:
            await asyncio.wrap_future(done)
        except OSError as error:
            text = f"the record cannot be written: {error.strerror}"
            raise ApiError(503, text, "record") from None
