"""JSON lines: exact floats, valid JSON, cut at the right place."""

import json
import math
import struct

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steppo_jax import errors, records
from steppo_jax.records import BrokenRecords, Records

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just("a\n“é"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


def same(a, b) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        both_nan = math.isnan(a) and math.isnan(b)
        return both_nan or struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def strictly(text: str):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


@given(json_values)
def test_values_come_back_exactly_and_the_text_is_json(value):
    text = records.dumps(value)
    strictly(text)
    assert "\n" not in text
    assert same(records.loads(text), value)


@pytest.mark.parametrize("text", ['"\\ud800"', '{"\\udfff": 1}', '[["a\\ud800"]]'])
def test_half_characters_are_refused(text):
    with pytest.raises(ValueError, match="surrogates"):
        records.loads(text)
    assert records.loads('"\\ud83d\\ude00"') == "\U0001f600"


def test_a_refusal_is_one_line_whatever_a_file_is_called():
    assert (
        str(errors.Refused("no file a\nb\u2028c; give one"))
        == "no file a b c; give one"
    )


def test_numbers_that_are_not_finite_are_strings():
    text = records.dumps({"a": math.nan, "b": [math.inf, -math.inf]})
    assert text == '{"a": "nan", "b": ["inf", "-inf"]}'


def test_arrays_are_written_with_the_value_they_hold():
    x = np.float32(0.1)
    assert np.float32(records.loads(records.dumps(x))) == x
    assert records.plain(jnp.float32(0.1)) == float(x)
    assert records.plain(jnp.bfloat16(0.1)) == float(jnp.bfloat16(0.1))
    assert records.plain(np.array([[1, 2]])) == [[1, 2]]
    assert records.plain(np.bool_(True)) is True


def test_other_things_do_not_belong_in_a_record():
    with pytest.raises(TypeError, match="set"):
        records.dumps({"a": {1, 2}})


def written(path, count=5):
    with Records(path) as file:
        for i in range(count):
            file.append({"iteration": i, "x": i / 3})
    return path


def test_lines_are_on_disk_at_once(tmp_path):
    with Records(tmp_path / "m.jsonl") as file:
        file.append({"iteration": 0})
        assert records.read(tmp_path / "m.jsonl") == [{"iteration": 0}]


def test_truncate_keeps_what_came_before(tmp_path):
    path = written(tmp_path / "m.jsonl")
    before = path.read_text().splitlines(keepends=True)
    with Records(path) as file:
        assert file.truncate(3) == 3
        file.append({"iteration": 3, "x": 1.0})
    after = path.read_text().splitlines(keepends=True)
    assert after[:3] == before[:3]
    assert after[3:] == ['{"iteration": 3, "x": 1.0}\n']


@pytest.mark.parametrize("cut", range(1, 35))
def test_a_write_killed_at_any_byte_leaves_whole_lines(tmp_path, cut):
    path = written(tmp_path / "m.jsonl", 3)
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    path.write_bytes(whole[: min(last + cut, len(whole))])
    found = records.read(path)
    assert [r["iteration"] for r in found] in ([0, 1], [0, 1, 2])
    with Records(path) as file:
        file.append({"iteration": 9, "x": 0.5})
    assert records.read(path) == [*found, {"iteration": 9, "x": 0.5}]


@pytest.mark.parametrize("line", ["", "nonsense", "3", '{"a": 1'])
def test_damage_in_the_middle_is_named(tmp_path, line):
    path = written(tmp_path / "m.jsonl")
    lines = path.read_text().split("\n")
    lines[1] = line
    path.write_text("\n".join(lines))
    with pytest.raises(BrokenRecords, match=r"m\.jsonl:2: not a JSON object"):
        records.read(path)


def test_no_file_is_no_records(tmp_path):
    assert records.read(tmp_path / "none.jsonl") == []


def test_replacing_a_file_is_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    records.write_atomically(path, "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        records.write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["config.json"]
