"""The PostgreSQL of our own, as a server like any other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from archon_ops.postgres.cluster import Cluster
from archon_ops.postgres.programs import LocalPrograms
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import ANSWER_SECONDS, LOCK_SECONDS


@contextlib.contextmanager
def opened(
    cluster: Cluster,
    name: str,
    *,
    run_id: str,
    connect_seconds: float,
    answer_seconds: float = ANSWER_SECONDS,
    lock_seconds: float = LOCK_SECONDS,
) -> Iterator[Server]:
    """The server of a cluster that exists; it runs at least as long as the block.

    Args:
        cluster: where its files lie.
        name: what a plan prints before the database.
        run_id: names every session.
        connect_seconds: how long a connection may take.
        answer_seconds: how long an answer may take.
        lock_seconds: how long a lock may take.
    """
    with cluster.running() as address:
        where = {"host": address.host, "port": address.port, "user": address.user}
        yield Server(
            kind="embedded",
            host=name,
            address=where,
            programs=LocalPrograms(cluster.tools, where),
            run_id=run_id,
            connect_seconds=connect_seconds,
            answer_seconds=answer_seconds,
            lock_seconds=lock_seconds,
            data_folder=cluster.data_folder,
        )
