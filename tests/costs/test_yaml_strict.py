"""The strict YAML reader: what it accepts, and that every refusal names file, line, key, value and remedy."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.errors import FileRefused, ProfileError
from shared.costs.small_file import MAX_BYTES
from shared.costs.yaml_strict import Node, load, parse

PATH = Path("profile.yaml")


def tree(text: str) -> Node:
    return parse(text.encode(), PATH, ProfileError)


def refusal(text: str, read: Any) -> ProfileError:
    with pytest.raises(ProfileError) as caught:
        read(tree(text))
    return caught.value


def test_values_keep_their_line_and_key() -> None:
    found = tree("# comment\nbudget:\n  monthly: 50.00\nusers:\n  rpatel: {daily: 5}\n  list: [1, 2]\n")
    monthly = found["budget"]["monthly"]
    assert (monthly.place.line, monthly.place.key) == (3, "budget.monthly")
    assert (found["users"]["rpatel"]["daily"].place.line, found["users"]["rpatel"]["daily"].place.key) == (
        5,
        "users.rpatel.daily",
    )
    assert found["users"]["list"].items()[1].place.key == "users.list[1]"


def test_an_empty_file_is_an_empty_map() -> None:
    for text in ("", "# only a comment\n", "---\n", "null\n"):
        assert tree(text).map() == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("50", "50"), ("50.00", "50.00"), ("0", "0"), ("-1.5", "-1.5"), ("+2", "2"), ("0.001", "0.001")],
)
def test_numbers(text: str, expected: str) -> None:
    assert tree(f"a: {text}")["a"].number() == Decimal(expected)


NO_NUMBERS = [
    "1e3",
    "010",
    "12:30",
    ".nan",
    ".inf",
    "-.inf",
    "1_000",
    "0x10",
    "0o7",
    "5.",
    ".5",
    "'5'",
    '"5"',
    "true",
    "fifty",
    "~",
    "$50",
    "1,5",
    "0b1",
    "[1]",
    "{a:1}",
    "2026-11-22",
    "٣",
    "1111111111111111111111111",
]


@pytest.mark.parametrize("text", [*NO_NUMBERS, "", "50 USD"])
def test_what_is_no_plain_number_is_refused(text: str) -> None:
    error = refusal(f"first: 1\na: {text}\n", lambda node: node["a"].number())
    assert error.place.line == 2
    assert error.place.key == "a"
    assert str(error).startswith("profile.yaml:2: a: ")
    assert error.remedy


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("010", "remove the leading zero"),
        ("1e3", "write it out"),
        ("'5'", "remove the quotes"),
        ("'fifty'", "digits, with a point"),
        ("true", "write digits"),
        ("12:30", "digits, with a point"),
    ],
)
def test_the_remedy_fits_the_mistake(text: str, remedy: str) -> None:
    assert remedy in refusal(f"a: {text}", lambda node: node["a"].number()).remedy


def test_bounds() -> None:
    assert "at least 0" in str(refusal("a: -1", lambda node: node["a"].number(0)))
    assert "at most 100" in str(refusal("a: 101", lambda node: node["a"].number(0, 100)))
    assert tree("a: 100")["a"].number(0, 100) == 100


def test_amounts_are_nano_dollars() -> None:
    assert tree("a: 0.0045")["a"].amount() == 4_500_000
    assert "too small" in str(refusal("a: -0.01", lambda node: node["a"].amount()))


def test_whole_numbers() -> None:
    assert tree("a: 12")["a"].integer() == 12
    assert tree("a: 12.0")["a"].integer() == 12
    assert "whole number" in str(refusal("a: 1.5", lambda node: node["a"].integer()))


def test_booleans() -> None:
    assert tree("a: true")["a"].boolean() is True
    assert tree("a: false")["a"].boolean() is False


@pytest.mark.parametrize(
    "text", ["yes", "no", "on", "off", "True", "FALSE", "1", "0", "'false'", '"true"', "y", "[]"]
)
def test_what_is_not_true_or_false_is_refused(text: str) -> None:
    assert "true or false" in str(refusal(f"a: {text}", lambda node: node["a"].boolean()))


def test_texts_stay_as_written() -> None:
    for text in ("plain", "'2'", '"true"', "1.10", "env:SLACK", "2026-11-22", "010"):
        assert tree(f"a: {text}")["a"].text() == text.strip("'\"")


@pytest.mark.parametrize("text", ["true", "null", "~", "", "[a]", "{a: b}"])
def test_what_is_no_text_is_refused(text: str) -> None:
    assert "text" in str(refusal(f"a: {text}", lambda node: node["a"].text()))


def test_dates() -> None:
    assert tree("a: 2026-11-22")["a"].day() == date(2026, 11, 22)
    assert tree("a: 2026-11-22")["a"].instant() == datetime(2026, 11, 22, tzinfo=UTC)
    for text in ("2026-13-01", "22.11.2026", "2026-11-22T10:00", "20261122", "soon"):
        assert "2026-11-22" in refusal(f"a: {text}", lambda node: node["a"].day()).remedy


def test_choices() -> None:
    assert tree("a: block")["a"].choice({"block", "allow"}) == "block"
    assert "allow, block" in refusal("a: stop", lambda node: node["a"].choice({"block", "allow"})).remedy


def test_null_reads_as_missing() -> None:
    found = tree("a: null\nb:\nc: ~\nd: 'null'\n")
    assert [found.get(key) for key in "abc"] == [None, None, None]
    assert found["a"].map() == {}
    assert found["b"].items() == ()
    assert "d" in found
    assert not found["d"].is_null
    with pytest.raises(ProfileError, match="'a' is missing"):
        found.required("a")


def test_unknown_keys_are_refused_with_the_nearest_known_one() -> None:
    error = refusal("budgt: {}\n", lambda node: node.only({"budget", "users"}))
    assert "'budgt'" in error.fault
    assert "did you mean 'budget'" in error.remedy
    assert "known here are budget, users" in refusal("zzz: 1", lambda n: n.only({"budget", "users"})).remedy
    assert tree("x-own: 1").only({"budget"}, also=lambda key: key.startswith("x-"))["x-own"].text() == "1"


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        ("a: 1\na: 2\n", 2, "second time (first on line 1)"),
        ("a: {b: 1,\n  b: 2}\n", 2, "second time"),
        ("a: &x 1\nb: *x\n", 1, "anchors and aliases"),
        ("b: *x\n", 1, "anchors and aliases"),
        ("a: !!int 3\n", 1, "tag"),
        ("a: !!python/object/apply:os.system ['true']\n", 1, "tag"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("? [a]\n: 1\n", 1, "cannot be a key"),
        ("~: 1\n", 1, "cannot be a key"),
        ("a: [1\n", 2, "not valid YAML"),
        ("a: b: c\n", 1, "not valid YAML"),
        ("a: \x07\n", None, "not valid YAML"),
        ("- a\n- b\n", 1, "is not a map"),
        ("just text\n", 1, "is not a map"),
        ("a: " + "[" * 40 + "]" * 40 + "\n", 1, "nested deeper"),
    ],
)
def test_what_is_not_plain_yaml_is_refused(text: str, line: int | None, fault: str) -> None:
    with pytest.raises(ProfileError) as caught:
        tree(text)
    assert fault in caught.value.fault
    assert caught.value.place.line == line
    assert caught.value.remedy


def test_a_bomb_is_refused_before_it_expands() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
    )
    with pytest.raises(ProfileError, match="anchors"):
        tree(bomb)


def test_a_map_where_a_value_belongs_and_the_reverse() -> None:
    assert "a map is not a number" in str(refusal("a: {b: 1}", lambda node: node["a"].number()))
    assert "is not a map" in str(refusal("a: 1", lambda node: node["a"].map()))
    assert "is not a list" in str(refusal("a: 1", lambda node: node["a"].items()))
    assert tree("a: {b: 1}")["a"].is_map
    assert tree("a: [b]")["a"].is_list


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert load(path, ProfileError)["b"].place.line == 2
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ProfileError, match=r"profile\.yaml:2: the file is not UTF-8"):
        load(path, ProfileError)
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ProfileError, match="larger than 64 KiB"):
        load(path, ProfileError)
    with pytest.raises(ProfileError, match="cannot be read"):
        load(tmp_path / "absent.yaml", ProfileError)
    with pytest.raises(ProfileError, match=r"not a regular file|cannot be read"):
        load(tmp_path, ProfileError)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this platform")
def test_a_pipe_does_not_hang_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    os.mkfifo(path)
    with pytest.raises(FileRefused, match="not a regular file"):
        load(path)


def test_long_and_unprintable_values_are_shown_tamely() -> None:
    message = str(refusal(f"a: '{'x' * 500}'", lambda node: node["a"].number()))
    assert len(message) < 250
    assert "\\x1b" in str(refusal('a: "\\e[31m"', lambda node: node["a"].number()))


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_give_a_tree_or_a_refusal(data: bytes) -> None:
    refused: ProfileError | None = None
    try:
        found = parse(data, PATH, ProfileError)
    except ProfileError as error:
        refused = error
    if refused is None:
        assert isinstance(found.map(), dict)
    else:
        assert refused.remedy


@given(st.decimals(min_value=-(10**9), max_value=10**9, allow_nan=False, places=9))
def test_numbers_are_read_exactly(value: Decimal) -> None:
    assert tree(f"a: {value:f}")["a"].number() == value
