"""Read a dump in full and hold it against its manifest; no database is needed."""

from __future__ import annotations

from pathlib import Path

from archon_ops.errors import PreconditionError, UntrustworthyError
from archon_ops.model.backup import Backup, Manifest
from archon_ops.postgres.toc import Contents, read_contents, read_through, read_through_at
from archon_ops.postgres.tools import Tools, codecs
from archon_ops.site import Site
from archon_ops.storage import manifest as manifests
from archon_ops.storage.files import sha256_of
from archon_ops.storage.reference import Located
from archon_ops.storage.sniff import require_custom_format


def examine(site: Site, located: Located) -> tuple[str, ...]:
    """Read a dump in full and hold it against its manifest.

    Returns:
        What could not be proven, one line each.

    Raises:
        UntrustworthyError: it is not what was written, or cannot be read.
        PreconditionError: it is missing, or tools to read it are.
    """
    backup, path = located.backup, located.path
    if backup.manifest_problem:
        raise UntrustworthyError(f"{backup.name}: {backup.manifest_problem}", _TRUST_HINT)
    if backup.manifest is None:
        return _examine_foreign(site, path)
    check_bytes(site, path, backup.manifest)
    tools = reading_tools(site, backup.manifest)
    contents = read_contents(tools, path)
    if contents.entries != backup.manifest.toc_entries:
        raise UntrustworthyError(
            f"{backup.name}: {contents.entries} entries in its table of contents, "
            f"{backup.manifest.toc_entries} were written"
        )
    site.report.ok(f"{contents.entries} entries, {contents.archon_tables} Archon tables")
    return _read_whole(site, path, backup.manifest, tools)


_TRUST_HINT = "inv verify all shows the others; inv restore FILE --trust restores it unproven"


_SOUND_HINT = "another backup: inv verify all shows which are sound; none: inv backup"


def check_bytes(site: Site, path: Path, manifest: Manifest) -> None:
    """Size and SHA-256 against the manifest.

    Raises:
        UntrustworthyError: they differ; says in what.
    """
    require_custom_format(path)
    sha256, size = sha256_of(
        path, lambda done, total: site.report.progress("checksum", done, total)
    )
    if size != manifest.size_bytes:
        raise UntrustworthyError(
            f"{path.name}: size: {size} bytes on disk, {manifest.size_bytes} were written",
            _SOUND_HINT,
        )
    if sha256 != manifest.sha256:
        raise UntrustworthyError(
            f"{path.name}: checksum: its bytes are not those that were written",
            _SOUND_HINT,
        )
    site.report.ok(f"size and SHA-256 of {path.name} are those that were written")
    _tell_signature(site, path)


def _tell_signature(site: Site, path: Path) -> None:
    """Say who signed the manifest; backups of another installation, and older ones, are no worse.

    Raises:
        UntrustworthyError: the signature is not by the key that it names.
    """
    signed = manifests.signed_by(path, site.keys.known())
    if signed is None or not signed.key:
        return
    if signed.known:
        site.report.ok(f"its manifest is signed by the key {signed.key}, which is known here")
    else:
        site.report.warn(
            f"the manifest of {path.name} is signed by a key that is not known here, {signed.key}: "
            f"another installation's? Its public half belongs into {site.keys.folder}"
        )


def _examine_foreign(site: Site, path: Path) -> tuple[str, ...]:
    """A dump without a manifest: it can be read, and more cannot be said."""
    require_custom_format(path)
    tools = _any_tools(site)
    contents = read_contents(tools, path)
    site.report.ok(f"{contents.entries} entries, {contents.archon_tables} Archon tables")
    note = "content: it has no manifest to hold it against"
    if not _readable(contents, tools):
        return (note, f"its data: pg_restore {tools.version} cannot read {contents.compression}")
    read_through(tools, path, timeout=site.settings.deadlines.restore)
    if contents.compression not in ("gzip", "none", "-1", "0"):
        note += f"; damage inside {contents.compression} shows only when it is restored"
    return (note,)


def reading_tools(site: Site, manifest: Manifest) -> Tools:
    """Programs of this machine that read a backup's table of contents."""
    try:
        return site.tools_for(manifest.server.major)
    except PreconditionError:
        return _any_tools(site)


def _read_whole(site: Site, path: Path, manifest: Manifest, tools: Tools) -> tuple[str, ...]:
    """Read every entry with programs that know its compression: ours, else the server's own."""
    timeout = site.settings.deadlines.restore
    if _knows(tools, manifest.codec):
        read_through(tools, path, timeout=timeout)
    elif why := _read_at_server(site, path, manifest.codec, timeout):
        return (f"a full read: pg_restore {tools.version} does not know {manifest.codec}; {why}",)
    site.report.ok("every entry can be read")
    return ()


def _read_at_server(site: Site, path: Path, codec: str, timeout: float) -> str:
    """Let the server's own programs read a dump; why they could not, or nothing."""
    if site.source.kind != "container":
        return "no other is at hand"
    try:
        with site.server() as server:
            if not server.programs.has_codec(codec):
                return f"nor does that of {server.host}"
            read_through_at(server, path, timeout=timeout)
    except PreconditionError as error:
        return error.message
    return ""


def _any_tools(site: Site) -> Tools:
    for major in (18, 17, 16, 15, 14, 13):
        try:
            return site.tools_for(major)
        except PreconditionError:
            continue
    raise PreconditionError(
        "no pg_restore on this machine", "install the package postgresql-client"
    )


def _readable(contents: Contents, tools: Tools) -> bool:
    return _knows(tools, contents.compression if contents.compression.isalpha() else "gzip")


def _knows(tools: Tools, codec: str) -> bool:
    name = codec.partition(":")[0]
    return name in ("none", "gzip") or any(known.startswith(name) for known in codecs(tools))


def restorable(backup: Backup, trust: bool) -> None:
    """Refuse to begin a restore from a backup that nothing speaks for.

    Raises:
        UntrustworthyError: it is damaged, or foreign and `trust` was not given.
    """
    if backup.manifest_problem and not trust:
        raise UntrustworthyError(
            f"{backup.name}: {backup.manifest_problem}",
            "restore it unproven with --trust, or choose another",
        )
    if not backup.managed and not trust:
        raise UntrustworthyError(
            f"{backup.name} has no manifest: nothing of its content can be proven",
            "restore it unproven with --trust",
        )
