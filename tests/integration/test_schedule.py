"""A systemd and a cron of one's own, in a namespace where nothing of this machine can be hurt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

from tests.direct import error_of
from tests.support import CHECKOUT, Completed, Installation, require

pytestmark = pytest.mark.slow

PRELUDE = """
set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/system /run/user/0 /run/cfg
chmod 700 /run/user/0
mount -t tmpfs none /var/spool/cron
mkdir /var/spool/cron/crontabs
export XDG_RUNTIME_DIR=/run/user/0 XDG_CONFIG_HOME=/run/cfg
inv() { "$PYTHON" -m invoke "$@"; }
"""
SYSTEMD = """
/lib/systemd/systemd --user >/run/said 2>&1 &
for _ in $(seq 900); do [ -S /run/user/0/systemd/private ] && break; sleep 0.1; done
"""


def inside(installation: Installation, script: str, *namespaces: str) -> Completed:
    """Run a script of the shell in a mount namespace of its own."""
    unshare = which("unshare")
    require(os.geteuid() == 0 and unshare, "root, to make a namespace")
    require(which("crontab"), "the package cron")
    require(Path("/lib/systemd/systemd").exists(), "the package systemd")
    assert unshare
    done = subprocess.run(
        [unshare, "--mount", *namespaces, "bash", "-c", PRELUDE + script],
        cwd=installation.root,
        env=installation.environment({"PYTHON": sys.executable}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=360,
        check=False,
    )
    return Completed((script,), done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module", autouse=True)
def _program() -> None:
    require(Path(sys.executable).with_name("archon-ops").exists(), f"{CHECKOUT} installed")


def test_timers_of_systemd_come_and_go(module_installation: Installation) -> None:
    done = inside(
        module_installation,
        SYSTEMD
        + """
        inv schedule.install --with systemd-user --json
        inv schedule.install --with systemd-user --json --quiet >/run/second
        grep -q '"changed": \\[\\]' /run/second
        systemctl --user list-timers --no-pager | grep -c archon-ops-demo
        if inv schedule.install --with cron; then exit 9; fi
        echo '# mine' >>/run/cfg/systemd/user/archon-ops-demo-drill.timer
        if inv schedule.remove; then exit 9; fi
        sed -i '$d' /run/cfg/systemd/user/archon-ops-demo-drill.timer
        touch /run/cfg/systemd/user/mine.timer
        inv schedule.remove
        ls /run/cfg/systemd/user
        """,
        *("--pid", "--fork", "--kill-child", "--mount-proc"),
    ).ok()
    *_, count, left = done.stdout.splitlines()
    assert (count, left) == ("4", "mine.timer")
    assert "installed already, with systemd-user" in done.stderr
    assert "was changed since; nothing was touched" in done.stderr


def test_a_crontab_gets_a_block_and_loses_it(module_installation: Installation) -> None:
    done = inside(
        module_installation,
        """
        echo '5 5 * * * mine' | crontab -
        inv schedule.install --with cron --quiet
        crontab -l >/run/first
        inv schedule.install --with cron --quiet
        crontab -l | cmp - /run/first
        grep -c schedule.run /run/first
        grep -o 'cd .* schedule.run verify .*' /run/first >/run/job
        sh /run/job
        inv schedule.remove --quiet
        crontab -l
        """,
    ).ok()
    *_, count, left = done.stdout.splitlines()
    assert (count, left) == ("4", "5 5 * * * mine")
    log = module_installation.root / ".archon" / "logs" / "schedule-demo.log"
    assert "Verification of demo" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_times_of_the_settings_are_shown_in_their_zone(
    module_installation: Installation,
) -> None:
    env = {"ARCHON_SCHEDULE__BACKUP": "Mon 23:30", "ARCHON_SCHEDULE__ZONE": "Asia/Tokyo"}
    shown = module_installation.run("schedule", "--json", env=env).ok().json
    backup = shown["jobs"][0]
    assert (shown["zone"], backup["when"]) == ("Asia/Tokyo", "Mon 23:30")
    assert backup["next"].endswith("T14:30:00Z")
    files = module_installation.run(
        "schedule.install", "--dry-run", "--with", "systemd", "--json", env=env
    ).ok()
    text = json.dumps(files.json["files"])
    assert "OnCalendar=Mon *-*-* 23:30:00 Asia/Tokyo" in text
    env["ARCHON_SCHEDULE__ZONE"] = "Nowhere/Land"
    assert "unknown time zone" in error_of(module_installation.run("schedule", env=env), 2)


def test_clusters_are_backed_up_where_they_have_a_repository(
    module_installation: Installation,
) -> None:
    asked = ("schedule.install", "--dry-run", "--with", "systemd", "--source", "archon", "--json")
    assert "pitr.backup" not in module_installation.run(*asked).ok().stdout
    env = {"ARCHON_SOURCES__ARCHON__PITR__REPO1__URL": "/var/lib/pgbackrest"}
    files = module_installation.run(*asked, env=env).ok().json["files"]
    text = {path.rpartition("/")[2]: text for path, text in files.items()}
    assert "OnCalendar=Sun *-*-* 06:00:00" in text["archon-ops-archon-pitr-full.timer"]
    service = text["archon-ops-archon-pitr-incr.service"]
    assert "pitr.backup --type incr --repository all --source archon" in service
    assert "SuccessExitStatus=5" in service  # the backup is there, its content is not proven
    env["ARCHON_SCHEDULE__PITR_INCR"] = "every 30m"
    jobs = module_installation.run("schedule", "--source", "archon", "--json", env=env).ok().json
    assert {job["job"]: job["when"] for job in jobs["jobs"]}["pitr-incr"] == "every 30m"
