"""How pgBackRest gets into a container so that it stays: an image of its own, and volumes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_INSTALL = {
    "apt": (
        "apt-get update \\\n"
        " && apt-get install --yes --no-install-recommends pgbackrest ca-certificates \\\n"
        " && rm -rf /var/lib/apt/lists/*"
    ),
    "apk": "apk add --no-cache pgbackrest ca-certificates",
}
_VERSION_LINE = re.compile(r"^version:.*$", re.MULTILINE)


@dataclass(frozen=True)
class Recipe:
    """What is needed for a derived image and its container.

    Attributes:
        image: what it is made from; by digest where that is known.
        image_user: whom that image runs as; empty: root.
        manager: "apt" or "apk".
        user: who owns PostgreSQL's files inside.
        folders: inside, that must outlive the container -> name of a volume.
        service: name in the compose file.
        context: folder of the Dockerfile on this machine.
        tag: name of the derived image.
    """

    image: str
    image_user: str
    manager: str
    user: str
    folders: dict[str, str]
    service: str
    context: str
    tag: str


def dockerfile(recipe: Recipe) -> str:
    """A Dockerfile that adds pgBackRest and the folders that it writes in."""
    folders = " ".join(recipe.folders)
    back = f"USER {recipe.image_user}\n" if recipe.image_user else ""
    # `install -d -o` is not everywhere; this is, and the volumes take the owner over.
    return (
        f"# Made by inv pitr.setup: PostgreSQL as it was, and pgBackRest.\n"
        f"FROM {recipe.image}\n"
        "USER root\n"
        f"RUN command -v pgbackrest || {{ {_INSTALL[recipe.manager]}; }}\n"
        f"RUN mkdir -p {folders} \\\n"
        f" && chown {recipe.user} {folders} \\\n"
        f" && chmod 0750 {folders}\n"
        f"{back}"
    )


def override(recipe: Recipe, base: str) -> str:
    """A compose file that is read behind the project's own, and adds what is ours.

    Args:
        recipe: what is needed.
        base: text of the project's own file; older programs want both to name one version.
    """
    version = _VERSION_LINE.search(base)
    mounts = "".join(f"      - {name}:{path}\n" for path, name in recipe.folders.items())
    volumes = "".join(f"  {name}: {{}}\n" for name in recipe.folders.values())
    return (
        "# Made by inv pitr.setup; read behind the project's own compose file (--file, twice).\n"
        f"{version[0] + chr(10) if version else ''}"
        "services:\n"
        f"  {recipe.service}:\n"
        f"    build:\n      context: {json.dumps(recipe.context)}\n"
        f"    image: {recipe.tag}\n"
        "    # A process 1 that is not PostgreSQL: it buries what pgBackRest leaves behind, which\n"
        "    # else would look to PostgreSQL like a crash of its own.\n"
        "    init: true\n"
        f"    volumes:\n{mounts}"
        f"volumes:\n{volumes}"
    )
