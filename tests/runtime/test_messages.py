"""Nothing that comes from outside is acted on before it has been checked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_daemon.runtime.messages import Malformed, decode_flat, encode, parse_ask, parse_events, parse_hello

CLOSE = {"kind": "request", "id": "7", "action": "close", "expires_in_s": 5}
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"7", "not an object"),
        (b'"close"', "not an object"),
        (b"[]", "not an object"),
        (b'{"a":[1]}', "nested"),
        (b'{"a":{"b":1}}', "nested"),
        (b'{"a":NaN}', "NaN is not a number"),
        (b'{"a":-Infinity}', "-Infinity is not a number"),
        (b'{"a":1e999}', "out of range"),
        (b'{"action":"open","action":"close"}', "a key stands twice"),
        (b"{" + b" " * 4096 + b"}", "longer than 4096 bytes"),
        (b'{"a":' + b"[" * 4000, "not JSON"),
        (b'{"a":' + b"9" * 4050 + b"", "not JSON"),
        (json.dumps({str(n): n for n in range(17)}).encode(), "at most 16 keys"),
    ],
)
def test_rubbish_is_refused_with_its_reason(data: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        decode_flat(data)


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"id": "a b"},
        {"id": "x" * 65},
        {"id": "a\n"},
        {"id": 7},
        {"action": "CLOSE"},
        {"action": "explode"},
        {"action": None},
        {"action": "clear"},
        {"code": "CELL_OV"},
        {"expires_in_s": -1},
        {"expires_in_s": 61},
        {"expires_in_s": True},
        {"expires_in_s": "5"},
        {"sent_s": None},
        {"extra": 1},
    ],
)
def test_a_request_with_one_thing_wrong_is_refused(change: dict[str, Any]) -> None:
    assert parse_ask(dict(CLOSE)).action == "close"
    with pytest.raises(Malformed):
        parse_ask(CLOSE | change)


def test_a_clear_names_its_code() -> None:
    ask = parse_ask(CLOSE | {"action": "clear", "code": "CELL_OV"})
    assert (ask.id, ask.action, ask.code, ask.expires_in_s) == ("7", "clear", "CELL_OV", 5.0)


@pytest.mark.parametrize("schema", [0, 2, "1", True, None])
def test_another_schema_is_refused_by_name(schema: Any) -> None:
    assert parse_hello({"kind": "hello", "schema": 1, "role": "cli"}) == "cli"
    with pytest.raises(Malformed, match="schema"):
        parse_hello({"kind": "hello", "schema": schema, "role": "cli"})


@given(st.binary(max_size=600) | json_values.map(lambda value: json.dumps(value).encode()))
def test_fuzzed_bytes_decode_to_flat_objects_or_not_at_all(data: bytes) -> None:
    try:
        message = decode_flat(data)
    except Malformed:
        return
    assert all(value is None or isinstance(value, str | int | float) for value in message.values())


@given(st.fixed_dictionaries({}, optional=dict.fromkeys((*CLOSE, "code", "sent_s", "last", "role"), json_values)))
def test_fuzzed_fields_parse_to_something_valid_or_are_refused(message: dict[str, Any]) -> None:
    for parse in (parse_ask, parse_hello, parse_events):
        try:
            parsed = parse(dict(message))
        except Malformed:
            continue
        if parse is parse_ask:
            assert 0.0 <= parsed.expires_in_s <= 60.0 and parsed.id and (parsed.action == "clear") == bool(parsed.code)


def test_what_json_cannot_say_becomes_null_or_text() -> None:
    message = {"a": float("nan"), "b": [float("inf"), 1.0], "c": {"d": float("-inf")}, "e": object}
    assert json.loads(encode(message)) == {"a": None, "b": [None, 1.0], "c": {"d": None}, "e": "<class 'object'>"}
