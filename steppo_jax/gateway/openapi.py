"""The gateway's description of itself (OpenAPI 3.1), from what reads its bodies."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from steppo_jax.gateway import wire

BODIES = (
    wire.ChatBody,
    wire.OpenBody,
    wire.RewardBody,
    wire.CloseBody,
    wire.AbandonBody,
)
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_NAMES = {
    "id": {"type": "string"},
    "model": {"type": "string", "enum": [wire.MODEL]},
}
STATUSES = (400, 401, 403, 404, 405, 408, 409, 413, 415, 429, 500, 503)
_SCHEMAS = models_json_schema(
    [(body, "validation") for body in BODIES],
    ref_template="#/components/schemas/{model}",
)[1]["$defs"]


def _answers(good: int, kind: str = "application/json") -> dict[str, Any]:
    failed = {"$ref": "#/components/schemas/Error"}
    found: dict[str, Any] = {
        str(status): {
            "description": "refused",
            "content": {"application/json": {"schema": failed}},
        }
        for status in STATUSES
    }
    schema = {"type": "object"} if kind == "application/json" else {"type": "string"}
    content: dict[str, Any] = {kind: {"schema": schema}}
    return {str(good): {"description": "done", "content": content}} | found


def _get(about: str, *names: str, kind: str = "application/json") -> dict[str, Any]:
    found = {"summary": about, "responses": _answers(200, kind)}
    return {"get": found | _parameters(*names)}


def _for_all(made: dict[str, Any]) -> dict[str, Any]:
    """The same, without a token."""
    made["get"]["security"] = []
    return made


def _post(about: str, body: type, *names: str, good: int = 200) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{body.__name__}"}
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "pattern": wire.KEY},
    }
    found = {
        "summary": about,
        "operationId": _operation(body, *names),
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        },
        "responses": _answers(good),
        "security": [{"token": []}],
    }
    parameters = _parameters(*names).get("parameters", [])
    if body is wire.OpenBody:  # what its id is for
        found["responses"]["201"]["links"] = {
            name: {"operationId": name, "parameters": {"id": "$response.body#/id"}}
            for name in (_operation(one, "id") for one in BODIES if one is not body)
        }
        # The same request again.
        found["responses"]["200"] = found["responses"]["201"]
    if body is wire.ChatBody:
        stream = {"schema": {}}  # a text to some readers, its events to others
        found["responses"]["200"]["content"]["text/event-stream"] = stream
    return {"post": found | {"parameters": [*parameters, key]}}


def _operation(body: type, *names: str) -> str:
    """A name for what a body is sent to: close, chat, chat_id."""
    return "_".join([body.__name__.removesuffix("Body").lower(), *names])


def _parameters(*names: str) -> dict[str, Any]:
    made = [
        {"name": name, "in": "path", "required": True, "schema": _NAMES[name]}
        for name in names
    ]
    return {"parameters": made} if made else {}


_ONE = "/v1/trajectories/{id}"
DESCRIPTION: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "steppo_jax gateway", "version": "1"},
    "security": [{"token": []}],
    "paths": {
        "/": _for_all(_get("A page for people", kind="text/html")),
        "/v1/models": _get("What can be asked"),
        "/v1/models/{model}": _get("One of them", "model"),
        "/v1/status": _get("Pool, throughput, trajectories"),
        "/v1/chat/completions": _post("An answer", wire.ChatBody),
        "/v1/trajectories": _post("Opens a trajectory", wire.OpenBody, good=201),
        _ONE: _get("How far it is", "id"),
        f"{_ONE}/models": _get("What can be asked", "id"),
        f"{_ONE}/chat/completions": _post("Its next step", wire.ChatBody, "id"),
        f"{_ONE}/reward": _post("Pays for a step", wire.RewardBody, "id"),
        f"{_ONE}/close": _post("Ends it", wire.CloseBody, "id"),
        f"{_ONE}/abandon": _post("It is no use", wire.AbandonBody, "id"),
    },
    "components": {
        "schemas": _SCHEMAS | {"Error": ERROR},
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    },
}
