"""A rescue that is killed, or runs out of room, has changed nothing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disks import fill, small_disk
from tests.support import Installation, wait_until

pytestmark = pytest.mark.slow

RESCUE = ("rescue", "latest", "--table", "archon_projects", "--yes")


@pytest.fixture
def deleted(installation: Installation) -> Iterator[Installation]:
    """An installation whose projects are gone; its server runs throughout."""
    with installation.server():
        installation.psql("DELETE FROM public.archon_projects")
        yield installation


@pytest.fixture
def scratch(deleted: Installation) -> Iterator[Path]:
    """The folder of sandboxes on a file system of 160 MB of its own."""
    with small_disk(deleted.root / ".archon" / "sandboxes", 160) as folder:
        yield folder


@pytest.mark.parametrize("phase", ["rescue.load", "rescue.commit"])
def test_a_killed_rescue_changed_nothing_and_the_next_one_sweeps(
    deleted: Installation, phase: str
) -> None:
    before = deleted.content()
    run = deleted.spawn(*RESCUE, pause_at=phase)
    run.wait_paused(phase)
    run.send(signal.SIGKILL)
    run.finish()
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'archon_ops:%'"
    wait_until(lambda: deleted.psql(sessions) == "1", 20, "its session is gone, this one is left")
    assert deleted.content() == before
    said = deleted.run(*RESCUE).ok().stderr
    assert "removed what a killed run left: sandbox" in said
    assert deleted.psql("SELECT count(*) FROM public.archon_projects") != "0"


def test_a_full_scratch_disk(deleted: Installation, scratch: Path) -> None:
    before = deleted.content()
    filler = fill(scratch, but=50 << 20)
    refused = deleted.run(*RESCUE).ended(3)
    assert "not enough room for a sandbox" in refused.stderr
    assert "50.0 MB free" in refused.stderr
    filler.unlink()

    run = deleted.spawn(*RESCUE, pause_at="rescue.load")
    run.wait_paused("rescue.load")
    filler = fill(scratch, but=0)
    run.go_on()
    refused = run.finish().ended(3)
    assert "disk is full" in refused.stderr
    filler.unlink()
    assert deleted.content() == before
    deleted.run(*RESCUE).ok()
