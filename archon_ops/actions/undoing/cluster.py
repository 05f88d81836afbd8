"""Bring a whole cluster back that another one has replaced: the exchange backwards."""

from __future__ import annotations

from dataclasses import replace

from archon_ops.actions.exchanging import exchanged, held, the_container
from archon_ops.actions.recording import Recording
from archon_ops.actions.undoing.plan import UndoPlan
from archon_ops.model.pitr.config import ASIDE
from archon_ops.model.plan import target_of
from archon_ops.postgres import cluster_losses, databases, facts
from archon_ops.postgres.kept import CLUSTER, Kept
from archon_ops.postgres.pitr import waiting
from archon_ops.postgres.server import Server
from archon_ops.site import Site


def plan_cluster(site: Site, server: Server, kept: Kept) -> UndoPlan:
    """What an undo of a whole cluster would do: to every database, and to every role."""
    limit = site.settings.deadlines.proof
    with server.connect(databases.MAINTENANCE) as connection:
        identifier = facts.system_identifier(connection)
        slots = cluster_losses.slots(connection)
    why = "it is not known which transactions there were then"
    losses = cluster_losses.since(server, kept.snapshot, None, why, timeout=limit)
    losing = sorted(loss.name for loss in losses if loss.loses)
    unread = "; ".join(f"{loss.name}: {loss.problem}" for loss in losses if loss.problem)
    leaving = {
        f"database {loss.name}": (loss.rows or 0) + (loss.definitions or 0)
        for loss in losses
        if loss.loses
    }
    target = ", ".join(losing) or target_of(site.name, server.host, "", identifier)
    return UndoPlan(target, kept, 0, leaving, unread, slots)


def undo_cluster(run: Recording, planned: UndoPlan) -> Kept:
    """Exchange; answers what left service.

    Raises:
        OpsError: it failed; the cluster that served before serves again.
    """
    from archon_ops.postgres.pitr.exchange import name_of

    site, back = run.site, planned.kept
    with site.server() as server:
        said = waiting.data_directory(server)
        with server.connect(databases.MAINTENANCE) as connection:
            identifier = facts.system_identifier(connection)
    leaving = Kept(
        name=name_of(site.run_id),
        database=back.database,
        kept_at=site.clock(),
        run_id=site.run_id,
        replaced_by="undo",
        snapshot="",
        successor_oid=0,
        comment=None,
        scope=CLUSTER,
    )

    def check(server: Server) -> None:
        site.report.step("cluster.proving", f"{server.host} answers")
        with server.connect(site.database) as connection:
            facts.archon_tables(connection)

    container = the_container(site)
    with held(site, container, said) as exchange:
        arriving = f"{back.name}/kept"
        # What is written from now on is counted by the transactions of the one that comes.
        there = exchange.snapshot(f"{exchange.data}/{ASIDE}/{arriving}")
        leaving = replace(leaving, snapshot=there)
        exchanged(site, run.details, container, exchange, leaving, arriving, check)
    site.report.info(f"server {identifier} serves again with the cluster of before")
    return leaving
