"""File systems of the rig's images, made from Debian's packages and from the wheel alone.

Each function fills an empty folder; nothing here knows of a container engine.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

FILES = Path(__file__).parent / "files"
POSTGRES_UID = 999  # as in the official image
OPT = "/opt"

_BUILD_SECONDS = 900
_LOCALE = Path("/usr/lib/locale/C.utf8")
_NSS = "root:x:0:0:root:/root:/bin/sh\n"


def debian_postgres(root: Path, suite: str, packages: Iterable[str]) -> None:
    """A minimal Debian with PostgreSQL; no cluster is made, and nothing is synced meanwhile."""
    _write(root / "etc/dpkg/dpkg.cfg.d/rig", "force-unsafe-io\n")
    _write(root / "etc/postgresql-common/createcluster.d/rig.conf", "create_main_cluster = false\n")
    argv = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", suite]
    _run(*argv, str(root), debian_mirror())
    _install(FILES / "entrypoint.sh", root)


def wheel_bin(package: str) -> str:
    """Where the programs of a wheel lie inside."""
    return f"{OPT}/{package}/pginstall/bin"


def wheel_postgres(root: Path, package: str) -> None:
    """The PostgreSQL that a Python package brings, the libraries it needs, and a shell.

    Its files lie in PACKAGE/pginstall, and what they link to in PACKAGE.libs beside it.
    """
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    installed = Path(found.origin).parent
    for name in (f"{package}/pginstall", f"{package}.libs"):
        shutil.copytree(installed.parent / name, root / f"opt/{name}", symlinks=True)
    shutil.copytree(_LOCALE, root / _LOCALE.relative_to("/"))
    setpriv = Path(_which("setpriv"))  # busybox's cannot change the user
    shutil.copy(setpriv, _folder(root / "usr/bin") / "setpriv")
    programs = sorted((installed / "pginstall/bin").iterdir())
    modules = sorted((installed / "pginstall/lib").rglob("*.so"))
    for library in _libraries([setpriv, *programs, *modules]):
        shutil.copy(library, _folder(root / library.parent.relative_to("/")) / library.name)
    _busybox(root)
    user = f"postgres:x:{POSTGRES_UID}:{POSTGRES_UID}::/var/lib/postgresql:/bin/sh\n"
    _write(root / "etc/passwd", _NSS + user)
    _write(root / "etc/group", f"root:x:0:\npostgres:x:{POSTGRES_UID}:\n")
    _install(FILES / "entrypoint.sh", root)


def service(root: Path) -> None:
    """Busybox and the script that listens."""
    _busybox(root)
    _write(root / "etc/passwd", _NSS)
    _install(FILES / "service.sh", root)


def debian_mirror() -> str:
    """The archive that this machine's apt uses for Debian itself."""
    lines = _run(
        "apt-get",
        "indextargets",
        "--format",
        "$(REPO_URI)",
        "Created-By: Packages",
        "Label: Debian",
    )
    return lines.split()[0]


def _busybox(root: Path) -> None:
    """Busybox under the names of all its programs, but for those that are there."""
    program = Path(_which("busybox"))
    target = _folder(root / "bin")
    shutil.copy(program, target / "busybox")
    for name in _run(str(program), "--list").split():
        if not (target / name).exists():
            (target / name).symlink_to("busybox")
    for name in ("tmp", "var/tmp"):
        _folder(root / name).chmod(0o1777)
    for name in ("proc", "sys", "dev", "root", "var/run"):
        _folder(root / name)


def _libraries(programs: Iterable[Path]) -> list[Path]:
    """Shared libraries of the system that programs are linked to, the loader among them."""
    said = _run("ldd", *map(str, programs))
    found = re.findall(r"(?:=> |^\s+)(/\S+) \(0x", said, flags=re.MULTILINE)
    return sorted({Path(name) for name in found if name.startswith(("/lib", "/usr/lib"))})


def _install(script: Path, root: Path) -> None:
    shutil.copy(script, _folder(root / "usr/local/bin") / script.name)


def _write(path: Path, text: str) -> None:
    _folder(path.parent)
    path.write_text(text)


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _which(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise FileNotFoundError(program)
    return found


def _run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(
            f"{argv[0]} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return done.stdout
