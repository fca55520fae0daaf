"""What a chip sends, as the slice grows: the devices here stand for the chips."""

import re

import jax
import pytest

from configs import household
from steppo_jax import ahead
from steppo_jax.errors import Refused
from steppo_jax.figures import files
from steppo_jax.figures import weak_scaling as figure
from tests import entry_points

weak_scaling = entry_points.load("weak_scaling")

WORDS = "steppo,smoke,env.max_steps=2,learner.minibatches=1,parallel.kind=mesh,"
WORDS += "rollout.groups=2,parallel.data=2,parallel.fsdp=1,parallel.tensor=1,"
WORDS += "learner.microbatch=2"


@pytest.fixture(scope="module")
def compiled():
    """Rows of the table for two and four chips, and what was compiled for each."""
    config, rows, updates, update = household.get_config(WORDS), [], [], ahead.update

    def kept(p):
        account, text = update(p)
        updates.append((p, text))
        return account, text

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ahead, "update", kept)
        for n in (2, 4):
            grown = weak_scaling.grown(config, n, 2)
            rows.append(weak_scaling.row(f"here:{n}", grown, tuple(jax.devices()[:n])))
    return rows, updates


def test_a_chip_sends_the_same_and_its_tables_on_twice_as_many(compiled):
    (two, four), _ = compiled
    assert two["trajectories"] == 8 and four["trajectories"] == 16
    assert two["update"] > two["weights"]  # gradients of policy and critic
    # 16 sequences of 51 places more, in some twenty tables; a gradient is 41,000 bytes.
    more = (four["update"] - two["update"]) * weak_scaling.MIB
    assert 0 <= more < 20 * 16 * 51 * 4
    # The weights are everywhere: what is sent is whether all episodes are over.
    assert max(two["rollout"], four["rollout"]) * weak_scaling.MIB <= 4


def test_no_table_is_sent_for_every_slice(compiled):
    p, text = compiled[1][1]
    tokens = ahead.tables(p)[1]
    S, L = tokens.token.shape
    table = re.compile(rf"\[{S},({L}|{tokens.prompt_columns})\]")
    sent = [line for line in text.splitlines() if ahead.hlo.KIND.search(line)]
    once = [line for line in sent if table.search(line.partition(" all-")[0])]
    # The loop over minibatches is body/closed_call, those over slices are inside it or
    # have no such name.
    inside = re.compile("while/body/gather|closed_call/while/body")
    assert once and not [line for line in once if inside.search(line)]


def test_the_picture_and_its_numbers(compiled, tmp_path):
    found = figure.result("household", compiled[0])
    paths = files.write(found, tmp_path, found.draw())
    assert [p.name for p in paths] == [
        f"weak_scaling.{end}" for end in ("svg", "png", "csv", "txt")
    ]
    assert "all-reduce" in paths[2].read_text()
    assert "times." in found.shows


@pytest.mark.parametrize(
    ("words", "chips", "smallest"), [("", 3, 2), (",parallel.data=4", 4, 2), ("", 8, 4)]
)
def test_slices_that_are_not_the_configs_are_refused(words, chips, smallest):
    config = household.get_config(WORDS + words)
    with pytest.raises(Refused, match=f"first of {smallest} chips and another"):
        weak_scaling.grown(config, chips, smallest)


def test_a_config_for_pmap_is_laid_along_data():
    found = weak_scaling.grown(household.get_config("steppo"), 16, 8)
    assert found.parallel.data == 16 and found.parallel.fsdp == 1
    assert found.warm_start.episodes == 32  # 2 a chip, as on 8
