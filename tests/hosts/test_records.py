"""Files that cannot be read are one line that names the place and the remedy."""

import json

import pytest

from steppo_jax.errors import Refused
from steppo_jax.hosts import json_list, records


def refusal(path) -> str:
    with pytest.raises(Refused) as error:
        list(records.read(path))
    assert "\n" not in str(error.value)
    return str(error.value)


def file(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.jsonl", b'{"a": 1}\n\nnot json\n', "a.jsonl line 3: no JSON"),
        ("a.jsonl", b'{"a": 1}\n[2]\n', "line 2: needs an object, not list"),
        ("a.jsonl", b'\xff\xfe{"a"\n', "line 1: no JSON"),
        ("a.jsonl", b"[" * 100_000, "line 1: nested too deeply"),
        ("a.json", b"{}", "needs a list of objects"),
        ("a.json", b"", "needs a list of objects"),
        ("a.json", b"[{} {}]", "record 0: no JSON (needs ',' or ']'"),
        ("a.json", b"[{},]", "record 1: no JSON"),
        ("a.json", b'[{}, {"a": "\xff"}]', "no JSON"),
        ("a.json", b"[{}]x", "something stands after the list"),
        ("a.json", b"[" + b'{"a":' * 50_000, "record 0: nested too deeply"),
        ("a.json", b'[{}, "b"]', "record 1: needs an object, not str"),
        ("a.json", b"[{}", "record 0: no JSON"),
        ("a.json", b'[{"a": ', "record 0: no JSON"),
        ("a.txt", b"", "needs to be one of .json, .jsonl, .parquet"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, name, data, says):
    assert says in refusal(file(tmp_path, name, data))


def test_sizes_are_bounded(tmp_path, monkeypatch):
    path = file(tmp_path, "a.jsonl", b'{"a": "' + b"x" * 100 + b'"}\n')
    monkeypatch.setattr(records, "MOST_LINE", 64)
    assert "line 1: longer than 64 bytes" in refusal(path)
    monkeypatch.setattr(records, "MOST_BYTES", 10)
    assert "more than 10; split it" in refusal(path)


def test_good_files_are_read_in_order(tmp_path):
    lines = file(tmp_path, "a.jsonl", b'{"a": 1}\r\n  \n{"a": "\xc3\xa9"}')
    assert [r for _, r in records.read(lines)] == [{"a": 1}, {"a": "é"}]
    listed = file(tmp_path, "a.json", b'[{"a": 1}, {}]')
    assert [r for _, r in records.read(listed)] == [{"a": 1}, {}]


def test_a_list_is_read_in_chunks_as_in_one(tmp_path, monkeypatch):
    value = [{"a": i, "b": 'é\\"[]{},' * i, "c": [1.5, None, {}]} for i in range(30)]
    for indent in (None, 1):
        text = json.dumps(value, ensure_ascii=False, indent=indent)
        path = file(tmp_path, "a.json", text.encode())
        for chunk in (1, 2, 7, 1000, 1 << 20):
            monkeypatch.setattr(json_list, "CHUNK", chunk)
            assert [r for _, r in records.read(path)] == value
    assert list(records.read(file(tmp_path, "b.json", b" [ ] "))) == []
    monkeypatch.setattr(json_list, "CHUNK", 2)
    numbers = file(tmp_path, "c.json", b"[12345, 6.25e3,7 ]")
    assert [value for _, value in json_list.read(numbers)] == [12345, 6250.0, 7]
    assert "needs an object, not int" in refusal(numbers)


def test_parquet_is_read_by_row(tmp_path):
    need = pytest.importorskip("pyarrow", reason="pip install pyarrow")
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    parquet.write_table(need.table({"a": list(range(3000))}), path)
    read = list(records.read(path))
    assert [r["a"] for _, r in read] == list(range(3000))
    assert read[2000][0].endswith("row 2000")
    assert "no readable parquet" in refusal(file(tmp_path, "b.parquet", b"PAR1"))


def test_names_cannot_leave_their_folder(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    secret = file(tmp_path, "secret.json", b"[]")
    (inner / "link.json").symlink_to(secret)
    for name in ("../secret.json", str(secret), "link.json", "a/../../secret.json"):
        with pytest.raises(Refused, match="leaves its folder"):
            records.first(inner, name)
    (inner / "b.json").write_text("[]")
    assert records.first(inner, "a.json", "b.json") == inner / "b.json"
    with pytest.raises(Refused, match=r"has no a.json or c.json; .*prepare_data.sh"):
        records.needed(inner, "a.json", "c.json")


def test_the_folder_is_the_setting_else_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_DATA", str(tmp_path))
    assert records.folder_of("env.data", "", "SOME_DATA") == tmp_path
    assert records.folder_of("env.data", "generated", "SOME_DATA") is None
    with pytest.raises(Refused, match=r"env.data=/no/where is no folder"):
        records.folder_of("env.data", "/no/where", "SOME_DATA")
    monkeypatch.setenv("SOME_DATA", "/not/there")
    with pytest.raises(Refused, match=r"\$SOME_DATA=/not/there is no folder"):
        records.folder_of("env.data", "", "SOME_DATA")
    monkeypatch.delenv("SOME_DATA")
    assert records.folder_of("env.data", "", "SOME_DATA") is None


@pytest.mark.parametrize("value", [None, "", "  ", 3, ["a"]])
def test_texts_must_say_something(value):
    with pytest.raises(Refused, match=r"here: 'a' must be a text"):
        records.text({"a": value}, "a", "here")


def test_lists_of_texts():
    assert records.texts({}, "a", "here") == records.texts({"a": None}, "a", "x") == []
    for value in ("text", ["a", 1], {"a": 1}):
        with pytest.raises(Refused, match=r"here: 'a' must be a list of texts"):
            records.texts({"a": value}, "a", "here")
