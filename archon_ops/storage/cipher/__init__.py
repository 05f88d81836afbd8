"""Encryption of files: age through pyrage, GPG through gpg itself.

Whatever is wrong with a ciphertext, nothing of its plaintext bears a name afterwards: it is
written into a temporary file that gets one only when all of it was read and found authentic.
"""

from archon_ops.storage.cipher.base import Cipher, Keys, encrypted_with, plain_name
from archon_ops.storage.cipher.choose import cipher_for, decrypt

__all__ = ["Cipher", "Keys", "cipher_for", "decrypt", "encrypted_with", "plain_name"]
