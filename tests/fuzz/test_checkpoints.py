"""A checkpoint with accidents gives its own bits, those before it, or one line."""

import pathlib
import shutil
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steppo_jax.checkpoint import Checkpoints, CheckpointsBroken
from steppo_jax.errors import Refused
from tests.fuzz import mutated
from tests.fuzz.tier import inputs
from tests.test_checkpoint import bits, damage, largest, save, state


@pytest.fixture(scope="module")
def whole():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="fuzz"))
    save(folder / "whole", 1, 2)
    yield folder / "whole"
    shutil.rmtree(folder)


@inputs(20, 1000)
@given(st.data())
def test_accidents_in_any_file(whole, data):
    place = whole.parent / "torn"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(whole, place)
    files = sorted(p for p in place.rglob("*") if p.is_file())
    for path in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=2)):
        path.write_bytes(data.draw(mutated.of_bytes(path.read_bytes())))
    before = mutated.listing(whole)
    said: list[str] = []
    checkpoints = Checkpoints(place, say=said.append)
    try:
        found = checkpoints.restore_latest(state())
    except Refused as error:
        assert "\n" not in str(error)
    else:
        if found is not None:
            iteration, tree = found
            assert bits(tree) == bits(state(iteration))
            assert all("\n" not in text for text in said)
    checkpoints.close()
    assert mutated.listing(whole) == before


def test_asking_for_a_damaged_one_is_one_line(tmp_path):
    save(tmp_path, 1, 2)
    damage(largest(tmp_path / "2"), "cut")
    checkpoints = Checkpoints(tmp_path, read_only=True)
    with pytest.raises(CheckpointsBroken, match="checkpoint 2 cannot be read") as error:
        checkpoints.restore(2, state())
    assert "\n" not in str(error.value)
    checkpoints.close()
