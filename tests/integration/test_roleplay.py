"""A sandbox acts as production's role."""

from __future__ import annotations

import tempfile
from pathlib import Path

from archon_ops.postgres.cluster import Cluster
from archon_ops.postgres.embedded import opened
from archon_ops.postgres.roleplay import Role, cast, current_role
from archon_ops.postgres.tools import wheel_tools
from tests.support import TMP


def test_a_sandbox_acts_as_productions_role_also_under_its_own_name() -> None:
    place = Path(tempfile.mkdtemp(prefix="ao-", dir=TMP))
    cluster = Cluster(wheel_tools(), place / "c", durable=False)
    wanted = Role("postgres", ("INHERIT", "CREATEDB", "BYPASSRLS"), ("keepers",), ())
    try:
        cluster.create()
        with opened(cluster, "sandbox", run_id="test", connect_seconds=10) as server:
            admin, actor = cast(server, wanted)
            with actor.connect("postgres") as connection:
                assert current_role(connection) == wanted
            with admin.connect("postgres") as connection:
                assert "SUPERUSER" in current_role(connection).attributes
    finally:
        cluster.remove()
        place.rmdir()
