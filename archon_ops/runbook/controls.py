"""Negative controls: a copy is damaged on purpose, and the proof must fail on it.

The copy is the sandbox's database, after it was proven equal: it is thrown away next. A proof that
passes over a damage proves nothing, so such a run is a FAIL.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import psycopg

from archon_ops.actions.examining import check_bytes
from archon_ops.errors import OpsError, UntrustworthyError
from archon_ops.model.proof import Proof
from archon_ops.model.report import Silent
from archon_ops.model.shown import Table
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection
from archon_ops.rig import damage
from archon_ops.rig.damage import Damage
from archon_ops.runbook.describe import manifest_of
from archon_ops.runbook.session import Session
from archon_ops.storage.folders import ensure_folder
from archon_ops.storage.reference import Located

Row = tuple[str, str, str]
_NAMES = {
    "bit": "one bit flipped in a copy of the dump",
    "row": "one row changed",
    "vector": "one vector element changed",
    "index": "an index dropped",
    "right": "a right revoked",
}


def negative_controls(
    run: Session, located: Located, server: Server, database: str, prove: Callable[[], Proof]
) -> Table:
    """Damage the copy in every way, and hold what the proof says of it against that.

    Args:
        run: the session; the caller has begun a step.
        located: the backup.
        server: of the sandbox.
        database: a database in it that was proven equal and is not needed any more.
        prove: proves that database anew.
    """
    rows = [_bit(run, located)]
    with server.connect(database) as connection:
        done = _damaged(run, connection)
    lines = prove().problems if done else ()
    for name, one in done.items():
        found = next((line for line in lines if re.match(one.shows, line)), "")
        rows.append(_noted(run, name, one.text, bool(found), found or "nothing"))
    columns = ("damage done", "noticed", "what the proof said")
    return Table("Negative controls", columns, tuple(rows))


def _damaged(run: Session, connection: Connection) -> dict[str, Damage]:
    """Do what can be done; what cannot is known beforehand not to apply, or is missed."""
    done: dict[str, Damage] = {}
    ways: dict[str, Callable[[], Damage | None]] = {
        "vector": lambda: damage.change_vector(connection),
        "row": lambda: damage.change_row(connection, frozenset(d.table for d in done.values())),
        "index": lambda: damage.drop_index(connection),
        "right": lambda: damage.revoke_right(connection),
    }
    for name, way in ways.items():
        try:
            with connection.transaction():
                one = way()
        except psycopg.Error as error:
            run.control(name, _NAMES[name], None, str(error).splitlines()[0])
            continue
        if one is None:
            run.not_covered(f"negative control, {_NAMES[name]}: the backup holds nothing like it")
        else:
            done[name] = one
    return done


def _bit(run: Session, located: Located) -> Row:
    """Flip a bit in a copy of the dump, and let its checksum be looked at."""
    place = run.site.settings.state / "runs"
    ensure_folder(place)
    folder = Path(tempfile.mkdtemp(prefix=f"bit-{run.site.run_id}-", dir=place))
    try:
        one = damage.flip_bit(located.path, folder / located.path.name)
        silent = run.site.reporting_to(Silent())
        check_bytes(silent, folder / located.path.name, manifest_of(located))
    except UntrustworthyError as error:
        return _noted(run, "bit", _NAMES["bit"], True, error.message)
    except OpsError as error:
        return _noted(run, "bit", _NAMES["bit"], None, error.message)
    finally:
        shutil.rmtree(folder)
    return _noted(run, "bit", one.text, False, "nothing")


def _noted(run: Session, name: str, text: str, noticed: bool | None, found: str) -> Row:
    run.control(name, text, noticed, found)
    return text, {True: "yes", False: "NO", None: "not tried"}[noticed], found
