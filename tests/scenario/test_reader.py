"""Files and texts become plain values, or one message that names path and line."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fedleak.errors import InputError
from fedleak.scenario.file import load_scenario
from fedleak.scenario.reader import LARGEST_FILE, dump_yaml, parse_yaml, plain, read_yaml
from tests.scenarios import command, tiny


def refusal(tmp_path: Path, content: str | bytes) -> InputError:
    path = tmp_path / "given.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert caught.value.exit_code == 2
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1.0e-9", 1e-9), ("1E5", 1e5), (".5", 0.5), ("+3.", 3.0), ("-5", -5), ("1_000", 1000),
        ("0x1f", 31), ("0o17", 15), ("0", 0), ("0.0", 0.0), ("true", True), ("False", False), ("~", None), ("", None),
        ("yes", "yes"), ("off", "off"), ("010", "010"), ("1:30", "1:30"), ("2020-01-01", "2020-01-01"),
        ("'3'", "3"), ("nan", "nan"), ("1_", "1_"), ("e5", "e5"), (".", "."), ("[1, {a: b}]", [1, {"a": "b"}]),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    parsed = parse_yaml(text)
    assert (parsed, type(parsed)) == (value, type(value))


TWICE = {
    "a: 1\nb: 2\na: 3\n": ("a", "lines 1 and 3"),
    "f:\n  r: 1\n\n  r: 2\n": ("f.r", "lines 2 and 4"),
    "f: {r: 1, s: 2, r: 1}": ("f.r", "lines 1 and 1"),
    "l:\n- x: 1\n  x: 1": ("l.0.x", "lines 2 and 3"),
    "? a\n: 1\n'a': 2": ("a", "lines 1 and 3"),
    "1: a\n1.0: b": ("1.0", "lines 1 and 2"),
    "1: a\ntrue: b": ("True", "lines 1 and 2"),
    "1: a\n'1': b": ("1", "lines 1 and 2"),
    "0: a\n-0: b": ("0", "lines 1 and 2"),
    "16: a\n0x10: b": ("16", "lines 1 and 2"),
    "~: a\nnull: b": ("None", "lines 1 and 2"),
    "x: &x {a: 1}\ny:\n  <<: *x\n  <<: *x": ("y.<<", "lines 3 and 4"),
    "y: {<<: {a: 1, a: 2}}": ("y.<<.a", "lines 1 and 1"),
    "{a, b, a}": ("a", "lines 1 and 1"),
}


@pytest.mark.parametrize("text", TWICE)
def test_a_key_that_is_given_twice_is_refused_with_both_lines(tmp_path: Path, text: str) -> None:
    error = refusal(tmp_path, text)
    path, lines = TWICE[text]
    assert error.path == path
    assert f"given twice; keep one ({lines} of " in error.allowed


def test_a_key_may_change_what_a_merge_brings() -> None:
    assert parse_yaml("x: &x {a: 1, b: 2}\ny: {<<: *x, a: 3}") == {"x": {"a": 1, "b": 2}, "y": {"a": 3, "b": 2}}


@pytest.mark.parametrize("number", [".nan", ".NaN", ".inf", "-.inf", "+.INF", "1e999", "-1.0e400"])
@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("x: {number}", "x"),
        ("matrix:\n  federation.server.learning_rate: [0.1, {number}]", "matrix.federation.server.learning_rate.1"),
        ("claims:\n- less: {{where: {{p: {number}}}}}", "claims.0.less.where.p"),
        ("budgets: {{quick: {{seed: {number}}}}}", "budgets.quick.seed"),
    ],
)
def test_a_number_that_is_not_finite_is_refused_with_path_and_line(
    tmp_path: Path, text: str, path: str, number: str
) -> None:
    error = refusal(tmp_path, text.format(number=number))
    assert error.path == path
    assert f"expected a finite number (line {text.count(chr(10)) + 1} of" in error.allowed


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_python_values_are_held_to_the_same(value: float) -> None:
    with pytest.raises(InputError, match=r"^budgets\.long\.x: got .*; expected a finite number$"):
        load_scenario(tiny() | {"budgets": {"long": {"x": value}}})


def test_python_values_may_not_hold_themselves() -> None:
    raw = tiny()
    raw["budgets"]["more"] = raw["budgets"]
    with pytest.raises(InputError, match="expected at most 50 levels"):
        plain(raw)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{after}: &{after} [{','.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{after}: &{after} {{<<: [{','.join([f'*{before}'] * 20)}]}}\n"
    for before, after in zip("abcdefg", "bcdefgh", strict=True)
)
UNUSABLE = {
    "bomb": (BOMB, "with aliases written out"),
    "a bomb of merges": (MERGES, "with aliases written out"),
    "inside itself": ("a: &a [*a]", "an alias of"),
    "inside itself as a mapping": ("a: &a {b: *a}", "an alias of"),
    "deep flow": ("a: " + "[" * 3000, "at most 50 levels"),
    "deep block": ("- " * 3000, "at most 50 levels"),
    "deep and closed": ("[" * 60 + "]" * 60, "at most 50 levels"),
    "a long integer": ("seed: " + "1" * 5000, "at most 40 characters"),
    "a long hexadecimal integer": ("seed: 0x" + "f" * 5000, "at most 40 characters"),
    "a large file": ("#" * (LARGEST_FILE + 1), "at most 1048576 bytes"),
    "an object": ("a: !!python/object/apply:os.system [ls]", "tags are not accepted"),
    "a set": ("a: !!set {x}", "tags are not accepted"),
    "bytes": ("a: !!binary aGk=", "tags are not accepted"),
    "an empty integer": ("a: !!int ''", "tags are not accepted"),
    "a local tag": ("a: !mine x", "tags are not accepted"),
    "two documents": ("a: 1\n---\nb: 2", "not valid YAML: expected a single document"),
    "a tab": ("a:\n\tb: 1", "not valid YAML: while scanning"),
    "an alias of nothing": (f"a: *{'b' * 10**4}", "not valid YAML: found undefined alias"),
    "an anchor twice": ("a: &x 1\nb: &x 2", "not valid YAML: found duplicate anchor"),
    "a list as a key": ("? [1]\n: 2", "expected a name as the key"),
    "a mapping as a key": ("{{a: b}: 2}", "expected a name as the key"),
    "a zero byte": (b"a: \x00", "not valid YAML"),
    "an escape": (b"a: \x1b[31m", "not valid YAML"),
    "another encoding": (b"a: 1\nb: \xe9", "line 2 is not UTF-8"),
    "UTF-16": ("a: 1".encode("utf-16"), "is not UTF-8"),
    "nothing": ("", "it is empty; expected a mapping"),
    "comments": ("# nothing\n", "it is empty; expected a mapping"),
    "a list": ("- 1", "it holds [1]; expected a mapping"),
    "a text": ("text", "it holds 'text'; expected a mapping"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_cannot_be_used_is_one_message_within_a_second(tmp_path: Path, name: str) -> None:
    text, allowed = UNUSABLE[name]
    began = time.process_time()
    assert allowed in refusal(tmp_path, text).allowed
    assert time.process_time() - began < 1.5  # of this process: machines may be busy


def test_a_bomb_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "given.yaml"
    path.write_text(BOMB)
    for arguments in (["validate", path], ["run", path], ["study", path], ["doctor", path]):
        outcome = command(capsys, *arguments)
        assert outcome.code in (1, 2)
        assert "Traceback" not in outcome.err + outcome.out


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/full", "."])
def test_what_is_no_file(tmp_path: Path, place: str) -> None:
    with pytest.raises(InputError, match="it cannot be read: expected a file, not a directory or a device"):
        read_yaml(tmp_path / place)


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="expected a file"):
        read_yaml(tmp_path / "pipe")


@pytest.mark.parametrize("name", ["x" * 300, "loop", "a\0b", "given.yaml/x"])
def test_a_path_that_cannot_be_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "given.yaml").touch()
    with pytest.raises(InputError, match=r"it cannot be read|there is no such file"):
        read_yaml(tmp_path / name)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x\n")
    assert read_yaml(path) == {"name": "x"}


def test_places_that_share_an_anchor_are_apart() -> None:
    raw = parse_yaml("a: &a {training: {epochs: 1}}\nb: *a\nc: {<<: *a}")
    raw["a"]["training"]["epochs"] = 2
    assert raw["b"]["training"]["epochs"] == raw["c"]["training"]["epochs"] == 1


scalars = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])) | st.sampled_from(
    ["1e3", "yes", "010", "0o7", "1:30", "~", "null", ".inf", "nan", "<<", "=", "2020-01-01", "true", "0x1f", "1_0", ""]
)
trees = st.recursive(scalars | texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=20)


@given(trees)
def test_what_is_written_reads_back_the_same(value: Any) -> None:
    text = dump_yaml(value)
    again = parse_yaml(text)
    assert repr(again) == repr(value)
    yaml.safe_load(text)  # another reader accepts it
