"""The engine and the database's container: is it there, does it run, can it be harmed."""

from __future__ import annotations

from collections.abc import Iterator

from archon_ops.actions.doctor.surroundings import Surroundings
from archon_ops.hosts.described import Container
from archon_ops.model.diagnosis import Check, Finding, shell

_INIT_CAUSE = (
    "PostgreSQL is process 1 of its container: whatever orphan dies there by SIGKILL, it takes for "
    "a crash of its own and restarts"
)


def judge(seen: Surroundings, name: str, up: str) -> Iterator[Finding]:
    """All findings on the database's container.

    Args:
        seen: what the engine told.
        name: of the container in the settings.
        up: the command that makes it again.
    """
    check = Check("engine", "every docker command fails", "the Docker engine's version")
    if not seen.engine:
        yield check.problem(
            seen.trouble, "the engine is down, or its socket forbidden", seen.hint, blocks=True
        )
        return
    yield check.ok(f"Docker {seen.engine} answers")
    container = existing(seen.database, name, up)
    yield container
    if not container.blocks_backup:
        yield healthy(seen.database[0])
        yield init(seen.database[0], seen.first_program)


def existing(found: tuple[Container, ...], name: str, up: str) -> Finding:
    """Whether exactly one container bears the name, and runs."""
    check = Check(
        "container",
        f"PostgreSQL container ({name}) not found or not running",
        shell("docker", "ps", "--all", "--filter", f"name={name}"),
    )
    if not found:
        return check.problem(
            f"container {name} does not exist",
            "the services that hold the database were never started, or were removed",
            up,
            blocks=True,
        )
    if len(found) > 1:
        return check.problem(
            f"{len(found)} containers match {name}: {', '.join(c.name for c in found)}",
            "the setting does not say which one holds the database",
            'container = "NAME" in archon.toml, under the source',
            blocks=True,
        )
    return _running(check, found[0])


def _running(check: Check, container: Container) -> Finding:
    name = container.name
    if container.status == "restarting":
        return check.problem(
            f"container {name} restarts again and again ({container.restarts} times)",
            "PostgreSQL ends soon after it was started; its log says why",
            shell("docker", "logs", "--tail", 50, name),
            blocks=True,
        )
    if not container.running:
        verb = "unpause" if container.status == "paused" else "start"
        return check.problem(
            f"container {name} is {container.status}",
            "somebody stopped it, or the machine restarted",
            shell("docker", verb, name),
            blocks=True,
        )
    return check.ok(f"container {name} runs")


def healthy(container: Container) -> Finding:
    """What the container's own healthcheck says."""
    check = Check(
        "container.health",
        "connections fail now and then",
        shell("docker", "inspect", "--format", "{{json .State.Health}}", container.name),
    )
    if container.health in (None, "healthy"):
        return check.ok("healthy" if container.health else "it has no healthcheck")
    return check.warning(
        f"its healthcheck says {container.health}",
        "it is starting up, or PostgreSQL does not answer it",
        shell("docker", "logs", "--tail", 50, container.name),
    )


def init(container: Container, first_program: str | None) -> Finding:
    """Whether an init process takes care of orphans in the container."""
    check = Check(
        "container.init",
        "PostgreSQL restarts with `server process was terminated by signal 9`",
        shell("docker", "exec", container.name, "cat", "/proc/1/comm"),
    )
    if container.init:
        return check.ok("the engine gave it an init process")
    if first_program is None:
        return check.unknown("process 1 of the container is not known", "`cat` did not work in it")
    if first_program != "postgres":
        return check.ok(f"process 1 is {first_program}")
    return check.note(
        "process 1 is postgres itself",
        _INIT_CAUSE,
        f"add `init: true` to {container.name} in its compose file, then make it again",
    )
