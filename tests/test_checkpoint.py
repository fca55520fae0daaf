"""Checkpoints come back bit for bit, or are refused, or an older one is used."""

import gc
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax.checkpoint import Checkpoints, CheckpointsBroken
from steppo_jax.stored_tree import CheckpointMismatch, contents


def state(offset: float = 0.0):
    """A tree with everything a run holds: weights, small floats, counters, keys."""
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    noise = jax.random.normal(jax.random.key(0), (2000,)) + offset
    return {
        "weights": noise,
        "half": noise[:3].astype(jnp.bfloat16),
        "spread": jax.device_put(jnp.arange(8.0) + offset, spread),
        "counter": jnp.int32(3),
        "key": jax.random.key(7),
        "keys": jax.random.split(jax.random.key(8), 3),
        "host": np.arange(3),
        "none": None,
        "empty": (),
    }


def bits(tree):
    def raw(leaf):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        return np.asarray(leaf).tobytes()

    return jax.tree.map(raw, tree)


def save(directory: pathlib.Path, *iterations: int, keep: int = 2) -> None:
    checkpoints = Checkpoints(directory, keep)
    for iteration in iterations:
        checkpoints.save(iteration, state(iteration))
    checkpoints.close()


def files_of(directory: pathlib.Path) -> list[pathlib.Path]:
    return sorted(p for p in directory.rglob("*") if p.is_file())


def restore(directory: pathlib.Path, abstract=None, **options):
    said: list[str] = []
    checkpoints = Checkpoints(directory, say=said.append, **options)
    found = checkpoints.restore_latest(state() if abstract is None else abstract)
    checkpoints.close()
    return found, said


def test_the_newest_comes_back_bit_for_bit(tmp_path):
    save(tmp_path, 1, 2, 3)
    (iteration, tree), said = restore(tmp_path)
    assert iteration == 3 and not said
    assert bits(tree) == bits(state(3))
    assert contents(tree) == contents(state())
    assert tree["spread"].sharding == state()["spread"].sharding
    assert jax.random.key_impl(tree["key"]) == jax.random.key_impl(jax.random.key(0))
    draw, expected = (jax.random.bits(k) for k in (tree["key"], jax.random.key(7)))
    assert draw == expected


def test_nothing_saved_is_nothing_restored(tmp_path):
    assert restore(tmp_path) == (None, [])


def test_only_the_newest_are_kept(tmp_path):
    save(tmp_path, 1, 2, 3, 4, keep=2)
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.iterations() == [3, 4]
    assert bits(checkpoints.restore(3, state())) == bits(state(3))
    with pytest.raises(
        CheckpointMismatch, match=r"no checkpoint 1; there are \[3, 4\]"
    ):
        checkpoints.restore(1, state())
    checkpoints.close()


def test_the_saved_tree_may_be_donated_at_once(tmp_path):
    overwrite = jax.jit(lambda x: x * 0 - 1, donate_argnums=0)
    x = jnp.arange(200_000.0)
    expected = np.array(x)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"x": x})
    for _ in range(5):
        x = overwrite(x)
    jax.block_until_ready(x)
    checkpoints.wait()
    found = checkpoints.restore(1, {"x": jnp.zeros(200_000)})
    checkpoints.close()
    np.testing.assert_array_equal(found["x"], expected)


def test_saving_an_old_iteration_is_refused(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, state())
    with pytest.raises(Exception, match="5"):
        checkpoints.save(5, state())
    with pytest.raises(RuntimeError, match=r"checkpoint 4 not written: .*\[5\]"):
        checkpoints.save(4, state())
    checkpoints.close()


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ({"half": jnp.zeros(3)}, r"half.*stored bfloat16\[3\], wanted float32\[3\]"),
        ({"weights": jnp.zeros(9)}, r"stored float32\[2000\], wanted float32\[9\]"),
        ({"more": jnp.zeros(1)}, r"more.*stored nothing, wanted float32\[1\]"),
        ({"weights": None}, r"weights.*stored float32\[2000\], wanted nothing"),
        ({"key": jax.random.key(0, impl="rbg")}, r"key<fry>\[\], wanted key<rbg>"),
        ({"key": jnp.zeros(2, jnp.uint32)}, r"key<fry>\[\], wanted uint32\[2\]"),
    ],
)
def test_another_tree_is_refused_with_both_sides(tmp_path, edit, says):
    save(tmp_path, 1)
    with pytest.raises(CheckpointMismatch, match=says) as error:
        restore(tmp_path, state() | edit)
    assert "\n" not in str(error.value)


def damage(path: pathlib.Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "deleted":
        path.unlink()
    elif how == "cut":
        path.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 2] ^= 0x55
        path.write_bytes(data)


@pytest.mark.parametrize("how", ["deleted", "cut", "flipped"])
def test_damage_is_noticed_and_the_older_one_used(tmp_path, how):
    """Whatever file is damaged: the right bits of 2, or those of 1 and a warning."""
    noticed = 0
    save(tmp_path / "good", 1, 2)
    for path in files_of(tmp_path / "good" / "2"):
        if path.stat().st_size < 200:  # markers and the like; a smaller sample
            continue
        place = tmp_path / f"bad{path.stat().st_ino}"
        copy(tmp_path / "good", place)
        damage(place / path.relative_to(tmp_path / "good"), how)
        (iteration, tree), said = restore(place)
        assert bits(tree) == bits(state(iteration))
        assert (iteration == 1) == bool(said)
        if said:
            noticed += 1
            assert "checkpoint 2 cannot be read" in said[0]
            assert "moved to 2.broken, going on from checkpoint 1" in said[0]
            assert (place / "2.broken").is_dir()
    assert noticed >= 2


def copy(source: pathlib.Path, target: pathlib.Path) -> None:
    for path in files_of(source):
        to = target / path.relative_to(source)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(path.read_bytes())


def largest(directory: pathlib.Path) -> pathlib.Path:
    return max(files_of(directory), key=lambda p: p.stat().st_size)


def test_the_run_goes_on_after_a_broken_checkpoint(tmp_path):
    save(tmp_path, 1, 2)
    damage(largest(tmp_path / "2"), "cut")
    checkpoints = Checkpoints(tmp_path, say=lambda _: None)
    assert checkpoints.restore_latest(state())[0] == 1
    checkpoints.save(2, state(20))
    checkpoints.close()
    (iteration, tree), said = restore(tmp_path)
    assert (iteration, said) == (2, []) and bits(tree) == bits(state(20))


def test_a_broken_checkpoint_is_one_message_not_many(tmp_path, monkeypatch):
    printed = []
    monkeypatch.setattr(sys, "unraisablehook", printed.append)
    save(tmp_path, 1, 2)
    damage(largest(tmp_path / "2"), "cut")
    (iteration, _), said = restore(tmp_path)
    gc.collect()
    assert (iteration, len(said), printed) == (1, 1, [])


def test_none_readable_is_an_error_not_a_fresh_start(tmp_path):
    save(tmp_path, 1, 2)
    for iteration in ("1", "2"):
        damage(largest(tmp_path / iteration), "flipped")
    with pytest.raises(CheckpointsBroken, match=r"none of the checkpoints \[2, 1\]"):
        restore(tmp_path)


def test_reading_only_changes_nothing_on_disk(tmp_path):
    save(tmp_path, 1, 2)
    (tmp_path / "3.orbax-checkpoint-tmp-0").mkdir()  # another process is saving
    (tmp_path / "3.orbax-checkpoint-tmp-0" / "part").write_text("x")
    damage(largest(tmp_path / "2"), "cut")
    before = {p: p.read_bytes() for p in files_of(tmp_path)}
    (iteration, _), said = restore(tmp_path, read_only=True)
    assert iteration == 1 and "left alone" in said[0]
    assert {p: p.read_bytes() for p in files_of(tmp_path)} == before
    with pytest.raises(CheckpointMismatch, match="no checkpoints"):
        Checkpoints(tmp_path / "nowhere", read_only=True)


def test_what_a_kill_left_half_written_is_cleaned_up(tmp_path):
    save(tmp_path, 1)
    half = tmp_path / "2.orbax-checkpoint-tmp-0"
    half.mkdir()
    (half / "part").write_text("x")
    (iteration, _), said = restore(tmp_path)
    assert iteration == 1 and not said and not half.exists()
