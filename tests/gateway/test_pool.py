"""Groups on their way to the trainer, and the record that a restart begins from."""

import json

import pytest

from steppo_jax.gateway import record_file
from steppo_jax.gateway.book import Book
from steppo_jax.gateway.journal import Journal
from steppo_jax.gateway.pool import Pool
from steppo_jax.gateway.record_file import RecordInUse
from steppo_jax.gateway.run import FILE
from steppo_jax.gateway.terms import Terms
from steppo_jax.records import BrokenRecords
from tests.gateway.made import HELLO, chat, gateway, opened, played


def test_complete_groups_are_released_and_no_more_are_let_in(inner, params, tmp_path):
    with gateway(inner, tmp_path, params) as (client, source):
        played(client, "b", number=2)
        played(client, "a", number=0)
        played(client, "a")
        assert source.pool.release() is None, "b has one of two"
        late = client.post("/v1/trajectories", json={"task": "t", "group": "c"})
        assert late.status_code == 429 and late.headers["retry-after"] == "1"
        at = opened(client, "b")
        full = client.post("/v1/trajectories", json={"task": "t", "group": "b"})
        assert full.status_code == 409
        assert full.json()["error"]["code"] == "group_full"
        chat(client, HELLO, at)
        client.post(f"{at}/close", json={"end": "truncated"})
        taken = source.pool.release()
        assert [one.number for one in taken] == [0, 1, 2, 3]
        while_learning = client.post(
            "/v1/trajectories", json={"task": "", "group": "c"}
        )
        assert while_learning.status_code == 429
        source.begin(1, 2, params)
        assert source.pool.book.trajectories == {}, "what was learned from is let go"
        at = opened(client, "a")
        assert client.get(at).json()["iteration"] == 1
        assert chat(client, HELLO, at).status_code == 200
        assert source.pool.find(at[17:]).steps[0].version[0] == 2


def test_a_refresh_drops_no_request(inner, params, tmp_path):
    with gateway(inner, tmp_path, params) as (client, source):
        import threading

        found = []
        ask = lambda: found.append(chat(client, HELLO).status_code)  # noqa: E731
        threads = [threading.Thread(target=ask) for _ in range(6)]
        for version, thread in enumerate(threads):
            thread.start()
            source.calls.serving.refresh(params, version)
        for thread in threads:
            thread.join()
        assert found == [200] * 6


def test_a_restart_knows_everything_acknowledged(inner, params, tmp_path):
    with gateway(inner, tmp_path, params) as (client, source):
        at = opened(client, "a")
        said = chat(client, HELLO, at, headers={"idempotency-key": "k"}).json()
        client.post(f"{at}/reward", json={"reward": 0.25, "step": 0})
        played(client, "b", steps=2)
        before = source.pool.book.trajectories
    path = tmp_path / FILE
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"e":"close","id":"' + at[17:].encode())
    with gateway(inner, tmp_path, params) as (client, source):
        after = source.pool.book.trajectories
        assert list(after) == list(before)
        for name in before:
            assert after[name].steps == before[name].steps
            assert after[name].status == before[name].status
        again = chat(client, HELLO, at, headers={"idempotency-key": "k"}).json()
        assert again == said
        messages = [*HELLO, said["choices"][0]["message"], *HELLO]
        told = chat(client, messages, at).json()["trajectory"]
        assert told["step"] == 1 and told["kind"] == "appended"
    assert path.read_bytes().startswith(whole)
    assert len(list(record_file.read(path))) == whole.count(b"\n") + 2  # weights, step


def test_what_was_released_comes_again_and_nobody_is_served_meanwhile(
    inner, params, tmp_path
):
    with gateway(inner, tmp_path, params) as (client, source):
        for group in "aabb":
            played(client, group)
        first = source.pool.release()
        source.begin(1, 2, params)
        left = opened(client, "c")
        chat(client, HELLO, left)
    with gateway(inner, tmp_path, params) as (client, source):
        assert source.pool.live_from == 1
        early = chat(client, HELLO, left)
        assert early.status_code == 503
        assert early.json()["error"]["code"] == "catching_up"
        again = source.pool.release()
        assert [o.id for o in again] == [o.id for o in first]
        assert [o.steps for o in again] == [o.steps for o in first]
        source.begin(1, 2, params)
        assert chat(client, HELLO, left).json()["trajectory"]["step"] == 1


def terms(**more):
    given = {"groups": 1, "group_size": 1, "max_steps": 9, "staleness": 0}
    given |= {"idle_seconds": 60.0, "bootstrap": False}
    return Terms(**(given | more))


def a_pool(tmp_path, **more):
    return Pool(Book(), Journal(tmp_path / "x.jsonl"), terms(**more))


def open_one(pool, group):
    from steppo_jax.gateway.wire import OpenBody

    name, done = pool.open(OpenBody(task="", group=group), None)
    done.result()
    return pool.find(name)


def speak(pool, one, version):
    names = ("call", "request", "kind", "finish", "head", "observation", "response")
    event = {name: "" for name in names} | {"created": 0, "messages": 1, "key": None}
    event |= {"after": None, "more": [1], "token": [2], "log_prob": [-1.0]}
    pool.step(one, event | {"version": [version], "seconds": 0.0}).result()


def close(pool, one):
    from steppo_jax.gateway.wire import CloseBody

    pool.close(one.id, CloseBody(end="terminated"), None, None).result()


@pytest.mark.parametrize(("staleness", "kept"), [(0, False), (1, True)])
def test_rows_are_used_no_later_than_allowed(tmp_path, staleness, kept):
    pool = a_pool(tmp_path, staleness=staleness)
    pool.begin(0, 0)
    one = open_one(pool, "a")
    speak(pool, one, 0)
    pool.begin(1, 4)  # the trajectory lasts longer than the weights
    assert (one.id in pool.book.trajectories) == kept
    if kept:
        close(pool, one)
        assert [x.id for x in pool.release()] == [one.id]
    else:
        assert pool.book.counts["dropped_stale"] == 1


def test_a_group_that_nobody_goes_on_with_is_dropped(tmp_path):
    """Its place is free, and what was played of it is counted."""
    pool = a_pool(tmp_path, group_size=2)
    pool.begin(0, 0)
    alone = open_one(pool, "a")
    speak(pool, alone, 0)
    close(pool, alone)
    pool.sweep()
    assert alone.id in pool.book.trajectories, "the other may still come"
    alone.touched -= 61
    pool.sweep()
    assert pool.book.counts["dropped_incomplete"] == 1
    assert pool.book.groups == pool.book.trajectories == {}
    assert pool.book.over[alone.id] == "dropped"


def test_with_staleness_the_next_groups_are_played_while_it_learns(tmp_path):
    pool = a_pool(tmp_path, staleness=1)
    pool.begin(0, 0)
    first = open_one(pool, "a")
    speak(pool, first, 0)
    close(pool, first)
    assert pool.release() == [first]
    second = open_one(pool, "b")  # the update goes on
    speak(pool, second, 0)
    close(pool, second)
    pool.begin(1, 1)
    assert pool.release() == [second]


def test_the_record_has_one_writer_and_only_whole_lines(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"e":1}\n{"e":')
    record = Journal(path)
    with pytest.raises(RecordInUse, match="another gateway"):
        Journal(path)
    futures = [record.append({"n": n}) for n in range(100)]
    for done in futures:
        done.result()
    assert [e.get("n") for e in record_file.read(path)] == [None, *range(100)]
    record.close()
    path.write_bytes(b'{"e":1}\nrubbish\n{"e":2}\n')
    with pytest.raises(BrokenRecords, match=":2"):
        list(record_file.read(path))


def test_a_record_that_cannot_be_written_ends_acknowledging(
    inner, params, tmp_path, monkeypatch
):
    with gateway(inner, tmp_path, params) as (client, _source):
        at = opened(client)
        chat(client, HELLO, at)

        def full(self, lines):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Journal, "_put", full)
        for answer in (
            client.post(f"{at}/reward", json={"reward": 1.0}),
            client.post(f"{at}/close", json={"end": "terminated"}),
            chat(client, HELLO, at),
        ):
            assert answer.status_code == 503, answer.text
        assert chat(client).status_code == 200, "inference needs no record"


def test_the_page_and_its_numbers(inner, params, tmp_path):
    with gateway(inner, tmp_path, params) as (client, _source):
        at = played(client, "<script>alert(1)</script>")
        found = client.get("/v1/status").json()
        assert found["pool"]["counts"]["steps"] == 1
        assert found["pool"]["phase"] == "collecting"
        (one,) = found["ended"]
        assert one["id"] == at[17:] and one["steps"][0]["reward"] == 1.0
        page = client.get("/")
        assert "script-src 'sha256-" in page.headers["content-security-policy"]
        assert "innerHTML" not in page.text and "http://" not in page.text
        assert json.loads(client.get("/openapi.json").text)["paths"]
