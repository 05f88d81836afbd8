from __future__ import annotations

import pytest

from archon_ops.errors import UsageError
from archon_ops.runbook.parameters import parsed

_KNOWN = {"source": "", "fast": False, "count": 3, "share": 0.5, "api_key": ""}


def test_values_take_the_type_of_their_default() -> None:
    given = ("source=demo", "fast=yes", "count=7", "share=0.25")
    assert parsed(given, _KNOWN) == {"source": "demo", "fast": True, "count": 7, "share": 0.25}


def test_a_value_may_hold_an_equals_sign() -> None:
    assert parsed(("source=a=b",), _KNOWN) == {"source": "a=b"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("nonsense=1",), "no parameter 'nonsense'"),
        (("source",), "has no value"),
        (("source=a", "source=b"), "given twice"),
        (("fast=perhaps",), "true or false"),
        (("count=many",), "is a number"),
        (("api_key=x",), "looks like a secret"),
        (("source=postgresql://me:hunter22@host/db",), "looks like a secret"),
        (("source=ghp_0123456789abcdef",), "looks like a secret"),
    ],
)
def test_what_is_refused(given: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parsed(given, _KNOWN)


def test_a_refused_secret_is_not_repeated() -> None:
    with pytest.raises(UsageError) as raised:
        parsed(("api_key=hunter2222",), _KNOWN)
    assert "hunter2222" not in f"{raised.value.message}{raised.value.hint}"
