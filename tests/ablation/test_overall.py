"""One bar for all runs: what it counts, how often it speaks, what is left."""

import io

from steppo_jax.ablation.overall import EVERY, Overall, Part


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_lines_come_now_and_then_with_the_time_that_is_left():
    stream, clock = io.StringIO(), Clock()
    overall = Overall("grid", 100, 20, stream=stream, clock=clock)
    parts = [Part(name, overall.hear) for name in ("a/seed-0", "b/seed-0")]
    for i in range(40):  # one iteration per second, runs in turn
        clock.now += 1
        parts[i % 2].line(i, {"train/success": 0.25})
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1 + int(39 // EVERY)
    assert lines[0] == "grid  21/100 a/seed-0 success 0.250 0:01<1:19"
    assert lines[1] == "grid  36/100 b/seed-0 success 0.250 0:16<1:04"


def test_what_runs_say_is_said_with_their_name():
    stream = io.StringIO()
    overall = Overall("grid", 1, 0, stream=stream)
    part = Part("a/seed-0", overall.hear)
    part.say("cloning")
    part.close()  # the whole goes on
    overall.say("whole")
    assert stream.getvalue() == "a/seed-0: cloning\nwhole\n"
