from __future__ import annotations

import subprocess
from pathlib import Path
from shutil import which

import pytest

from archon_ops.model.crontab import block, found_block, torn, with_block, without_block
from archon_ops.model.schedule import DEFAULTS, parse
from archon_ops.model.timers import Job, is_ours, units
from tests.support import require

LABEL = "demo in /srv"
OWN = "MAILTO=me\n5 5 * * * mine # BEGIN archon-ops of nobody"


def jobs(root: str, zone: str = "", program: str = "/bin/true") -> tuple[Job, ...]:
    return tuple(
        Job(name, parse(text), "demo", root, program, zone) for name, text in DEFAULTS.items()
    )


@pytest.mark.parametrize("system", [True, False])
def test_systemd_accepts_the_units(tmp_path: Path, system: bool) -> None:
    program = which("systemd-analyze")
    require(program, "the package systemd")
    assert program
    root = tmp_path / "a b%h"
    root.mkdir()
    runnable = root / "archon-ops"
    runnable.write_text("#!/bin/sh\n")
    runnable.chmod(0o755)
    folder = tmp_path / "units"
    folder.mkdir()
    for job in jobs(str(root), "Europe/Sofia", str(runnable)):
        for name, text in units(job, system=system).items():
            (folder / name).write_text(text)
    scope = ["--system"] if system else ["--user"]
    done = subprocess.run(
        [program, *scope, "--man=no", "verify", *sorted(map(str, folder.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path), "LC_ALL": "C"},
    )
    complaints = [line for line in done.stderr.splitlines() if "archon-ops" in line]
    assert (done.returncode, complaints) == (0, [])


def test_what_somebody_changed_is_not_ours() -> None:
    for text in units(jobs("/srv")[0], system=True).values():
        assert is_ours(text, "/srv")
        assert not is_ours(text, "/opt")
        assert not is_ours(text.replace("02:00", "02:01").replace("Nice=10", "Nice=1"), "/srv")
        assert not is_ours(text.partition("\n")[2], "/srv")


@pytest.mark.parametrize("before", ["", OWN, f"{OWN}\n", "\n\n", "a\x0cb\n"])
def test_a_crontab_keeps_everything_that_is_not_ours(before: str) -> None:
    text = block(jobs("/srv/50%"), LABEL, "/srv/log")
    there = with_block(before, text, LABEL)
    assert found_block(there, LABEL) == text
    assert with_block(there, text, LABEL) == there
    assert without_block(there, LABEL).rstrip("\n") == before.rstrip("\n")
    assert "/srv/50\\%" in text
    other = with_block(there, block(jobs("/srv")[:1], "other", "/l"), "other")
    assert without_block(other, "other") == there


def test_a_block_without_its_end_is_told() -> None:
    text = block(jobs("/srv"), LABEL, "/srv/log")
    assert torn(text.replace("# END", "# "), LABEL)
    assert not torn(text, LABEL)
    assert not torn(OWN, LABEL)
