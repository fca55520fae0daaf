"""The long tier: many harness processes, kills, and a record that is checked after.

    python -m tests.gateway.soak --out=DIR --harnesses=64 --seconds=300
    python -m tests.gateway.soak --out=DIR --harnesses=16 --seconds=120 --kills=5

A gateway process serves a random two-layer model and learns from the episodes; with
--made_up its engine makes up ids at once and nobody learns: the gateway alone is
measured. Every harness is a process that plays episodes of its own and writes what
was acknowledged to it, with fsync, into DIR/acknowledged. With --kills the gateway is
killed -9 and restarted, and a harness, at random; with --soon all ends after that.
With --think harnesses pause between their calls; without, 64 of them ask for more than
two cores can answer, and a call's time is that of a queue.
At the end every acknowledged step must be in the record once, with the same text.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import httpx2
import psutil

from tests.gateway import made_up_engine

STEPS = 3
RECORD = "run/gateway/steps.jsonl"


def harness(
    url: str,
    number: int,
    out: pathlib.Path,
    going: Callable[[], bool],
    think: float = 0,
) -> None:
    """Plays as long as `going`; knows that nobody may answer for a while.

    Args:
      think: mean seconds between an answer and the next call, as an environment takes.
    """
    rng = random.Random(f"{number} {time.time()}")
    log = (out / f"{number}-{os.getpid()}.jsonl").open("a")
    client = httpx2.Client(base_url=url, timeout=60)

    def ask(method: str, path: str, body=None, key: str | None = None):
        headers = {"idempotency-key": key} if key else {}
        while going():
            try:
                answer = client.request(method, path, json=body, headers=headers)
            except httpx2.TransportError:
                time.sleep(0.2)  # it was killed: the same request again
                continue
            if answer.status_code not in (429, 503):
                return answer
            wait = float(answer.headers.get("retry-after", 0.1))  # as it was asked to
            time.sleep(wait * (1 + rng.random()))
        raise SystemExit(0)

    while True:
        name = f"{number}-{rng.getrandbits(48):x}"
        body = {"task": "soak", "group": name}
        made = ask("POST", "/v1/trajectories", body, f"open-{name}").json()
        at, messages = made["base_url"], [{"role": "user", "content": f"Go {name}."}]
        for t in range(rng.randint(1, STEPS)):
            body = {"model": "policy", "messages": messages}
            began = time.perf_counter()
            answer = ask("POST", f"{at}/chat/completions", body, f"step-{t}")
            if answer.status_code != 200:
                break  # abandoned while nobody answered
            said = answer.json()
            told = {"id": made["id"], "step": t, "call": said["id"]}
            told["text"] = said["choices"][0]["message"]["content"]
            told["seconds"] = time.perf_counter() - began
            log.write(json.dumps(told) + "\n")
            log.flush()
            os.fsync(log.fileno())
            time.sleep(2 * think * rng.random())
            messages = [*messages, said["choices"][0]["message"]]
            messages.append({"role": "user", "content": "on"})
        end = {"end": "terminated", "reward": rng.random()}
        ask("POST", f"{at}/close", end, "close")


def serve(out: pathlib.Path, port: int, made_up: bool) -> None:
    """The gateway process: an endless run of the toy model."""
    if made_up:
        made_up_engine.serve(out / RECORD, port, STEPS)
        return
    from steppo_jax.gateway import run
    from tests.gateway import made
    from tests.text import tiny

    folder = (
        tiny.write(out / "model") if not (out / "model").exists() else out / "model"
    )
    words = ("lm.slots=16", "rollout.groups=32", "rollout.group_size=1")
    words += ("iterations=100000", "checkpoint.every=1", "gateway.idle_seconds=20")
    words += ("learner.microbatch=32", "lm.max_new=8", "gateway.calls=1024")
    config = made.config(folder, *words, method="steppo")
    run.run(config, out / "run", port=port, keep_record=True)


def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("--out", type=pathlib.Path, required=True)
    flags.add_argument("--harnesses", type=int, default=64)
    flags.add_argument("--seconds", type=float, default=600)
    flags.add_argument("--kills", type=int, default=0)
    flags.add_argument("--think", type=float, default=0)
    flags.add_argument("--soon", action="store_true")
    flags.add_argument("--made_up", action="store_true")
    flags.add_argument("--port", type=int, default=8123)
    flags.add_argument("--role", default="all")
    flags.add_argument("--number", type=int, default=0)
    flags.add_argument("--until", type=float, default=0)
    given = flags.parse_args()
    out, url = given.out.resolve(), f"http://127.0.0.1:{given.port}"
    told = out / "acknowledged"
    told.mkdir(parents=True, exist_ok=True)
    if given.role == "gateway":
        serve(out, given.port, given.made_up)
        return
    if given.role == "harness":
        until, think = given.until, given.think
        harness(url, given.number, told, lambda: time.time() < until, think)
        return

    def start(role: str, *more: str) -> subprocess.Popen:
        log = (out / f"{role}.log").open("a")
        command = [sys.executable, "-m", "tests.gateway.soak", f"--out={out}"]
        command += [f"--port={given.port}", f"--role={role}", *more]
        command += ["--made_up"] * given.made_up
        return subprocess.Popen(command, stdout=log, stderr=log)

    def status() -> dict | None:
        try:
            return httpx2.get(f"{url}/v1/status", timeout=10).json()
        except httpx2.TransportError:
            return None

    server = start("gateway")
    while (found := status()) is None or found["pool"]["phase"] != "collecting":
        time.sleep(0.5)
        assert server.poll() is None, (out / "gateway.log").read_text()[-2000:]
    until = time.time() + given.seconds
    how = (f"--until={until}", f"--think={given.think}")
    players = [start("harness", f"--number={n}", *how) for n in range(given.harnesses)]
    left, after = given.kills, random.randint(20, 200)
    memory, last, killed = [], None, 0
    while time.time() < until + 5:
        time.sleep(1)
        if given.soon and not left and last and last["engine"]["calls"] >= after:
            break
        # Only a gateway that has answered since it was started can lose something.
        if left and last is not None and last["engine"]["calls"] >= after:
            left, after, last = left - 1, random.randint(20, 200), None
            server.send_signal(signal.SIGKILL)
            server.wait()
            n = random.randrange(len(players))
            players[n].kill()
            players[n].wait()
            server = start("gateway")
            players[n] = start("harness", f"--number={n}", *how)
            killed += 1
        else:
            assert server.poll() is None, "the gateway ended by itself"
            memory.append(psutil.Process(server.pid).memory_info().rss / 2**20)
            last = status() or last
    for player in players:
        if given.soon:
            player.kill()
        player.wait()
    server.terminate()
    server.wait(60)
    found = judge(out, told)
    assert last is not None, "the gateway is not back since its last kill"
    # Counts since the last start of the gateway.
    engine, pool = last["engine"], last["pool"]
    beside = engine["seconds_total"] - engine["seconds_engine"]
    print(
        f"{found['acknowledged']} steps acknowledged, {found['recorded']} recorded; "
        f"lost {found['lost']}, doubled {found['doubled']}, "
        f"changed {found['changed']}; gateway and a harness killed {killed} times"
    )
    mean = 1000 * beside / max(engine["calls"], 1)
    print(
        f"p50 of a call: {1000 * found['p50']:.1f} ms at the client; beside the engine "
        f"p50 {1000 * found['beside']:.2f} ms, mean {mean:.2f} ms at the gateway"
    )
    fifths = [memory[len(memory) * n // 5 - 1] for n in range(1, 6)]
    print(
        f"iteration {pool['iteration']}; memory after each fifth, MiB: "
        + ", ".join(f"{x:.0f}" for x in fifths)
    )
    sys.exit(bool(found["lost"] or found["doubled"] or found["changed"]))


def judge(out: pathlib.Path, acknowledged: pathlib.Path) -> dict:
    """What was acknowledged against what is recorded."""
    from steppo_jax.gateway import record_file

    recorded, doubled, beside = {}, 0, []
    # Every cut of the record leaves a file; what was kept stands in the next one too.
    for path in sorted((out / RECORD).parent.glob("*.jsonl")):
        steps = collections.defaultdict(list)
        for event in record_file.read(path):
            if event["e"] == "step":
                steps[event["id"]].append(event)
        calls = collections.Counter(x["call"] for each in steps.values() for x in each)
        doubled += sum(n > 1 for n in calls.values())
        for name, each in steps.items():
            for place, event in enumerate(each):
                before = recorded.setdefault((name, place), event)
                doubled += before["call"] != event["call"]
                if before is event:
                    beside.append(event["seconds"] - event["engine_seconds"])
    told = []
    for path in sorted(acknowledged.glob("*.jsonl")):
        told += [json.loads(x) for x in path.read_text().split("\n")[:-1]]
    lost = changed = 0
    for one in told:
        found = recorded.get((one["id"], one["step"]))
        lost += found is None
        if found is not None:
            changed += found["call"] != one["call"] or found["response"] != one["text"]
    seconds = sorted(one["seconds"] for one in told)
    return {
        "acknowledged": len(told),
        "recorded": len(recorded),
        "lost": lost,
        "doubled": doubled,
        "changed": changed,
        "p50": seconds[len(seconds) // 2],
        "beside": sorted(beside)[len(beside) // 2],
    }


if __name__ == "__main__":
    main()
