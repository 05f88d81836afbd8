"""What lies elsewhere encrypted, brought here and decrypted."""

from __future__ import annotations

from collections.abc import Callable

from archon_ops.errors import PreconditionError, UntrustworthyError
from archon_ops.site import Site
from archon_ops.storage.atomic import Temporary
from archon_ops.storage.cipher import Keys, decrypt


def unsealed(
    site: Site,
    fetch: Callable[[Callable[[bytes], None]], None],
    name: str,
    keys: Keys,
    write: Callable[[bytes], None],
) -> None:
    """Decrypt a file, which comes here in full before it is read.

    Args:
        site: whose backup directory holds the ciphertext meanwhile.
        fetch: gives the ciphertext, block by block, to what it is called with.
        name: of the file there, for errors.
        keys: what there is to decrypt with.
        write: called with the plaintext, block by block; worth nothing until this returns.

    Raises:
        PreconditionError: the key is missing, or another one.
        UntrustworthyError: the ciphertext is damaged.
    """
    with Temporary(site.directory.ops, site.run_id) as sealed:
        fetch(sealed.write)
        sealed.sync()
        try:
            decrypt(sealed.path, keys, write)
        except (PreconditionError, UntrustworthyError) as error:
            said = error.message.replace(sealed.path.name, name)
            raise type(error)(said, error.hint) from error
