"""Names made visible, documents for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archon_ops.cli.text import clean, document


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Thing:
    path: Path
    at: datetime
    parts: tuple[int, ...]


def test_a_document_has_one_form_for_everything() -> None:
    plus_two = timezone(timedelta(hours=2))
    thing = Thing(Path("/a"), datetime(2025, 1, 2, 3, 4, 5, tzinfo=plus_two), (1, 2))
    value = {"thing": thing, Colour.RED: Colour.RED, "n": Decimal("1.5"), "x": float("nan")}
    more = {"d": date(2025, 1, 2), "set": {"b", "a"}, "t": timedelta(seconds=90), 5: None}
    assert json.loads(document(value | more)) == {
        "thing": {"path": "/a", "at": "2025-01-02T01:04:05Z", "parts": [1, 2]},
        "red": "red",
        "n": 1.5,
        "x": None,
        "d": "2025-01-02",
        "set": ["a", "b"],
        "t": 90.0,
        "5": None,
    }


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        document(datetime(2025, 1, 2))
    assert "Z" in document(datetime(2025, 1, 2, tzinfo=UTC))


def test_a_value_without_a_form_is_refused() -> None:
    with pytest.raises(TypeError, match="bytes"):
        document({"b": b"x"})


@given(st.text(st.characters(), max_size=40))
def test_a_document_is_ascii_and_readable_whatever_is_in_it(text: str) -> None:
    written = document({"name": text})
    assert written.isascii()
    assert "\x1b" not in written
    json.loads(written)["name"].encode()


@given(st.text(st.characters(), max_size=40))
def test_clean_text_is_one_line_that_does_nothing(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned.splitlines()) <= 1
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in cleaned)
    cleaned.encode()


def test_clean_makes_visible() -> None:
    assert clean("a\x1b[2Jb\nc\u202ed\udc80é") == "a\\x1b[2Jb\\nc\\u202ed\\udc80é"
