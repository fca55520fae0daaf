"""What a chip sends, as the slice grows: the devices here stand for the chips."""

import re

import jax
import pytest

from configs import household
from steppo_jax import ahead
from steppo_jax.errors import Refused
from steppo_jax.figures import files
from tests import entry_points

weak_scaling = entry_points.load("weak_scaling")

WORDS = "steppo,smoke,env.max_steps=2,learner.minibatches=1,parallel.kind=mesh,"
WORDS += "rollout.groups=2,parallel.data=2,parallel.fsdp=1,parallel.tensor=1,"
WORDS += "learner.microbatch=2"


@pytest.fixture(scope="module")
def rows():
    config = household.get_config(WORDS)
    return [
        weak_scaling.row(
            f"here:{n}", weak_scaling.grown(config, n, 2), tuple(jax.devices()[:n])
        )
        for n in (2, 4)
    ]


def test_a_chip_sends_the_same_and_its_tables_on_twice_as_many(rows):
    two, four = rows
    assert two["trajectories"] == 8 and four["trajectories"] == 16
    assert two["update"] > two["weights"]  # gradients of policy and critic
    # 16 sequences of 51 places more, in some twenty tables; a gradient is 41,000 bytes.
    more = (four["update"] - two["update"]) * weak_scaling.MIB
    assert 0 <= more < 20 * 16 * 51 * 4
    assert two["rollout"] <= two["weights"]
    assert four["rollout"] <= four["weights"]


def test_no_table_is_sent_for_every_slice():
    config = weak_scaling.grown(household.get_config(WORDS), 4, 2)
    p = ahead.build(config, tuple(jax.devices()[:4]))
    _, text = ahead.update(p)
    tokens = ahead.tables(p)[1]
    S, L = tokens.token.shape
    table = re.compile(rf"\[{S},({L}|{tokens.prompt_columns})\]")
    sent = [line for line in text.splitlines() if ahead.hlo.KIND.search(line)]
    once = [line for line in sent if table.search(line.partition(" all-")[0])]
    # The loop over minibatches is body/closed_call, those over slices are inside it or
    # have no such name.
    inside = re.compile("while/body/gather|closed_call/while/body")
    assert once and not [line for line in once if inside.search(line)]


def test_the_picture_and_its_numbers(rows, tmp_path):
    config = household.get_config(WORDS)
    found = weak_scaling.result(config, rows)
    paths = files.write(found, tmp_path, found.draw())
    assert [p.name for p in paths] == [
        f"weak_scaling.{end}" for end in ("svg", "png", "csv", "txt")
    ]
    assert "all-reduce" in paths[2].read_text()
    assert "times." in found.shows


def test_slices_that_do_not_divide_are_refused():
    config = household.get_config(WORDS)
    with pytest.raises(Refused, match="3 chips are no multiple of the smallest"):
        weak_scaling.grown(config, 3, 2)
