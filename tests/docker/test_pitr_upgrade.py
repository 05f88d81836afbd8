"""A server that was upgraded by a dump into a newer one: its repository goes on."""

from __future__ import annotations

import shutil

import pytest

from tests.docker.engine import Engine
from tests.docker.house import house
from tests.docker.pitr import archiving_house

pytestmark = pytest.mark.slow


def test_setup_follows_an_upgrade(engine: Engine, pg15_image: str, pg17_image: str) -> None:
    with archiving_house(engine, pg15_image, vectors=False) as old:
        before = old.run("pitr.backup", "--type", "full", "--json").ok().json["label"]
        root, lost = old.installation.root, old.database.container
        lost.stop(timeout=60)
        volumes = [
            f"{mount['Name']}:{mount['Destination']}"
            for mount in lost.attrs["Mounts"]
            if "pgbackrest" in mount["Destination"]
        ]
        options = {"init": True, "volumes": volumes, "command": ["-c", "fsync=off"]}
        with house(engine, pg17_image, vectors=False, **options) as new:
            for name in ("archon.toml", ".env"):
                shutil.copy(root / name, new.installation.root)
            told = (root / "archon.toml").read_text()
            (new.installation.root / "archon.toml").write_text(
                told.replace(str(lost.name), str(new.database.container.name))
            )
            refused = new.run("pitr.setup", "--yes").ended(3)
            assert "was upgraded: stanza archon knows PostgreSQL 15, it is 17" in refused.stderr
            assert "inv pitr.setup --upgrade" in refused.stderr
            new.run("pitr.setup", "--upgrade", "--yes").ok()
            listed = new.run("pitr.list", "--json").ok().json
            assert [b["label"] for b in listed["backups"]] == [before]
            assert listed["earliest"] is None  # what the older server wrote, this one cannot run
            taken = new.run("pitr.backup", "--json").ok().json
            assert (taken["kind"], taken["proven"]) == ("pitr-full", True)
            brought = new.run("pitr.restore", "--time", "latest", "--json").ok().json
            assert brought["proof"]["equal"] is True
