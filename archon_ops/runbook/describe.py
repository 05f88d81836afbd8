"""Facts that evidence has of every run, read where they are known: in the notebook's kernel."""

from __future__ import annotations

import dataclasses

from archon_ops.errors import PreconditionError
from archon_ops.model.backup import Manifest
from archon_ops.model.proof import Proof
from archon_ops.model.units import zulu
from archon_ops.postgres import facts
from archon_ops.postgres.inventory import read_extensions
from archon_ops.postgres.server import Server
from archon_ops.runbook.session import Session
from archon_ops.storage import manifest as manifests
from archon_ops.storage.reference import Located

_ISOLATION = {
    "container": "a throwaway container on an internal network that leads nowhere",
    "embedded": "a cluster of its own on a socket in a folder that nobody else can enter",
}


def manifest_of(located: Located) -> Manifest:
    """The manifest of a backup under test.

    Raises:
        PreconditionError: it has none.
    """
    if located.backup.manifest is None:
        raise PreconditionError(f"{located.backup.name} has no manifest to compare with")
    return located.backup.manifest


def backup(run: Session, located: Located) -> None:
    """The backup under test, and the server that it came from."""
    manifest = manifest_of(located)
    key = manifest.key
    elsewhere = _elsewhere(run, manifest.name)
    age = (run.site.clock() - manifest.snapshot_at).total_seconds()
    run.fact("recovery_point_seconds", round(age, 1))
    run.fact(
        "backup",
        {
            "name": manifest.name,
            "size_bytes": manifest.size_bytes,
            "sha256": manifest.sha256,
            "snapshot_at": zulu(manifest.snapshot_at),
            "age_seconds": round(age, 1),
            "pg_dump": manifest.pg_dump,
            "codec": manifest.codec,
            "written_by": manifest.tool,
            "tables": len(manifest.tables),
            "rows": manifest.rows,
            "migration_head": manifest.migration_head,
            "archon_key_fingerprint": dataclasses.asdict(key) if key else None,
            "signature": _signature(run, located),
            "left_out": list(manifest.not_covered),
            "copies": sorted({located.origin or str(located.path), *elsewhere}),
            "fetched_from": located.origin or None,
        },
    )
    run.fact(
        "source_environment",
        {
            **dataclasses.asdict(manifest.server),
            "extensions": {e.name: e.version for e in manifest.extensions},
            "database_bytes": manifest.database_bytes,
        },
    )
    for name in manifest.not_covered:
        run.not_covered(f"{name}: the backup leaves it out")


def _elsewhere(run: Session, name: str) -> list[str]:
    """Where runs of this source have pushed a backup to, as their records tell it."""
    pushed = (r.details for r in run.site.journal.records() if r.action == "offsite")
    return sorted({str(d["to"]) for d in pushed if "to" in d and name in _names(d)})


def _names(details: dict[str, object]) -> list[object]:
    names = details.get("backups")
    return names if isinstance(names, list) else []


def _signature(run: Session, located: Located) -> str:
    signed = manifests.signed_by(located.path, run.site.keys.known())
    if signed is None or not signed.key:
        return "not signed"
    return f"{'known' if signed.known else 'unknown'} key {signed.key}"


def sandbox(run: Session, server: Server, database: str) -> None:
    """The server that the backup was restored into."""
    with server.connect(database) as connection:
        extensions = {e.name: e.version for e in read_extensions(connection)}
        identity = facts.server_facts(connection, server.kind, server.host)
    run.fact(
        "sandbox_environment",
        {
            "kind": server.kind,
            "version": identity.version,
            "extensions": extensions,
            "tools": server.programs.version,
            "image": _image(run, server),
            "isolation": _ISOLATION.get(server.kind, "a server of its own"),
        },
    )


def _image(run: Session, server: Server) -> str | None:
    """The image of a sandbox container, by its digest."""
    if server.kind != "container":
        return None
    found = run.site.engine.find(run.site.source.container)
    return found[0].image if found else None


def proof(run: Session, proof: Proof, name: str = "content and inventory") -> None:
    """A proof in full, and as something that had to hold."""
    run.fact("proof", proof.document())
    rows = sum(t.rows_found or 0 for t in proof.tables)
    equal = f"{rows} rows in {len(proof.tables)} tables and every schema object are equal"
    run.check(name, proof.equal, equal if proof.equal else "; ".join(proof.problems[:5]))
    for note in proof.not_proven:
        run.deviation(f"not proven: {note}")
