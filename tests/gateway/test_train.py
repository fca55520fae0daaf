"""Training through the gateway: the same rows as the in-process rollout, and a run."""

import dataclasses
import threading
import time

import httpx2
import jax
import numpy as np
import pytest

from steppo_jax import assembly, draws, records, settings, train
from steppo_jax.gateway import app, programs, run, server
from steppo_jax.gateway.limits import Limits
from steppo_jax.gateway.programs import Source
from tests.gateway import made
from tests.hosts import corridor_config
from tests.hosts.fakes import Chatty

WORDS = "gateway.staleness=0,gateway.idle_seconds=60,gateway.calls=64"


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    corridor_config.register(monkeypatch)


def corridors(folder, *words):
    more = (*WORDS.split(","), *words)
    found = corridor_config.config(folder, *more, method="grpo")
    settings.check(found)
    return found


def harness(url, task, group, number, policy, before_close=lambda: None) -> None:
    """A program that plays a corridor by calls, as the in-process rollout plays it."""
    env = Chatty(max_steps=2).make()
    with httpx2.Client(base_url=url, timeout=60) as client:
        given = {"task": f"corridor {task}", "group": f"g{group}", "number": number}
        answer = client.post("/v1/trajectories", json=given)
        while answer.status_code in (429, 503):
            time.sleep(0.1)
            answer = client.post("/v1/trajectories", json=given)
        at = answer.json()["base_url"]
        seen, _ = env.reset(seed=task, options={"panel": "train", "task": task})
        rules = {"role": "system", "content": env.instructions}
        messages = [rules, {"role": "user", "content": seen}]
        for t in range(2):
            answer = made.chat(client, messages, at)
            assert answer.status_code == 200, answer.text
            said = answer.json()["choices"][0]["message"]
            seen, reward, over, _, info = env.step(said["content"])
            client.post(f"{at}/reward", json={"reward": reward, "step": t})
            past = messages if policy == "append" else [rules]
            tail = [said] if policy == "append" else []
            messages = [*past, *tail, {"role": "user", "content": seen}]
            if over:
                break
        before_close()
        end = {"end": "terminated" if over else "truncated"}
        done = client.post(f"{at}/close", json=end | {"outcome": info["outcome"]})
        assert done.status_code == 200, done.text


def harnesses(url: str, p, iteration: int, policy: str) -> list[threading.Thread]:
    """One for each trajectory of an iteration, playing the tasks that a run draws."""
    key = draws.of_iteration(jax.random.key(p.config.seed), "tasks", iteration)
    size = p.config.rollout.group_size
    traj_N = np.arange(p.config.rollout.groups * size, dtype=np.int32)
    tasks = np.asarray(p._tasks(key, traj_N // size))
    threads = [
        threading.Thread(target=harness, args=(url, int(task), n // size, n, policy))
        for n, task in enumerate(tasks)
    ]
    for thread in threads:
        thread.start()
    return threads


@pytest.mark.parametrize("policy", ["rebuilt", "append"])
def test_the_same_rows_as_the_rollout_in_this_process(folder, tmp_path, policy):
    """Ids equal, log-probs within 1e-4, and everything that credit reads."""
    config = corridors(folder, f"context.policy={policy}", "lm.max_prompt=200")
    p = assembly.build(config)
    state = p.begin()
    inside = p.collect(state)
    with run.serving(p, tmp_path) as calls:
        source = Source(calls)
        outside = programs.OutsideHostPrograms(
            **{f.name: getattr(p, f.name) for f in dataclasses.fields(p) if f.init},
            rows=source,
        )
        http = server.Server(app.build(calls, Limits()), "127.0.0.1", 0)
        http.start()
        threads = harnesses(f"http://127.0.0.1:{http.port}", p, 0, policy)
        rolled = outside.collect(state)
        for thread in threads:
            thread.join()
        http.stop()
    for name in ("token", "position", "segment", "step_id", "policy_version"):
        mine, theirs = (getattr(x.tokens, name) for x in (rolled, inside))
        np.testing.assert_array_equal(mine, theirs, err_msg=name)
    np.testing.assert_allclose(
        rolled.tokens.behaviour_log_prob, inside.tokens.behaviour_log_prob, atol=1e-4
    )
    assert np.asarray(rolled.steps.valid).sum() > 4, "some play on"
    for field in dataclasses.fields(inside.steps):
        mine, theirs = (getattr(x.steps, field.name) for x in (rolled, inside))
        np.testing.assert_array_equal(mine, theirs, err_msg=field.name)
    assert set(rolled.outcome) == set(inside.outcome)
    for name, column in inside.outcome.items():
        np.testing.assert_array_equal(rolled.outcome[name], column, err_msg=name)
    kinds = {s.kind for one in outside.compiled["taken"] for s in one.steps}
    assert kinds == {"first", "appended" if policy == "append" else "rebuilt"}


def test_a_run_learns_the_same_through_the_gateway(folder, tmp_path):
    """Two iterations by harness and two in this process end with the same weights."""
    p = assembly.build(corridors(folder))
    train.learn(p, tmp_path / "inside")
    lines, url = [], []

    def tell(text: str) -> None:
        lines.append(text)
        if "http://" in text:
            url.append(text.partition(" at ")[2].removesuffix("/v1"))
            threading.Thread(target=feed).start()

    def feed() -> None:
        for iteration in range(2):
            for thread in harnesses(url[0], p, iteration, "rebuilt"):
                thread.join()

    run.run(p.config, tmp_path / "outside", port=0, tell=tell)
    ours, theirs = (
        records.read(tmp_path / name / "metrics.jsonl")
        for name in ("outside", "inside")
    )
    assert len(ours) == 2
    for a, b in zip(ours, theirs, strict=True):
        assert a["train/return"] == b["train/return"]
        assert a["gateway/rebuilt"] > 0
        np.testing.assert_allclose(
            a["policy/grad_norm"], b["policy/grad_norm"], rtol=1e-3
        )
    policies = [
        jax.tree.leaves(train.trained(p, tmp_path / name).policy)
        for name in ("outside", "inside")
    ]
    for a, b in zip(*policies, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_run_of_the_shipped_configuration(folder, tmp_path):
    """Nobody's tasks are known here: no panel, but metrics, episodes and a report."""
    config = made.config(folder)
    groups, size = config.rollout.groups, config.rollout.group_size

    def feed(url: str) -> None:
        with httpx2.Client(base_url=url, timeout=60) as client:
            for number in range(config.iterations * groups * size):
                given = {"task": "t", "group": f"g{number // size}"}
                answer = client.post("/v1/trajectories", json=given)
                while answer.status_code in (429, 503):  # it starts, or learns
                    time.sleep(0.1)
                    answer = client.post("/v1/trajectories", json=given)
                at = answer.json()["base_url"]
                assert made.chat(client, at=at).status_code == 200
                end = {"end": "terminated", "reward": 1.0}
                assert client.post(f"{at}/close", json=end).status_code == 200

    def tell(text: str) -> None:
        if "http://" in text:
            url = text.partition(" at ")[2].removesuffix("/v1")
            threading.Thread(target=feed, args=(url,), daemon=True).start()

    run.run(config, tmp_path, port=0, tell=tell)
    lines = records.read(tmp_path / "metrics.jsonl")
    assert [line["train/return"] for line in lines] == [1.0, 1.0]
    assert not (tmp_path / "eval").exists()
    assert "harness" in (tmp_path / "report.html").read_text()


def test_rows_of_older_weights_are_used_and_corrected(folder, tmp_path):
    """Half of the episodes are played, and closed only when the other half is used."""
    words = ("gateway.staleness=1", "objective.behaviour_cap=2.0")
    guards = ("guards.sampler_gap=None", "guards.gap_patience=None")
    p = assembly.build(corridors(folder, *words, *guards))
    groups, size = p.config.rollout.groups, p.config.rollout.group_size
    played, used = threading.Semaphore(0), threading.Event()

    def hold() -> None:
        played.release()
        used.wait(60)

    def all_of(url: str, first: int, before_close) -> list[threading.Thread]:
        each = [n for n in range(first, first + groups) for _ in range(size)]
        given = [(url, n, n, None, "rebuilt", before_close) for n in each]
        threads = [threading.Thread(target=harness, args=one) for one in given]
        for thread in threads:
            thread.start()
        return threads

    def feed(url: str) -> None:
        all_of(url, 0, hold)
        for _ in range(groups * size):
            played.acquire(timeout=60)
        for thread in all_of(url, groups, lambda: None):
            thread.join()
        used.set()

    def tell(text: str) -> None:
        if "http://" in text:
            url = text.partition(" at ")[2].removesuffix("/v1")
            threading.Thread(target=feed, args=(url,)).start()

    run.run(p.config, tmp_path, port=0, tell=tell)
    lines = records.read(tmp_path / "metrics.jsonl")
    assert [x["data/staleness_max"] for x in lines] == [0, lines[0]["policy/updates"]]
    assert all(x["policy/behaviour_weight_mean"] > 0 for x in lines)


def test_what_the_gateway_cannot_do_is_refused(folder):
    plain = corridor_config.config(folder, method="grpo")
    with pytest.raises(settings.ConfigError, match=r"experiments\.train"):
        programs.build(plain, lambda inner: None)
    for words, name in (
        (("gateway.staleness=1",), "gateway.staleness"),
        (("gateway.idle_seconds=None",), "gateway.idle_seconds"),
        (("gateway.calls=0",), "gateway.calls"),
    ):
        with pytest.raises(settings.ConfigError, match=name):
            corridors(folder, *words)
    with pytest.raises(settings.ConfigError, match=r"gateway\.staleness"):
        made.config(folder, "gateway.staleness=None")
    with pytest.raises(server.ServerError, match="token"):
        server.check_address("0.0.0.0", None)
    server.check_address("::1", None)
    server.check_address("0.0.0.0", "x" * 16)


def test_a_run_of_its_own_rows_refuses_a_gateways_config(folder, tmp_path):
    with pytest.raises(settings.ConfigError, match=r"experiments\.gateway"):
        train.run(corridors(folder), tmp_path)
