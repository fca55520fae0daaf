"""Calls as steps: what a row is made of, who may do what, and what is an error."""

import threading
import time

import pytest

from steppo_jax.gateway import record_file
from steppo_jax.gateway.run import FILE
from tests.gateway.made import HELLO, chat, gateway, opened, played


@pytest.fixture
def alone(inner, params, tmp_path):
    """(client, source, workdir) of a gateway of its own."""
    with gateway(inner, tmp_path, params) as (client, source):
        yield client, source, tmp_path


def steps_of(source, at):
    return source.pool.find(at.rpartition("/")[2]).steps


def message(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_row_is_exactly_what_was_read_and_said(alone, inner):
    client, source, workdir = alone
    at = opened(client)
    answer = chat(client, HELLO, at, logprobs=True).json()
    (step,) = steps_of(source, at)
    assert step.prompt == inner.chat.conversation(HELLO)
    told = [x["logprob"] for x in answer["choices"][0]["logprobs"]["content"]]
    assert step.log_prob == told and len(step.token) == len(told)
    assert inner.chat.decode(step.token) == answer["choices"][0]["message"]["content"]
    assert step.version == [0] * len(step.token) and step.kind == "first"
    assert step.observation == HELLO[0]["content"]
    assert answer["trajectory"] == {"id": at[17:], "step": 0, "kind": "first"}
    events = list(record_file.read(workdir / FILE))
    assert [e["e"] for e in events] == ["weights", "open", "step"]
    assert events[2]["token"] == step.token and events[2]["log_prob"] == step.log_prob


def test_a_history_that_goes_on_keeps_the_sampled_ids(alone, inner):
    client, source, _ = alone
    at = opened(client)
    messages = [*HELLO, message(chat(client, HELLO, at))]
    messages.append({"role": "user", "content": "and now?"})
    # What clients copy beside it changes nothing.
    messages[1] |= {"refusal": None, "tool_calls": None, "audio": None}
    messages.append(message(chat(client, messages, at)))
    messages.append({"role": "user", "content": "well?"})
    assert chat(client, messages, at).json()["trajectory"]["kind"] == "appended"
    one, two, three = steps_of(source, at)
    assert [s.kind for s in (one, two, three)] == ["first", "appended", "appended"]
    for before, after in ((one, two), (two, three)):
        kept = [*before.prompt, *before.token]
        assert after.prompt[: len(kept)] == kept
        assert after.after == (0 if before is one else 1)
    more = two.prompt[len(one.prompt) + len(one.token) :]
    assert "and now?" in inner.chat.decode(more)
    # One stop token between the answer and what follows, sampled or not.
    ends = [t for t in (one.token[-1], *more) if t in inner.chat.stop]
    assert len(ends) == 2


def test_the_engine_reads_what_the_row_says(alone, monkeypatch):
    """The ids that were sampled, though their words have another spelling in ids."""
    client, source, _ = alone
    serving, read = source.calls.serving, []
    real = serving.submit

    def submit(request, hear=None):
        read.append(list(request.prompt))
        return real(request, hear)

    monkeypatch.setattr(serving, "submit", submit)
    at, messages, unlike = opened(client), list(HELLO), 0
    for _ in range(3):
        said = message(chat(client, messages, at))
        messages += [said, {"role": "user", "content": "on"}]
        again = source.calls.chat.conversation(messages)
        unlike += again[: len(read[-1])] != read[-1]
    assert [step.prompt for step in steps_of(source, at)] == read
    assert unlike, "else this shows nothing"


def test_a_rewritten_history_is_rebuilt(alone, inner):
    client, source, _ = alone
    at = opened(client)
    said = message(chat(client, HELLO, at))
    changed = {**said, "content": said["content"] + "!"}
    chat(client, [*HELLO, changed, {"role": "user", "content": "x"}], at)
    chat(client, [{"role": "user", "content": "another"}], at)
    steps = steps_of(source, at)
    assert [s.kind for s in steps] == ["first", "rebuilt", "rebuilt"]
    assert steps[2].prompt == inner.chat.conversation(
        [{"role": "user", "content": "another"}]
    )


def test_a_history_may_go_on_from_an_earlier_step(alone):
    client, source, _ = alone
    at = opened(client)
    first = message(chat(client, HELLO, at))
    chat(client, [{"role": "user", "content": "aside"}], at)
    chat(client, [*HELLO, first, {"role": "user", "content": "on"}], at)
    assert [(s.kind, s.after) for s in steps_of(source, at)] == [
        ("first", None),
        ("rebuilt", None),
        ("appended", 0),
    ]


def test_tools_stand_at_the_head_so_others_mean_another_history(alone):
    client, source, _ = alone
    tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
    at = opened(client)
    said = message(chat(client, HELLO, at, tools=[tool]))
    told = [*HELLO, said, {"role": "user", "content": "on"}]
    chat(client, told, at, tools=[tool])
    chat(client, told, at)
    assert [s.kind for s in steps_of(source, at)] == ["first", "appended", "rebuilt"]


def test_three_ways_to_say_whose_step_it_is(alone):
    client, source, _ = alone
    at = opened(client)
    name = at.rpartition("/")[2]
    chat(client, HELLO, at)
    chat(client, HELLO, trajectory=name)
    chat(client, HELLO, headers={"x-trajectory": name})
    assert len(steps_of(source, at)) == 3
    twice = chat(client, HELLO, at, trajectory="another")
    assert code(twice) == (400, "invalid_value")


def test_rewards_are_paid_once(alone):
    client, source, _ = alone
    at = opened(client)
    assert code(client.post(f"{at}/reward", json={"reward": 1})) == (
        409,
        "no_such_step",
    )
    chat(client, HELLO, at)
    chat(client, HELLO, at)
    assert (
        client.post(f"{at}/reward", json={"reward": 0.5, "step": 0}).status_code == 200
    )
    assert (
        client.post(f"{at}/reward", json={"reward": 0.5, "step": 0}).status_code == 200
    )
    other = client.post(f"{at}/reward", json={"reward": 1, "step": 0})
    assert code(other) == (409, "reward_given")
    client.post(f"{at}/close", json={"end": "truncated", "reward": 2})
    assert [s.reward for s in steps_of(source, at)] == [0.5, 2.0]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", '"1"x'])
def test_no_reward_that_is_no_number(alone, number):
    client, source, _ = alone
    at = opened(client)
    chat(client, HELLO, at)
    kind = {"content-type": "application/json"}
    for path in ("reward", "close"):
        body = f'{{"end": "terminated", "reward": {number}}}'
        body = body.replace('"end": "terminated", ', "") if path == "reward" else body
        answer = client.post(f"{at}/{path}", content=body, headers=kind)
        assert answer.status_code == 400
    assert steps_of(source, at)[0].reward is None


def test_closed_is_closed(alone):
    client, _, _ = alone
    at = played(client)
    again = client.post(f"{at}/close", json={"end": "terminated"})
    assert code(again) == (409, "trajectory_closed")
    assert code(chat(client, HELLO, at)) == (409, "trajectory_closed")
    paid = client.post(f"{at}/reward", json={"reward": 1, "step": 0})
    assert code(paid) == (409, "trajectory_closed")
    assert client.post(f"{at}/abandon", json={}).status_code == 409


def test_without_a_step_there_is_nothing_to_close(alone):
    client, _, _ = alone
    at = opened(client)
    assert code(client.post(f"{at}/close", json={"end": "terminated"})) == (
        409,
        "no_step",
    )
    assert client.post(f"{at}/abandon", json={}).json()["status"] == "abandoned"
    assert code(client.get(at)) == (409, "abandoned")


def test_no_more_steps_than_a_trajectory_has_room_for(alone):
    client, _, _ = alone
    at = opened(client)
    for _ in range(3):
        chat(client, HELLO, at)
    assert code(chat(client, HELLO, at)) == (409, "max_steps")


@pytest.mark.parametrize(
    "more",
    [
        {"temperature": 0.2},
        {"top_p": 0.9},
        {"top_k": 5},
        {"seed": 1},
        {"n": 2},
        {"tool_choice": "required"},
    ],
)
def test_a_step_is_sampled_as_it_is_learned_from(alone, more):
    client, source, _ = alone
    at = opened(client)
    assert chat(client, HELLO, at, **more).status_code == 400
    assert steps_of(source, at) == []
    assert chat(client, HELLO, at, temperature=1.0).status_code == 200
    if "n" in more:
        return
    ignoring = opened(client, own_sampling=False)
    assert chat(client, HELLO, ignoring, **more).status_code == 200


def test_a_retry_is_answered_from_the_record(alone):
    client, source, _ = alone
    at = opened(client)
    first = chat(client, HELLO, at, headers={"idempotency-key": "k1"}).json()
    again = chat(client, HELLO, at, headers={"idempotency-key": "k1"}).json()
    assert again == first
    marked = chat(client, HELLO, at, headers={"x-stainless-retry-count": "1"}).json()
    assert marked == first
    assert len(steps_of(source, at)) == 1
    other = chat(client, [*HELLO, *HELLO], at, headers={"idempotency-key": "k1"})
    assert code(other) == (409, "key_used")
    assert chat(client, HELLO, at).json()["id"] != first["id"], "asked anew"
    key = {"idempotency-key": "o"}
    body = {"task": "t", "group": "b"}
    one = client.post("/v1/trajectories", json=body, headers=key)
    two = client.post("/v1/trajectories", json=body, headers=key)
    assert (one.status_code, two.status_code) == (201, 200)
    assert one.json()["id"] == two.json()["id"]
    end = {"end": "terminated"}
    assert client.post(f"{at}/close", json=end, headers=key).status_code == 200
    assert client.post(f"{at}/close", json=end, headers=key).status_code == 200


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201, "é".encode()])
def test_a_key_is_a_word(alone, key):
    client, source, _ = alone
    at = opened(client)
    headers = [(b"idempotency-key", key if isinstance(key, bytes) else key.encode())]
    assert code(chat(client, HELLO, at, headers=headers)) == (400, "invalid_value")
    assert steps_of(source, at) == []


def test_calls_of_one_trajectory_come_one_after_the_other(alone):
    client, source, _ = alone
    at, found = opened(client), []
    threads = [
        threading.Thread(target=lambda: found.append(chat(client, HELLO, at)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(x.json()["trajectory"]["step"] for x in found) == [0, 1, 2]
    assert len({x.json()["id"] for x in found}) == 3
    assert len(steps_of(source, at)) == 3


def test_a_streamed_call_is_the_same_row(alone):
    client, source, _ = alone
    at = opened(client)
    text = chat(client, HELLO, at, stream=True).text
    assert text.endswith("data: [DONE]\n\n") and '"step": 0' in text
    assert len(steps_of(source, at)) == 1
    refused = chat(client, HELLO, at, stream=True, temperature=0.5)
    assert refused.status_code == 400, "an error is no stream"


def test_the_silent_are_abandoned_and_their_place_is_free(alone):
    client, source, _ = alone
    at = opened(client, "a")
    number = client.get(at).json()["number"]
    source.pool.find(at.rpartition("/")[2]).touched = time.monotonic() - 10_000
    source.pool.sweep()
    assert code(chat(client, HELLO, at)) == (409, "abandoned")
    assert source.pool.book.counts["abandoned"] == 1
    again = opened(client, "a")
    assert client.get(again).json()["number"] == number, "the same draws"


def test_one_that_fails_disturbs_no_other(alone):
    """The same draws and rows, whatever nonsense is asked between them."""
    client, source, _ = alone
    quiet = played(client, "a", steps=2, number=0)
    before = [s.token for s in steps_of(source, quiet)]
    source.pool.abandon(opened(client, "a").rpartition("/")[2], "x").result()
    disturbed = opened(client, "b", number=2)
    for nonsense in ({"n": 99}, {"model": "x"}, {"messages": []}, {"temperature": 9}):
        assert chat(client, at=disturbed, **nonsense).status_code >= 400
    after = chat(client, HELLO, disturbed)
    assert after.status_code == 200 and len(steps_of(source, disturbed)) == 1
    assert [s.token for s in steps_of(source, quiet)] == before
