"""Drills that go wrong: evidence in every case, production untouched, nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.disks import small_disk
from tests.support import CHECKOUT, Completed, Installation, Spawned, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def drilling(installation: Installation) -> Iterator[Spawned]:
    """A drill that holds where its sandbox stands and the backup is in it."""
    before = installation.content()
    spawned = installation.spawn("drill", pause_at="drill.prove")
    spawned.wait_paused("drill.prove")
    yield spawned
    assert installation.content() == before, "production was changed"


def _kernel(spawned: Spawned) -> int:
    """The process that executes the notebook."""
    found: list[int] = []

    def there() -> bool:
        with contextlib.suppress(OSError):  # threads and processes come and go meanwhile
            children = Path(f"/proc/{spawned.pid}/task").glob("*/children")
            pids = [int(pid) for path in children for pid in path.read_text().split()]
            names = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids}
            found[:] = [pid for pid, name in names.items() if b"ipykernel_launcher" in name]
        return bool(found)

    wait_until(there, 30, "the kernel is there")
    return found[0]


def _evidence(installation: Installation) -> dict[str, Any]:
    """Of the newest run; it must be sealed and whole."""
    folder = max((installation.root / "reports").iterdir())
    installation.run("evidence.verify").ok()
    document: dict[str, Any] = json.loads((folder / "evidence.json").read_text())
    for name in ("report.html", "summary.md", "events.jsonl"):
        assert (folder / name).stat().st_size
    return document


def _nothing_left(installation: Installation) -> None:
    state = installation.root / ".archon"
    assert list((state / "runs").iterdir()) == []
    assert list((state / "sandboxes").glob("archon_sandbox-*")) == []
    assert [p.name for p in installation.temporary.iterdir() if "kernel" in p.name] == []


def test_a_killed_kernel_leaves_evidence_and_no_sandbox(
    installation: Installation, drilling: Spawned
) -> None:
    os.kill(_kernel(drilling), signal.SIGKILL)
    drilling.go_on()
    done = drilling.finish().ended(5)
    assert "kernel died" in done.stdout
    found = _evidence(installation)
    assert found["verdict"] == "INCONCLUSIVE"
    assert found["not_done"][0].startswith("Compare every row")
    assert [s["outcome"] for s in found["timeline"]] == ["done", "done", "running"]
    _nothing_left(installation)


def test_two_drills_at_once_do_not_disturb_each_other_and_one_interrupted_leaves_evidence(
    installation: Installation, drilling: Spawned
) -> None:
    second = installation.run("drill", env={"ARCHON_DEADLINES__LOCK": "0.5"}).ended(11)
    assert f"held by pid {drilling.pid} (drill)" in second.stderr
    installation.run("backup").ok()  # a drill keeps nobody from a backup
    drilling.send(signal.SIGTERM)
    drilling.finish().ended(143)
    found = _evidence(installation)
    assert found["verdict"] == "INCONCLUSIVE"
    assert found["errors"]
    _nothing_left(installation)


def test_what_a_killed_drill_left_is_swept_and_told_by_the_next(
    installation: Installation, drilling: Spawned
) -> None:
    kernel = _kernel(drilling)
    drilling.kill()
    wait_until(lambda: not Path(f"/proc/{kernel}").exists(), 30, "the kernel ends by itself")
    done = installation.run("drill", "--json").ok()
    assert done.json["verdict"] == "PASS"
    reports = sorted((installation.root / "reports").iterdir())
    assert len(reports) == 2
    first = json.loads((reports[0] / "evidence.json").read_text())
    assert first["verdict"] == "INCONCLUSIVE"
    assert "the process that executed it vanished" in first["reasons"]
    _nothing_left(installation)
    installation.run("evidence.verify").ok()


@pytest.fixture
def scratch(installation: Installation) -> Iterator[Path]:
    """Sandboxes on a disk that holds half of an empty database."""
    with small_disk(installation.root / ".archon" / "sandboxes", 30) as folder:
        yield folder


def test_a_full_disk_below_the_sandbox_leaves_evidence_and_nothing_else(
    installation: Installation, scratch: Path
) -> None:
    before = installation.content()
    done = installation.run("drill")
    assert done.returncode in (1, 5), str(done)
    found = _evidence(installation)
    assert found["errors"]
    assert "Restore it into a sandbox" in found["not_done"]
    assert installation.content() == before
    _nothing_left(installation)


def _flipped(dump: Path) -> None:
    data = bytearray(dump.read_bytes())
    data[len(data) // 2] ^= 1
    dump.write_bytes(data)


def test_a_corrupt_newest_backup_is_passed_over_and_the_verdict_says_so(
    installation: Installation,
) -> None:
    older = installation.latest_dump().name
    installation.run("backup").ok()
    newest = installation.latest_dump()
    _flipped(newest)
    found = installation.run("drill", "--json").ended(5).json
    assert found["verdict"] == "INCONCLUSIVE"
    assert found["backup"]["name"] == older
    assert any(newest.name in reason and "passed over" in reason for reason in found["reasons"])
    assert found["integrity"]["proof"]["equal"] is True


def test_without_any_sound_backup_it_fails_and_says_what_to_do(
    installation: Installation,
) -> None:
    _flipped(installation.latest_dump())
    found = installation.run("drill", "--json").ended(1).json
    assert found["verdict"] == "FAIL"
    assert "nothing could be recovered" in found["reasons"][0]
    assert found["errors"][0]["hint"] == "inv backup"
    record = next(r for r in installation.site().journal.records() if r.action == "drill")
    assert (record.result, record.exit_code) == ("failed", 1)


def test_a_notebook_without_its_check_shows(installation: Installation) -> None:
    folder = installation.root / "runbooks"
    folder.mkdir()
    notebook = json.loads((CHECKOUT / "runbooks" / "drill.ipynb").read_text())
    kept = [c for c in notebook["cells"] if "prove_equal" not in "".join(c["source"])]
    assert len(kept) == len(notebook["cells"]) - 1
    (folder / "drill.ipynb").write_text(json.dumps({**notebook, "cells": kept}))
    found = installation.run("drill", "--json").ended(5).json
    assert found["verdict"] == "INCONCLUSIVE"
    assert found["tool"]["template"]["state"] == "changed"
    assert any("edited" in reason for reason in found["reasons"])
    assert any("planned and not done: Compare" in reason for reason in found["reasons"])


CANARY = "canaryC4n4ryValue99"


def test_no_secret_is_in_any_output(installation: Installation) -> None:
    """From the environment, from Archon's .env, from a DSN, and from the run's own errors."""
    home = installation.site().settings.home("demo")
    (home / ".env").write_text(f'ENCRYPTION_KEY="{CANARY}-key"\nOPENAI_API_KEY={CANARY}-api\n')
    folder = installation.root / "runbooks"
    folder.mkdir()
    notebook = json.loads((CHECKOUT / "runbooks" / "drill.ipynb").read_text())
    leak = (
        "import os\nrun.deviation(os.environ['LEAK_TOKEN'])\nprint(os.environ)\n"
        f"raise RuntimeError(os.environ['LEAK_TOKEN'] + ' ' + open({str(home / '.env')!r}).read())"
    )
    for cell in notebook["cells"]:
        if "drill.review" in "".join(cell["source"]):
            cell["source"] = leak
    (folder / "drill.ipynb").write_text(json.dumps(notebook))
    env = {
        "LEAK_TOKEN": f"{CANARY}-token",
        "ARCHON_SOURCES__OTHER__KIND": "direct",
        "ARCHON_SOURCES__OTHER__DSN": f"postgresql://me:{CANARY}-dsn@host/db",
        "ARCHON_SOURCES__OTHER__PASSWORD": f"{CANARY}-password",
    }
    done = installation.run("drill", env=env).ended(1)
    assert "RuntimeError" in done.stdout, "the leaking cell ran"
    _without_canary(done, installation.root / "reports")
    records = installation.backups / ".ops" / "runs"
    _without_canary(done, records)


def _without_canary(done: Completed, folder: Path) -> None:
    assert CANARY not in done.stdout + done.stderr
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    leaked = [str(path) for path in files if CANARY.encode() in path.read_bytes()]
    assert leaked == []
