"""YAML text: plain data, or one line with file and line number."""

import time
from typing import Any

import pytest

from powerqe.utils.errors import UserError
from powerqe.utils.options.plain_yaml import DEEPEST, LONGEST, MOST_NODES, read_yaml


def mistake(text: str | bytes) -> str:
    with pytest.raises(UserError) as caught:
        read_yaml(text, "x.yml")
    message = str(caught.value)
    assert message.startswith("x.yml is ")
    assert "\n" not in message
    assert len(message) < 300
    return message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{a: 1, b: 1.5, c: true, d: null, e: [x, 'y']}", {"a": 1, "b": 1.5, "c": True, "d": None, "e": ["x", "y"]}),
        ("{a: &n {b: 1}, c: *n, d: {<<: *n, e: 2}}", {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}),
        ("[2001-01-01, yes, off, 4e6, =]", ["2001-01-01", "yes", "off", "4e6", "="]),
        ("[9223372036854775807, -9223372036854775808]", [2**63 - 1, -(2**63)]),
        (b"\xef\xbb\xbfa: \xc3\xa9", {"a": "é"}),
        ("", None),
    ],
)
def test_values(text: str | bytes, value: Any) -> None:
    assert read_yaml(text, "x.yml") == value


NUMBERS = ["0b_", "0x_", "!!int abc", "!!int ''", "!!float abc", "!!bool maybe", "0x" + "f" * 5000, str(2**63)]
TEXTS = ['"\\ud800"', '"\\U00110000"', '"\\UFFFFFFFF"', '"\\0"', "!!timestamp 2001-99-99", "!!binary é", "[", "@", "%"]
MAPPINGS = ["{a: 1, a: 2}", "{[1]: 2}", "!!set {a}", "!!python/name:os.system ''"]
ALIASES = ["*nothing", "&a [*a]", "&a {b: *a}", "&a {b: [{c: *a}]}"]
DEEP = ["[" * 3000, "[" * 900 + "]" * 900, "{a: " * 400, "- " * 300 + "a"]


@pytest.mark.parametrize("value", [*NUMBERS, *TEXTS, *MAPPINGS, *ALIASES, *DEEP, "9" * 5000])
def test_a_value_that_cannot_be_read_is_named_with_its_line(value: str) -> None:
    assert mistake(f"a: 1\nb: {value}").endswith(("(line 2)", "(line 3)"))


def test_bytes_that_are_no_text() -> None:
    mistake(b"a: \xff\xfe\x00")


def test_depth() -> None:
    read_yaml("[" * (DEEPEST - 1) + "]" * (DEEPEST - 1), "x.yml")
    mistake("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1))


def test_values_are_counted_as_often_as_aliases_repeat_them() -> None:
    text = ["a: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    text += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    start = time.perf_counter()
    assert f"{MOST_NODES:,}" in mistake("\n".join(text))
    assert time.perf_counter() - start < 1
    text[1:] = [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 10)]
    text[0] = "a: &a0 {x: 1}"
    mistake("\n".join(text))
    mistake(f"[{'x,' * MOST_NODES}]")


def test_length() -> None:
    read_yaml("a: 1 #" + "x" * (LONGEST - 6), "x.yml")
    with pytest.raises(UserError, match="longer"):
        read_yaml("a: 1 #" + "x" * LONGEST, "x.yml")
