from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from archon_ops.errors import PreconditionError
from archon_ops.model.runs import Result, RunRecord
from archon_ops.monitor.export import export
from archon_ops.monitor.metrics import exposition
from archon_ops.monitor.snapshot import Reader
from archon_ops.storage.directory import Directory
from archon_ops.storage.journal import Journal
from tests.support import require

Put = Callable[..., Path]
_PROMTOOL_TEST = """
rule_files: [archon-backup.rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'archon_backup_source_up{source="archon"}'
        values: '1x20'
      - series: 'archon_backup_health{source="archon",archon_backup_health="critical"}'
        values: '0x2 1x18'
      - series: 'archon_backup_trust{source="archon",archon_backup_trust="failed"}'
        values: '0x2 1x18'
    alert_rule_test:
      - {eval_time: 2m, alertname: ArchonBackupDamaged}
      - eval_time: 4m
        alertname: ArchonBackupDamaged
        exp_alerts:
          - exp_labels: {severity: critical, source: archon, archon_backup_trust: failed}
            exp_annotations:
              summary: "The newest backup of archon is damaged"
              description: "Take a new one with inv backup --source archon, then look at the disk."
      - {eval_time: 4m, alertname: ArchonBackupOutdated}
      - {eval_time: 4m, alertname: ArchonBackupNotWatched}
"""


def _promtool(*args: str, stdin: str = "", cwd: Path | None = None) -> None:
    """Run Prometheus's own checker; fails with what it says."""
    require(shutil.which("promtool"), "promtool of Debian's package prometheus")
    done = subprocess.run(
        ["promtool", *args],  # noqa: S607 - wherever it is
        input=stdin,
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _values(text: str) -> dict[str, float]:
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


@pytest.fixture
def told(reader: Reader, put: Put, directory: Directory, now: datetime) -> str:
    """Metrics of a source in which everything happened."""
    put(30)
    put(7.5)
    put(1, safety=True)
    journal = Journal(directory)
    at = now - timedelta(hours=7)
    done = RunRecord("20251217T030648Z-0001", "backup", "archon", at, 1, "h", at, Result.DONE, 0)
    journal.start(replace(done, finished_at=at + timedelta(seconds=4)))
    failed = replace(done, id="20251217T030648Z-0002", action="verify", result=Result.FAILED)
    journal.start(failed)
    drill = {"runbook": "drill", "verdict": "PASS", "recovery_seconds": 12.5}
    journal.start(replace(done, id="20251217T030648Z-0003", action="drill", details=drill))
    sent = {"channels": {'od"d\nname': "refused"}}
    journal.start(replace(done, id="20251217T030648Z-0004", action="alert", details=sent))
    return exposition([reader.read(now)]).decode()


def test_prometheus_accepts_the_metrics(told: str) -> None:
    _promtool("check", "metrics", stdin=told)


def test_what_the_metrics_say(told: str, now: datetime) -> None:
    values = _values(told)

    def of(name: str, more: str = "") -> float:
        return values[f'archon_backup_{name}{{{more}source="archon"}}']

    assert of("health", 'archon_backup_health="aging",') == 1
    assert of("health", 'archon_backup_health="healthy",') == 0
    assert of("trust", 'archon_backup_trust="checked",') == 1
    assert of("last_drill", 'archon_backup_last_drill="PASS",') == 1
    assert of("last_drill_recovery_seconds") == 12.5
    assert of("snapshot_timestamp_seconds") == (now - timedelta(hours=7.5)).timestamp()
    assert of("stored", 'kind="managed",') == 2
    assert of("stored", 'kind="safety",') == 1
    assert values['archon_backup_run_duration_seconds{action="backup",source="archon"}'] == 4
    assert values['archon_backup_run_failing{action="verify",source="archon"}'] == 1
    assert values['archon_backup_table_rows{source="archon",table="public.archon_tasks"}'] == 12
    assert values['archon_backup_channel_up{channel="od\\"d\\nname",source="archon"}'] == 0
    assert of("disk_free_bytes") > 0
    assert not any("last_verified_restore" in name for name in values)


def test_a_directory_that_cannot_be_read_is_down(reader: Reader, now: datetime) -> None:
    reader.watched.directory.path.rmdir()
    reader.watched.directory.path.write_text("")
    values = _values(exposition([reader.look(now)]).decode())
    assert values['archon_backup_source_up{source="archon"}'] == 0
    assert values['archon_backup_health{archon_backup_health="critical",source="archon"}'] == 1


def test_prometheus_accepts_the_rules_and_they_fire(tmp_path: Path) -> None:
    export(tmp_path / "new" / "files")
    folder = tmp_path / "new" / "files"
    _promtool("check", "rules", "archon-backup.rules.yml", cwd=folder)
    _promtool("check", "config", "archon-backup.scrape.yml", cwd=folder)
    (folder / "tests.yml").write_text(_PROMTOOL_TEST)
    _promtool("test", "rules", "tests.yml", cwd=folder)


def test_rules_and_dashboard_ask_for_metrics_that_exist(told: str, tmp_path: Path) -> None:
    export(tmp_path)
    known = set(re.findall(r"^# TYPE (\S+)", told, re.MULTILINE))
    rules = (tmp_path / "archon-backup.rules.yml").read_text()
    dashboard = json.loads((tmp_path / "archon-backup.grafana.json").read_text())
    asked = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    words = re.findall(r"archon_backup_\w+", "\n".join([rules, *asked]))
    assert set(words) <= known
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_nothing_of_somebody_elses_is_overwritten(tmp_path: Path) -> None:
    written = export(tmp_path)
    assert export(tmp_path) == written
    written[0].write_text("my own")
    written[1].unlink()
    with pytest.raises(PreconditionError, match="nothing was written"):
        export(tmp_path)
    assert written[0].read_text() == "my own"
    assert not written[1].exists()
