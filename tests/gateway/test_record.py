"""The record is read as a stream and shortened: what is still needed stays."""

import concurrent.futures
import contextlib
import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from steppo_jax.checkpoint import Checkpoints
from steppo_jax.errors import Refused
from steppo_jax.gateway import record_file, restart, run
from steppo_jax.gateway.book import Book
from steppo_jax.gateway.cut import Cut
from steppo_jax.gateway.journal import Journal
from steppo_jax.gateway.pool import Pool
from steppo_jax.gateway.wire import OpenBody
from tests.gateway.made import HELLO, chat, gateway, opened, played
from tests.gateway.test_pool import close, open_one, speak, terms


def restarted(path, learned=0, **more):
    """(pool, journal) as a gateway has them after a restart."""
    book, journal = restart.remembered(path, learned, shorten_from=0)
    return Pool(book, journal, terms(**more)), journal


def learn(pool, iterations, *, trajectories=1):
    """Iterations of one step by each of their trajectories."""
    for iteration in iterations:
        pool.begin(iteration, iteration)
        for _ in range(trajectories):
            one = open_one(pool, f"{iteration}")
            speak(pool, one, iteration)
            close(pool, one)
        assert len(pool.release()) == trajectories


def state(book):
    """All that a book knows, but for what belongs to a process."""
    found = {k: v for k, v in vars(book).items() if k not in ("shown", "_learned")}
    ones = found.pop("trajectories")
    held = {}
    for name, one in ones.items():
        held[name] = {
            k: v for k, v in vars(one).items() if k not in ("touched", "busy")
        }
    return json.loads(json.dumps(found | {"held": held}, default=vars))


def test_a_shortened_record_tells_the_same(tmp_path):
    """The state after reading it is that of a gateway which was never stopped."""
    path = tmp_path / "x.jsonl"
    pool, journal = restarted(path, groups=2, staleness=1)
    learn(pool, range(4), trajectories=2)
    pool.begin(4, 4)
    early, late = open_one(pool, "a"), open_one(pool, "b")
    speak(pool, early, 4)
    pool.reward(early.id, 0, 0.5).result()
    pool.abandon(late.id, "x").result()
    name, done = pool.open(OpenBody(task="", group="c"), "key")
    done.result()
    size = path.stat().st_size
    pool.shorten(lambda: 3).result()
    assert path.stat().st_size < size
    speak(pool, pool.find(name), 4)
    journal.close()
    kinds = [e["e"] for e in record_file.read(path)]
    assert kinds.count("so_far") == 1 and kinds[-1] == "step"
    assert kinds.count("open") == 2 + 2, "iteration 3, and the two that are open"
    again, journal = restarted(path, groups=2, staleness=1)
    again.book.forget(4)
    assert state(again.book) == state(pool.book)
    with pytest.raises(Exception, match="is over: abandoned"):
        again.find(late.id)
    again.begin(3, 3)
    again.begin(4, 4)
    assert again.open(OpenBody(task="", group="c"), "key") == (name, None)
    journal.close()


def test_what_a_restart_learns_again_stays(tmp_path):
    path = tmp_path / "x.jsonl"
    pool, journal = restarted(path)
    learn(pool, range(5))
    pool.shorten(lambda: 3).result()
    journal.close()
    pool, journal = restarted(path, learned=3)
    assert pool.live_from == 5
    for iteration in (3, 4):
        pool.begin(iteration, iteration)
        assert [x.steps[0].version for x in pool.release()] == [[iteration]]
    # A second cut keeps what the first has kept, and the counts go on.
    pool.shorten(lambda: 4).result()
    journal.close()
    pool, journal = restarted(path, learned=4)
    assert pool.book.counts["steps"] == 5
    with pytest.raises(Refused, match="iteration 4, and the run goes on from 3"):
        pool.begin(3, 3)
    journal.close()


def test_a_restart_holds_only_what_it_may_need(tmp_path, monkeypatch):
    path = tmp_path / "x.jsonl"
    pool, journal = restarted(path)
    learn(pool, range(30))
    journal.close()
    most = []
    real = Book.apply

    def apply(self, event):
        real(self, event)
        most.append(len(self.trajectories))

    monkeypatch.setattr(Book, "apply", apply)
    pool, journal = restarted(path, learned=29)
    journal.close()
    assert max(most) == 1 and list(pool.book.releases) == [29]


def test_nothing_after_the_oldest_checkpoint_is_learned_for_good(tmp_path):
    """A damaged one is passed over at a restart, so the newest does not count."""
    assert run.saved(tmp_path) == 0
    with contextlib.closing(Checkpoints(tmp_path / "checkpoints", keep=2)) as saving:
        assert run.saved(tmp_path) == 0
        for iteration in (3, 5, 8):
            saving.save(iteration, {"x": np.zeros(1)})
    assert run.saved(tmp_path) == 5


def test_what_is_cut_is_kept_where_asked(tmp_path):
    path = tmp_path / "x.jsonl"
    journal = Journal(path, keep=True, shorten_from=0)
    pool = Pool(Book(), journal, terms())
    learn(pool, range(3))
    whole = path.read_bytes()
    pool.shorten(lambda: 3).result()
    assert (tmp_path / "x-000001.jsonl").read_bytes() == whole
    os.link(path, tmp_path / "x-000002.jsonl")  # one who was killed before the end
    learn(pool, range(3, 5))
    journal.shorten(lambda event: False, {"e": "so_far"}).result()
    journal.close()
    assert len(list(tmp_path.glob("x-*"))) == 2
    assert (tmp_path / "x-000002.jsonl").read_bytes().count(b'"step"') >= 2


def test_a_disk_that_is_full_leaves_the_record_as_it_is(tmp_path, monkeypatch):
    path = tmp_path / "x.jsonl"
    journal = Journal(path, shorten_from=0)
    journal.append({"e": "open", "id": "a"}).result()

    def full(*given):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        journal.shorten(lambda event: False, {"e": "so_far"}).result()
    assert "No space" in journal.summary()["error"] and not journal.long
    assert not list(tmp_path.glob("*.new"))
    journal.append({"e": "close", "id": "a"}).result()
    assert len(list(record_file.read(path))) == 2
    cut = Cut(Book(), 0)  # knows every kind that a gateway writes, and no other
    journal.append({"e": "new_kind"}).result()
    journal.shorten(cut.wants, cut.last).result()
    assert "new_kind" in journal.summary()["error"]
    journal.append({"e": "reward", "id": "a"}).result()
    assert len(list(record_file.read(path))) == 4
    journal.close()


def test_an_unknown_event_is_not_thrown_away(tmp_path):
    with pytest.raises(ValueError, match="new_kind"):
        Cut(Book(), 0).wants({"e": "new_kind"})


def test_the_new_file_has_one_writer_too(tmp_path):
    path = tmp_path / "x.jsonl"
    journal = Journal(path, shorten_from=0)
    journal.append({"e": "open", "id": "a"}).result()
    journal.shorten(lambda event: True, {"e": "so_far"}).result()
    with pytest.raises(record_file.RecordInUse):
        Journal(path)
    journal.close()
    Journal(path).close()


KILLED = """
import os, pathlib, signal, sys
from steppo_jax.gateway.journal import Journal
from steppo_jax.gateway import record_file

folder = pathlib.Path(sys.argv[1])
CALLS = ("fsync", "link", "replace")  # before each the process dies once, and after it

def child(path, at):
    passed = 0
    def dies(name):
        real = getattr(os, name)
        def call(*given):
            nonlocal passed
            for moment in ("before", "after"):
                if passed == at:
                    os.kill(os.getpid(), signal.SIGKILL)
                passed += 1
                if moment == "before":
                    found = real(*given)
            return found
        setattr(os, name, call)
    journal = Journal(path, keep=True, shorten_from=0)
    for name in CALLS:
        dies(name)
    said = open(path.with_suffix(".told"), "w")
    for n in range(24):
        if n % 8 == 7:
            cut = lambda event: event["e"] != "so_far" and event["n"] % 3 == 0
            journal.shorten(cut, {"e": "so_far", "n": n})
        journal.append({"e": "x", "n": n}).result()
        said.write(f"{n}\\n")
        said.flush()
    os._exit(0)

for at in range(10_000):
    path = folder / f"{at}.jsonl"
    if not (pid := os.fork()):
        child(path, at)
    if os.waitpid(pid, 0)[1] == 0:
        break
print(at)
"""


def test_killed_at_any_moment_of_a_cut_nothing_acknowledged_is_lost(tmp_path):
    """A process dies by -9 before and after each call that changes the disk."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    deaths = int(done.stdout)
    assert deaths > 60
    halves = 0
    for at in range(deaths):
        path = tmp_path / f"{at}.jsonl"
        told = path.with_suffix(".told").read_text().split()
        halves += path.with_name(f"{path.name}.new").exists()
        journal = Journal(path, shorten_from=0)
        acknowledged = [int(n) for n in told]
        events = list(record_file.read(path))
        cut = max((e["n"] for e in events if e["e"] == "so_far"), default=0)
        ids = [e["n"] for e in events if e["e"] == "x"]
        assert len(set(ids)) == len(ids), "nothing is there twice"
        kept = [
            e["n"]
            for old in tmp_path.glob(f"{at}-*.jsonl")
            for e in record_file.read(old)
        ]
        assert set(acknowledged) <= {*ids, *kept}, "what is cut is kept"
        need = {n for n in acknowledged if n >= cut or n % 3 == 0}
        assert need <= set(ids), (at, cut, need - set(ids))
        journal.append({"e": "x", "n": 1000}).result()
        journal.shorten(lambda event: True, {"e": "so_far", "n": 1}).result()
        journal.close()
        assert [e["n"] for e in record_file.read(path)][-2:] == [1000, 1]
    assert halves > 0, "some died with the new file half made"


def test_nobody_is_told_before_the_disk_has_it(inner, params, tmp_path, monkeypatch):
    """Every request that is recorded waits for fsync."""
    asked, written, real = threading.Event(), threading.Event(), os.fsync

    def fsync(file):
        asked.set()
        assert written.wait(60)
        real(file)

    with gateway(inner, tmp_path, params) as (client, _source):
        at = opened(client)
        other = opened(client)
        requests = (
            lambda: client.post("/v1/trajectories", json={"task": "", "group": "b"}),
            lambda: chat(client, HELLO, at),
            lambda: chat(client, HELLO, at, stream=True),
            lambda: client.post(f"{at}/reward", json={"reward": 1.0}),
            lambda: client.post(f"{at}/close", json={"end": "terminated"}),
            lambda: client.post(f"{other}/abandon", json={}),
        )
        monkeypatch.setattr(os, "fsync", fsync)
        for request in requests:
            asked.clear()
            written.clear()
            found = concurrent.futures.ThreadPoolExecutor(1).submit(request)
            assert asked.wait(60), "it never came to the disk"
            with pytest.raises(TimeoutError):  # told before it was there
                found.result(0.5)
            written.set()
            assert found.result(60).status_code in (200, 201)


def test_a_run_shortens_its_record(inner, params, tmp_path):
    """From the pool's first moment after a checkpoint; the API sees none of it."""
    with gateway(inner, tmp_path, params) as (client, source):
        source.pool.journal._long_from = source.pool.journal._least = 0
        source.saved = lambda: 1
        over = [played(client, group) for group in "aabb"]
        source.pool.release()
        source.begin(1, 2, params)
        at = opened(client, "c")
        said = chat(client, HELLO, at, headers={"idempotency-key": "k"}).json()
        source.pool.shorten(lambda: 1).result()
        assert client.get("/v1/status").json()["pool"]["record"]["error"] is None
    events = list(record_file.read(tmp_path / run.FILE))
    assert [e["e"] for e in events] == ["open", "step", "so_far"]
    with gateway(inner, tmp_path, None) as (client, source):
        source.begin(1, 2, params)
        again = chat(client, HELLO, at, headers={"idempotency-key": "k"}).json()
        assert again == said
        assert client.get(over[0]).status_code == 409
        assert client.get("/v1/trajectories/nobody").status_code == 404
