from __future__ import annotations

from typing import Any

import pytest

from archon_ops.errors import UsageError
from archon_ops.model.policy import Policy


@pytest.mark.parametrize(
    "values",
    [
        {"last": 0},
        {"last": -1},
        {"last": "10"},
        {"last": 1.5},
        {"last": True},
        {"daily": -1},
        {"safety_last": None},
        {"label_last": -1},
        {"zone": "Nowhere/Land"},
        {"zone": "../etc/passwd"},
        {"zone": "Europe"},
        {"zone": ""},
    ],
)
def test_policies_that_make_no_sense(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Policy(**values)


def test_policies_at_the_edge() -> None:
    assert Policy(last=10**9).last == 10**9
    assert Policy(last=1, label_last=None, safety_last=0, zone="Europe/Sofia").label_last is None
