"""Images made on this machine without any registry, each built once and found again by content.

The tag is a digest of all that an image is made of, so a change here makes a new image.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import docker
import docker.errors

from archon_ops.hosts import flock
from tests.docker import rootfs
from tests.support import TMP, require

LABEL = "archon-rig"  # value: the image's name
_BUILD_SECONDS = 900
# What an image does not need: manuals, package lists, and the compiler of queries, whose absence
# PostgreSQL notices by itself.
_LEFT_OUT = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/i18n",
    "var/cache/*",
    "var/lib/apt/lists/*",
    "var/log/*",
    "usr/lib/postgresql/*/lib/bitcode",
    "usr/lib/postgresql/*/lib/llvmjit*",
    "usr/lib/*/libLLVM*",
    "usr/lib/*/libz3.so*",
)
_DEBIAN_NEEDS = ("debootstrap",)
_WHEEL_NEEDS = ("busybox", "setpriv", "ldd")


@dataclass(frozen=True)
class Recipe:
    """How an image is made.

    Attributes:
        name: of the repository on the engine.
        fill: makes the file system in an empty folder.
        script: in `files`, what its first process runs.
        made_of: what else decides on the content, like packages and versions.
        changes: Dockerfile instructions for its configuration.
        needs: programs that building takes.
    """

    name: str
    fill: Callable[[Path], None]
    script: str
    made_of: tuple[str, ...]
    changes: tuple[str, ...]
    needs: tuple[str, ...]

    @property
    def reference(self) -> str:
        """Name and tag; another content has another tag."""
        digest = hashlib.sha256(repr((self.made_of, self.changes, _LEFT_OUT)).encode())
        for path in (Path(rootfs.__file__), rootfs.FILES / self.script):
            digest.update(path.read_bytes())
        return f"{self.name}:{digest.hexdigest()[:12]}"


def debian(suite: str, major: int, *, pgvector: bool = True) -> Recipe:
    """PostgreSQL as Debian packages it, its programs in /usr/lib/postgresql/N/bin."""
    packages = [f"postgresql-{major}", "pgbackrest", "ca-certificates"]
    packages += [f"postgresql-{major}-pgvector"] if pgvector else []
    # As in the official image: Debian's wrappers in /usr/bin come first.
    path = f"/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/{major}/bin"
    return Recipe(
        f"archon-rig-pg{major}",
        lambda root: rootfs.debian_postgres(root, suite, packages),
        "entrypoint.sh",
        (suite, *packages),
        (*_postgres_changes(path), f"ENV PG_MAJOR={major}"),
        _DEBIAN_NEEDS,
    )


def wheel(major: int, package: str) -> Recipe:
    """PostgreSQL as a Python package brings it, its programs on PATH.

    Args:
        major: its major version.
        package: name of the package, for Python and on the index alike but for "_" and "-".
    """
    return Recipe(
        f"archon-rig-pg{major}",
        lambda root: rootfs.wheel_postgres(root, package),
        "entrypoint.sh",
        (package, importlib.metadata.version(package)),
        (
            *_postgres_changes(f"/usr/local/bin:/bin:{rootfs.wheel_bin(package)}"),
            f"ENV PG_MAJOR={major}",
        ),
        _WHEEL_NEEDS,
    )


def service() -> Recipe:
    """Stand-in of a service that listens on /health."""
    changes = ('ENTRYPOINT ["/usr/local/bin/service.sh"]', "ENV PATH=/usr/local/bin:/bin PORT=8181")
    return Recipe("archon-rig-service", rootfs.service, "service.sh", (), changes, ("busybox",))


def ensure(client: docker.DockerClient, recipe: Recipe) -> str:
    """The reference of the image, which is on the engine afterwards; one builds, others wait."""
    with flock.held(Path(TMP) / f"{recipe.name}.lock", timeout=_BUILD_SECONDS) as mine:
        assert mine, f"somebody else builds {recipe.name} for longer than {_BUILD_SECONDS} s"
        try:
            client.images.get(recipe.reference)
        except docker.errors.ImageNotFound:
            _build(client, recipe)
    return recipe.reference


def _build(client: docker.DockerClient, recipe: Recipe) -> None:
    require(os.geteuid() == 0, "root, to build an image with files of several users")
    for program in recipe.needs:
        require(shutil.which(program), f"the program {program}, to build {recipe.name}")
    repository, tag = recipe.reference.split(":")
    with tempfile.TemporaryDirectory(prefix="rig-", dir=TMP) as temporary:
        root, archive = Path(temporary) / "root", Path(temporary) / "root.tar"
        root.mkdir(mode=0o755)
        recipe.fill(root)
        _pack(root, archive)
        changes = [*recipe.changes, f"LABEL {LABEL}={recipe.name}"]
        said = client.api.import_image_from_file(
            str(archive), repository=repository, tag=tag, changes=changes
        )
        assert "error" not in said, said


def _pack(root: Path, archive: Path) -> None:
    leave_out = [f"--exclude=./{pattern}" for pattern in _LEFT_OUT]
    argv = ["tar", "--create", f"--file={archive}", f"--directory={root}", "--numeric-owner"]
    subprocess.run([*argv, *leave_out, "."], check=True, timeout=_BUILD_SECONDS)


def _postgres_changes(path: str) -> tuple[str, ...]:
    return (
        'ENTRYPOINT ["/usr/local/bin/entrypoint.sh"]',
        'CMD ["postgres"]',
        f"ENV PATH={path} LANG=C.UTF-8 PGDATA=/var/lib/postgresql/data",
        "EXPOSE 5432",
    )
