from __future__ import annotations

import pytest

from archon_ops.actions.pitr.examine import Facts, check_stanza
from archon_ops.errors import PreconditionError
from archon_ops.model.pitr.stock import Stock

OURS = Facts({}, "17.5 (Debian)", "1", superuser=True)
STOCK = Stock("archon", (), None, {}, system_identifier="1", version="17")


def test_it_is_the_servers_own() -> None:
    check_stanza(STOCK, OURS, "db")


def test_an_upgraded_server_needs_to_be_told() -> None:
    upgraded = Facts({}, "18.1", "2", superuser=True)
    with pytest.raises(PreconditionError, match="was upgraded") as failed:
        check_stanza(STOCK, upgraded, "db")
    assert "inv pitr.setup --upgrade" in failed.value.hint
    check_stanza(STOCK, upgraded, "db", upgrade=True)


@pytest.mark.parametrize("upgrade", [False, True])
def test_another_servers_is_never_taken_over(upgrade: bool) -> None:
    other = Facts({}, "17.5", "2", superuser=True)
    with pytest.raises(PreconditionError, match="belongs to another server"):
        check_stanza(STOCK, other, "db", upgrade=upgrade)
