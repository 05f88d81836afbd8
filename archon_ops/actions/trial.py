"""Restore a backup into a sandbox and compare what comes of it with the manifest."""

from __future__ import annotations

from archon_ops.actions.examining import reading_tools
from archon_ops.actions.reading import found, questions_for
from archon_ops.errors import PreconditionError, UntrustworthyError
from archon_ops.model.backup import Manifest
from archon_ops.model.proof import Proof, prove
from archon_ops.postgres import databases
from archon_ops.postgres.restore import restore_into
from archon_ops.postgres.sandbox import (
    create_like,
    make_roles,
    make_superusers,
    require_extensions,
)
from archon_ops.postgres.server import Server
from archon_ops.postgres.toc import read_contents
from archon_ops.site import Site
from archon_ops.storage.reference import Located

PROVING_DATABASE = "archon_proof"


def restored_proof(site: Site, located: Located) -> Proof:
    """Restore a backup of ours into a sandbox of the source's kind, and compare.

    Raises:
        UntrustworthyError: it cannot be restored.
        PreconditionError: the sandbox lacks something that it needs.
    """
    manifest = located.backup.manifest
    if manifest is None:
        raise PreconditionError(
            f"{located.backup.name} has no manifest to compare a restore with",
            "inv restore FILE --trust restores it, unproven",
        )
    site.report.step("verify.sandbox", "Restoring into a sandbox")
    with site.sandbox(manifest.server.major) as server:
        restore_in_sandbox(site, server, located, manifest)
        site.report.step("verify.proof", "Comparing every row and object")
        return proof_in_sandbox(site, server, manifest)


def proof_in_sandbox(site: Site, server: Server, manifest: Manifest) -> Proof:
    """Compare what was restored into a sandbox with the manifest."""
    there = found(
        server,
        PROVING_DATABASE,
        site.settings.deadlines,
        questions=questions_for(site, manifest),
    )
    return prove(manifest, there, None)


def restore_in_sandbox(site: Site, server: Server, located: Located, manifest: Manifest) -> None:
    """Restore a backup of ours into the proving database of a sandbox.

    Raises:
        UntrustworthyError: it cannot be restored.
        PreconditionError: the sandbox lacks something that it needs.
    """
    require_extensions(server, tuple(e.name for e in manifest.extensions))
    with server.connect(databases.MAINTENANCE) as connection:
        make_roles(connection, manifest.roles)
        contents = read_contents(reading_tools(site, manifest), located.path)
        make_superusers(connection, contents.trigger_owners(manifest.roles))
    create_like(server, PROVING_DATABASE, manifest.server)
    try:
        restore_into(
            server,
            PROVING_DATABASE,
            located.path,
            timeout=site.settings.deadlines.restore,
            progress=lambda section, _: site.report.progress(section, 0, None),
        )
    except UntrustworthyError as error:  # any other says nothing against the backup
        raise UntrustworthyError(
            f"{located.backup.name} cannot be restored: {error.message}", error.hint
        ) from error
