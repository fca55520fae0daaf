"""Clients that take their time: nobody waits for them, and nothing piles up."""

import asyncio
import json
import socket
import threading
import time
import types
import weakref

import httpx2
import pytest

from steppo_jax.gateway import app, server, streaming
from steppo_jax.gateway.limits import Limits
from steppo_jax.gateway.patience import Patience
from steppo_jax.gateway.programs import Source
from steppo_jax.gateway.terms import Terms
from tests.gateway import made_up
from tests.gateway.made import HELLO, chat, opened

LIMITS = Limits(read_seconds=1.0, send_seconds=1.0)
MANY = 100_000  # ids of an answer whose log-probs fill every buffer on its way


@pytest.fixture
def served(tmp_path):
    """(server, source) of a gateway at a real address whose answers are huge."""
    terms = Terms(2, 2, 9, 0, 60.0, False)
    engine = {"length": MANY, "pace": MANY // 10}
    with made_up.serving(tmp_path / "x.jsonl", terms, **engine) as calls:
        source = Source(calls)
        source.begin(0, 0, {})
        http = server.Server(app.build(calls, LIMITS), "127.0.0.1", 0, LIMITS)
        http.start()
        yield http, source
        http.stop()


def connected(http) -> socket.socket:
    """A client that takes in next to nothing by itself."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    found.connect((http.host, http.port))
    found.settimeout(60)
    return found


def ask(client: socket.socket, at: str, **more) -> None:
    body = json.dumps({"model": "policy", "messages": HELLO, **more}).encode()
    head = f"POST {at}/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    client.sendall(head.encode() + body)


def until(true) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def taken(client: socket.socket) -> int:
    """Bytes that come until the connection ends."""
    found = 0
    try:
        while got := len(client.recv(2**16)):
            found += got
    except ConnectionResetError:
        pass
    return found


def test_who_does_not_read_holds_up_nobody_and_is_cut(served):
    http, source = served
    with httpx2.Client(base_url=f"http://127.0.0.1:{http.port}", timeout=60) as client:
        deaf, other = opened(client, "a"), opened(client, "a")
        lazy = connected(http)
        ask(lazy, deaf, stream=True, logprobs=True)
        for _ in range(3):
            assert chat(client, HELLO, other).status_code == 200
        step = lambda: source.pool.find(deaf[17:]).steps  # noqa: E731
        until(step)
        assert len(step()[0].token) == MANY
        connections = http._server.server_state.connections
        until(lambda: len(connections) == 1)  # only the other's is left
        assert taken(lazy) < 100 * MANY, "a token's log-prob has more bytes"
        # Its row is there, and whoever asks again by a key would have it.
        assert client.get(deaf).json()["steps"] == 1
        lazy.close()


def test_a_request_that_never_ends_is_cut(served):
    http, _ = served
    slow = connected(http)
    slow.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: local")
    assert taken(slow) == 0
    slow.close()


def test_a_body_that_never_ends_is_refused(served):
    http, _ = served
    slow = connected(http)
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
    slow.sendall(head + b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
    assert slow.recv(20).startswith(b"HTTP/1.1 408")
    slow.close()


def test_patience_ends_when_it_should_and_not_before():
    """By a clock of its own: a reader that reads, however slowly, is left alone."""

    class Connection:
        def __init__(self, waiting=0, answering=True, idle=None):
            self.waiting, self.cut, self.timeout_keep_alive_task = waiting, 0, idle
            self.cycle = types.SimpleNamespace(response_complete=not answering)
            self.transport = self

        def get_write_buffer_size(self):
            return self.waiting

        def abort(self):
            self.cut += 1

    patience = Patience(Limits(read_seconds=60, send_seconds=30))
    deaf, steady, answered = Connection(5), Connection(5), Connection()
    silent, idle = Connection(answering=False), Connection(answering=False, idle=1)
    new = Connection()
    new.cycle = None  # nothing was asked yet
    for now in range(0, 100, 10):
        steady.waiting = 0 if now == 50 else 5
        patience.look([deaf, steady, answered, silent, idle, new], now)
        assert bool(deaf.cut) == (now >= 60)
        assert bool(silent.cut) == bool(new.cut) == (now >= 30)
    assert not (steady.cut or answered.cut or idle.cut)


def test_only_the_newest_ids_are_kept_for_a_reader():
    class Ids(list):
        pass

    async def play():
        newest, kept = streaming.Newest(), []
        for n in range(1000):
            ids = Ids(range(n))
            kept.append(weakref.ref(ids))
            newest.put(ids)
            del ids
            await asyncio.sleep(0)
        assert sum(one() is not None for one in kept) == 1
        assert len(await newest.get()) == 999
        waiting = asyncio.ensure_future(newest.get())
        await asyncio.sleep(0)
        assert not waiting.done(), "what was taken does not come again"
        newest.end()
        assert await waiting is None

    asyncio.run(play())


def test_the_engine_does_not_wait_for_a_stream(tmp_path):
    """Nothing of the stream is read before the whole answer is there."""
    from steppo_jax.gateway import parameters, wire
    from steppo_jax.gateway.calls import Origin

    terms = Terms(2, 2, 9, 0, 60.0, False)
    with made_up.serving(tmp_path / "x.jsonl", terms, length=500, pace=1) as calls:
        Source(calls).begin(0, 0, {})
        body = wire.ChatBody(model="policy", messages=HELLO, stream=True)
        wanted = parameters.understand(body, 1.0, 1000)
        done = threading.Event()

        async def answer(*given):
            try:
                return await calls.answer(*given)
            finally:
                done.set()

        async def play():
            origin = Origin(b"", None, False, 0.0)
            told = await streaming.begin(calls.chat, answer, wanted, origin)
            while not done.is_set():
                await asyncio.sleep(0.01)
            return [json.loads(e[6:]) async for e in told if "[DONE]" not in e]

        events = asyncio.run(play())
        text = "".join(e["choices"][0]["delta"].get("content") or "" for e in events)
        ids = [30 + (1 + n) % 60 for n in range(499)]
        assert text == calls.chat.decode(ids)
        assert len(events) < 5, "not one for each of 500 ids"
