from __future__ import annotations

import pytest

from archon_ops.postgres.locks import LockRoom


@pytest.mark.parametrize(
    ("needed", "available", "enough"), [(100, 3200, True), (3200, 3200, True), (3201, 3200, False)]
)
def test_a_dump_fits_or_not(needed: int, available: int, enough: bool) -> None:
    assert LockRoom(needed, available, 64).enough is enough


def test_what_is_wanted_leaves_room_to_grow() -> None:
    room = LockRoom(needed=9000, available=3200, per_transaction=64)
    places = room.available / room.per_transaction  # processes that the server makes room for
    assert room.wanted == 360
    assert LockRoom(room.needed, round(room.wanted * places), room.wanted).enough
