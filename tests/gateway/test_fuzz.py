"""Requests made from the gateway's own description: right, nearly right and nonsense.

Every answer has a status that the description names for it and a body of its form;
none is a 500, and a trajectory that stands by is not disturbed.
"""

import json
import os
import random

from steppo_jax.gateway.openapi import DESCRIPTION
from tests.gateway.made import HELLO, chat, opened

COUNT = int(os.environ.get("STEPPO_GATEWAY_FUZZ", "150"))
SCHEMAS = DESCRIPTION["components"]["schemas"]
NONSENSE = [None, True, 0, -1, 0.5, 1e308, "", "x", "\ud800", "<b>", [], {}, [[]]]
NONSENSE += [2**70, {"type": "text"}, "é" * 300, {"a": {"a": {"a": []}}}, "policy"]


def value(schema: dict, rng: random.Random):
    """Something of a schema, or now and then something else."""
    if rng.random() < 0.04:
        return rng.choice(NONSENSE)
    if "$ref" in schema:
        schema = SCHEMAS[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return value(rng.choice(schema["anyOf"]), rng)
    if "const" in schema or "enum" in schema:
        return rng.choice(schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "string")
    if kind == "object":
        needed = schema.get("required", ())
        found = {
            name: value(inner, rng)
            for name, inner in schema.get("properties", {}).items()
            if name in needed or rng.random() < 0.15
        }
        return found | ({"zzz": 1} if rng.random() < 0.05 else {})
    if kind == "array":
        size = rng.randint(schema.get("minItems", 0), 3)
        return [value(schema.get("items", {}), rng) for _ in range(size)]
    if kind in ("integer", "number"):
        low, high = schema.get("minimum", 0), schema.get("maximum", 9)
        found = rng.choice([low, high, low + 1, low - 1, high + 1])
        return found if kind == "number" else int(found)
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "null":
        return None
    return rng.choice(["policy", "a", "Say on to walk on.", "x" * 250, "\0", "<|end|>"])


def test_nothing_that_is_sent_breaks_it(client, gateway):
    rng = random.Random(0)
    quiet = opened(client, "quiet", number=0)
    before = chat(client, HELLO, quiet).json()
    played = opened(client, "played", number=2)
    met = set()
    for n in range(COUNT):
        path, about = rng.choice(list(DESCRIPTION["paths"].items()))
        ((method, operation),) = about.items()
        where = rng.choice([played[17:], "nobody", "%00", "é"])
        url = path.replace("{id}", where).replace("{model}", "policy")
        body = None
        if method == "post":
            media = operation["requestBody"]["content"]["application/json"]
            body = json.dumps(value(media["schema"], rng)).encode()
            if rng.random() < 0.05:
                body = body[: rng.randrange(len(body))]
        answer = client.request(
            method, url, content=body, headers={"content-type": "application/json"}
        )
        status = str(answer.status_code)
        met.add(status)
        assert status in operation["responses"] and status != "500", (url, body, status)
        if answer.status_code >= 400:
            error = answer.json()["error"]
            assert set(error) == {"message", "type", "param", "code"}, (n, error)
    assert {"200", "400", "404"} <= met, met
    held = gateway[1].pool.find(quiet[17:])
    assert [step.call for step in held.steps] == [before["id"]]
    assert chat(client, HELLO, quiet).status_code == 200
