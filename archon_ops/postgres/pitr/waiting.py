"""The clusters that wait beside a server's own for an undo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archon_ops.model.report import Silent
from archon_ops.postgres import databases, facts
from archon_ops.postgres.kept import Kept
from archon_ops.postgres.server import Server

if TYPE_CHECKING:  # it brings Docker's SDK, which other sources never need
    from archon_ops.postgres.pitr.exchange import Exchange


def clusters(server: Server) -> tuple[Kept, ...]:
    """Those that are kept, newest first; a server that is not in a container has none."""
    if server.kind != "container":
        return ()
    return _exchange(server).kept()


def drop(server: Server, kept: Kept) -> None:
    """Remove one; there is no undo after that."""
    _exchange(server).drop(kept)


def data_directory(server: Server) -> str | None:
    """Where its files are; None where it does not say."""
    with server.connect(databases.MAINTENANCE) as connection:
        return facts.data_directory(connection)


def _exchange(server: Server) -> Exchange:
    from archon_ops.postgres.container_programs import ContainerPrograms
    from archon_ops.postgres.pitr.exchange import Exchange
    from archon_ops.postgres.pitr.pgbackrest import InContainer

    programs = server.programs
    if not isinstance(programs, ContainerPrograms):
        raise TypeError(f"{server.host} is no container")
    data = data_directory(server) or programs.container.usual_data
    # As the container's own user: whoever that is, it can do there what its server can.
    return Exchange(InContainer(programs.engine, programs.container, ""), data, Silent())
