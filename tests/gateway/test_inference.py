"""The chat-completions API as plain inference: answers, streams, refusals."""

import json

import pytest

from tests.gateway.made import HELLO, chat, gateway


def said(answer) -> str:
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]["content"]


def events(answer) -> list[dict]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [x.removeprefix("data: ") for x in answer.text.split("\n\n") if x]
    assert lines[-1] == "[DONE]"
    return [json.loads(x) for x in lines[:-1]]


def told(found: list[dict], n=0) -> str:
    pieces = [c for e in found for c in e["choices"] if c["index"] == n]
    return "".join(c["delta"].get("content") or "" for c in pieces)


def test_an_answer_has_the_form_of_the_api(client):
    answer = chat(client, temperature=0, logprobs=True).json()
    assert answer["object"] == "chat.completion" and answer["model"] == "policy"
    (choice,) = answer["choices"]
    used = answer["usage"]
    assert choice["finish_reason"] in ("stop", "length")
    assert used["total_tokens"] == used["prompt_tokens"] + used["completion_tokens"]
    content = choice["logprobs"]["content"]
    assert len(content) == used["completion_tokens"]
    assert all(x["logprob"] <= 0 for x in content)


def test_the_same_seed_says_the_same_and_n_answers_differ(client):
    first = chat(client, seed=5, n=3).json()["choices"]
    again = chat(client, seed=5, n=3).json()["choices"]
    texts = [c["message"]["content"] for c in first]
    assert texts == [c["message"]["content"] for c in again]
    assert len(set(texts)) == 3 and [c["index"] for c in first] == [0, 1, 2]
    assert said(chat(client, seed=6)) != texts[0]


@pytest.mark.parametrize("more", [{}, {"stop": "e"}, {"n": 2}, {"logprobs": True}])
def test_a_stream_says_what_the_whole_says(client, more):
    given = {"seed": 3, **more}
    whole = chat(client, **given).json()["choices"]
    found = events(chat(client, stream=True, **given))
    for n, choice in enumerate(whole):
        assert told(found, n) == choice["message"]["content"]
    ends = [c["finish_reason"] for e in found for c in e["choices"]]
    assert [x for x in ends if x] == [c["finish_reason"] for c in whole]
    assert len({e["id"] for e in found}) == 1


def test_a_stream_tells_its_usage_where_asked(client):
    options = {"include_usage": True}
    found = events(chat(client, stream=True, stream_options=options))
    assert found[-1]["usage"]["completion_tokens"] > 0


def test_a_stop_text_ends_the_answer_before_it(client):
    text = said(chat(client, seed=3))
    end = text[len(text) // 2]
    answer = chat(client, seed=3, stop=[end]).json()["choices"][0]
    assert answer["message"]["content"] == text[: text.index(end)]
    assert answer["finish_reason"] == "stop"


def test_max_tokens_cut_and_are_cut(client):
    one = chat(client, seed=3, max_tokens=1).json()
    assert one["usage"]["completion_tokens"] == 1
    assert one["choices"][0]["finish_reason"] == "length"
    many = chat(client, seed=3, max_completion_tokens=10**6).json()
    assert many["usage"]["completion_tokens"] <= 6, "lm.max_new is the most"


def test_models(client):
    assert [m["id"] for m in client.get("/v1/models").json()["data"]] == ["policy"]
    assert client.get("/v1/models/policy").json()["id"] == "policy"
    assert client.get("/v1/models/gpt").status_code == 404


@pytest.mark.parametrize(
    ("more", "status", "code", "param"),
    [
        ({"model": "gpt-5"}, 404, "model_not_found", "model"),
        ({"colour": 1}, 400, "unknown_parameter", "colour"),
        ({"presence_penalty": 0.5}, 400, "invalid_value", "presence_penalty"),
        ({"tool_choice": "required"}, 400, "invalid_value", "tool_choice"),
        ({"top_logprobs": 3}, 400, "invalid_value", "top_logprobs"),
        ({"temperature": -1}, 400, "invalid_value", "temperature"),
        ({"stream": "yes"}, 400, "invalid_value", "stream"),
        ({"stream_options": {"include_obfuscation": 0}}, 400, "invalid_value", None),
        ({"stream_options": {"include_obfuscation": True}}, 400, "invalid_value", None),
        ({"temperature": "1"}, 400, "invalid_value", "temperature"),
        ({"n": 17}, 400, "invalid_value", "n"),
        ({"messages": []}, 400, "invalid_value", "messages"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, 400, "invalid_value", None),
        ({"messages": [{"role": "owner", "content": ""}]}, 400, "invalid_value", None),
        (
            {"messages": [{"role": "user", "content": "long " * 2000}]},
            400,
            "context_length_exceeded",
            "messages",
        ),
        ({"trajectory": "nobody"}, 404, "trajectory_not_found", None),
    ],
)
def test_what_cannot_be_served_is_refused_with_its_name(
    client, more, status, code, param
):
    answer = chat(client, **more)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code), error
    assert param is None or error["param"] == param


def test_what_changes_nothing_is_accepted(client):
    idle = {"user": "me", "store": False, "presence_penalty": 0, "logit_bias": {}}
    idle |= {"response_format": {"type": "text"}, "stop": None, "tools": None}
    assert said(chat(client, seed=3, **idle)) == said(chat(client, seed=3))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"[" * 100_000, b'{"model": NaN}', b"\xff\xfe"]
)
def test_malformed_json_is_a_400(client, body):
    kind = {"content-type": "application/json"}
    answer = client.post("/v1/chat/completions", content=body, headers=kind)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_ten_megabytes_are_too_large(client):
    said = [{"role": "user", "content": "x" * 10_000_000}]
    assert chat(client, said).status_code == 413

    def parts():  # no length is told before
        for _ in range(100):
            yield b"x" * 100_000

    kind = {"content-type": "application/json"}
    answer = client.post("/v1/chat/completions", content=parts(), headers=kind)
    assert answer.status_code == 413


def test_only_json_and_only_this_machine_without_a_token(client):
    answer = client.post("/v1/trajectories", content=b"{}")
    assert answer.status_code == 415, "a page elsewhere could send it"
    assert client.get("/", headers={"host": "evil.example"}).status_code == 403
    assert client.get("/nothing").json()["error"]["code"] == "http"
    assert client.get("/v1/chat/completions").status_code == 405


def test_a_token_is_asked_for_wherever_something_is(inner, params, tmp_path):
    token = "0123456789abcdef"
    with gateway(inner, tmp_path, params, token=token) as (client, _):
        assert chat(client).status_code == 401
        assert client.get("/v1/status").status_code == 401
        assert client.get("/v1/models").json()["error"]["code"] == "invalid_api_key"
        wrong = {"authorization": "Bearer 0123456789abcdeF"}
        assert chat(client, headers=wrong).status_code == 401
        right = {"authorization": f"Bearer {token}"}
        assert chat(client, headers=right).status_code == 200
        assert client.get("/").status_code == 200, "the page holds nothing"


def test_without_weights_everybody_waits(inner, tmp_path):
    with gateway(inner, tmp_path, None) as (client, _):
        for answer in (
            chat(client),
            client.post("/v1/trajectories", json={"task": "t", "group": "a"}),
        ):
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0


def test_too_many_calls_are_told_to_wait(inner, params, tmp_path):
    with gateway(inner, tmp_path, params) as (client, source):
        source.calls.serving._limit = 0
        answer = chat(client, HELLO)
        assert answer.status_code == 429 and answer.headers["retry-after"] == "1"
