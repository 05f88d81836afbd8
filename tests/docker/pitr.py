"""A house whose database archives its WAL: pgBackRest's folders are volumes, as setup asks for."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

from tests.docker.engine import Engine
from tests.docker.house import House, house

PASSPHRASE = "a passphrase of these tests, for repositories"  # noqa: S105
ENV = "ARCHON_SOURCES__ARCHON__PITR__REPO1__CIPHER_PASS"
REPOSITORY = "/var/lib/pgbackrest"
DATA = "/var/lib/postgresql/data"


@contextlib.contextmanager
def archiving_house(
    engine: Engine,
    image: str,
    *,
    set_up: bool = True,
    on_volume: bool = False,
    mounts: tuple[str, ...] = (),
    **options: Any,
) -> Iterator[House]:
    """Such a house for the length of the block.

    Args:
        engine: where.
        image: Debian's PostgreSQL, which has pgBackRest.
        on_volume: whether the data directory lies in a volume.
        set_up: whether `inv pitr.setup` has been run.
        mounts: what else is mounted, as SOURCE:PATH.
        options: as `tests.docker.house.house` takes them.
    """
    folders = ["/etc/pgbackrest", REPOSITORY, *([DATA] if on_volume else [])]
    names = {path: f"archon-rig-{uuid.uuid4().hex[:8]}" for path in folders}
    for name in names.values():
        engine.client.volumes.create(name, labels=engine.labels)
    volumes = [*mounts, *(f"{name}:{path}" for path, name in names.items())]
    command = ["-c", "fsync=off"]
    try:
        with house(engine, image, init=True, volumes=volumes, command=command, **options) as made:
            configure(made)
            (made.installation.root / ".env").write_text(f"{ENV}={PASSPHRASE}\n")
            if set_up:
                made.run("pitr.setup", "--yes").ok()
            yield made
    finally:
        for name in names.values():
            engine.client.volumes.get(name).remove(force=True)


def configure(made: House, pitr: str = "", repository: str = "", **source: Any) -> None:
    """Write archon.toml, with one repository in the container's volume."""
    made.configure(**source)
    path = made.installation.root / "archon.toml"
    path.write_text(
        f"{path.read_text()}\n[sources.archon.pitr]\n{pitr}\n"
        f'[sources.archon.pitr.repo1]\nurl = "{REPOSITORY}"\n{repository}\n'
    )


def inside(made: House, *argv: str) -> str:
    """What a program prints that runs as postgres in the container; it has to end well."""
    done = made.database.exec(*argv, user="postgres")
    assert done.returncode == 0, done
    return done.stdout
