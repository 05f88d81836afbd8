"""Bring evidence back from a place offsite, with the chain's head that was kept there."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from archon_ops.actions.offsite.evidence import FILE_LIMIT, FOLDER, HEAD, REPORTS, SEALED
from archon_ops.actions.offsite.places import LOCK, Destination, prepare
from archon_ops.actions.offsite.unsealed import unsealed
from archon_ops.actions.recording import recorded
from archon_ops.errors import OpsError, PreconditionError, UntrustworthyError
from archon_ops.site import Site
from archon_ops.storage.atomic import Temporary, write_atomic
from archon_ops.storage.cipher import Keys, plain_name
from archon_ops.storage.explain import explained
from archon_ops.storage.folders import ensure_folder
from archon_ops.storage.lock import Lock
from archon_ops.storage.vault import Vault


@dataclass(frozen=True)
class Returned:
    """What came back.

    Attributes:
        folder: where the runs lie.
        fetched: names of the runs that were brought.
        there: names of those that were here already.
        head: the newest head that was kept there, NUMBER:SHA256; None where there is none.
    """

    folder: Path
    fetched: tuple[str, ...]
    there: tuple[str, ...]
    head: str | None


def pull_evidence(site: Site, places: Sequence[Destination], keys: Keys) -> Returned:
    """Bring the runs that are not here from the first place that has any.

    Raises:
        UntrustworthyError: what lies there is no evidence of ours; nothing bears its name here.
        PreconditionError: there is none, or the key is missing.
    """
    prepare(site)
    errors: list[OpsError] = []
    with (
        recorded(site, "offsite", alone=False) as run,
        Lock(site.directory, "offsite", site.settings.deadlines.lock, name=LOCK),
    ):
        for place in places:
            try:
                returned = _pull(run.site, place, place.keys(site, keys))
            except OpsError as error:
                errors.append(error)
                if len(places) > 1:
                    site.report.warn(f"{place.shown}: {error.message}")
            else:
                details = {"verb": "pull", "from": place.shown, "evidence": list(returned.fetched)}
                run.details.update(details)
                return returned
        raise errors[0]


def _pull(site: Site, place: Destination, keys: Keys) -> Returned:
    site.report.phase("offsite.evidence", f"Evidence in {place.shown}")
    vault = place.vault(site)
    names = sorted(vault.names(f"{FOLDER}/"))
    packs = [name for name in names if plain_name(name).endswith(".tar")]
    if not packs:
        raise PreconditionError(
            f"there is no evidence of {site.name} in {vault.shown}", "inv offsite.push brings it"
        )
    reports = site.settings.path(Path(REPORTS))
    ensure_folder(reports)
    fetched, there = [], []
    for name in packs:
        run = Path(plain_name(name)).stem
        if os.path.lexists(reports / run):
            there.append(run)
            continue
        _bring(site, vault, name, keys, reports / run)
        fetched.append(run)
        site.report.ok(f"{run} is here")
    head = _head(site, vault, [name for name in names if name.endswith(".json")])
    return Returned(reports, tuple(fetched), tuple(there), head)


def _bring(site: Site, vault: Vault, name: str, keys: Keys, final: Path) -> None:
    """One run; it gets its name when all of it is here."""
    ensure_folder(site.directory.ops)
    with Temporary(site.directory.ops, site.run_id) as tar:
        if plain_name(name) == name:
            vault.get(name, tar.write)
        else:
            unsealed(site, lambda take: vault.get(name, take), name, keys, tar.write)
        tar.sync()
        folder = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
        try:
            _unpack(tar.path, final.name, folder, vault.shown)
            with explained("name", final):
                folder.rename(final)
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # where it has its name, it is not there


def _unpack(tar: Path, run: str, folder: Path, where: str) -> None:
    """Only regular files directly in the run's folder are written: a tar may name anything."""
    try:
        with tarfile.open(tar, "r:") as archive:
            for member in archive:
                parts = member.name.split("/")
                plain = member.isreg() and len(parts) == 2 and parts[0] == run
                if not plain or parts[1] in ("", ".", "..") or member.size > FILE_LIMIT:
                    raise UntrustworthyError(f"the evidence {run} in {where} is not as we pack it")
                source = archive.extractfile(member)
                data = source.read() if source else b""
                write_atomic(folder / parts[1], data, "evidence")
    except (tarfile.TarError, EOFError) as error:
        raise UntrustworthyError(f"the evidence {run} in {where} is damaged") from error
    if not (folder / SEALED).is_file():
        raise UntrustworthyError(f"the evidence {run} in {where} is damaged: it has no seal")


def _head(site: Site, vault: Vault, names: Sequence[str]) -> str | None:
    """The newest head there; it is kept here where none is, so that a cut-off end shows."""
    if not names:
        return None
    data = bytearray()
    vault.get(names[-1], data.extend)
    try:
        head = json.loads(bytes(data))
        text = f"{int(head['number'])}:{head['sha256']}"
    except (ValueError, KeyError, TypeError) as error:
        raise UntrustworthyError(f"{names[-1]} in {vault.shown} is no head of a chain") from error
    ensure_folder(site.settings.state)
    if not os.path.lexists(site.settings.state / HEAD):
        write_atomic(site.settings.state / HEAD, bytes(data), site.run_id)
    return text
