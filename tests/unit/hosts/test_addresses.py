from __future__ import annotations

import pytest

from archon_ops.hosts.addresses import is_this_machine


@pytest.mark.parametrize("host", ["", "/var/run/postgresql", "@abstract", "127.0.0.1", "localhost"])
def test_it_is_this_machine(host: str) -> None:
    assert is_this_machine(host)


@pytest.mark.parametrize("host", ["240.0.0.1", "240.1.2.3"])
def test_it_is_another_one(host: str) -> None:
    """Addresses of this range are given to nobody."""
    assert not is_this_machine(host)


def test_a_name_that_nobody_knows_is_left_to_the_connection() -> None:
    assert is_this_machine("no-such-machine.invalid")
