"""This user's keys, outside every database: one to sign with, those that are trusted, and what was signed here.

Folder $XDG_STATE_HOME/trimtab/keys (else ~/.local/state/trimtab/keys):
  signing.pem   the private key (Ed25519, readable by its owner alone), created when something is first signed
  NAME.pub      public keys that are trusted, in hexadecimal
  NAME.crt      root certificates (PEM) of time-stamp authorities that are trusted
  signed        heads that were signed here, as in a witness file: a chain that was rewritten cannot match them
"""

import base64
import os
import re
import urllib.request
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .chain.seals import message
from .checks import shown
from .errors import UserError
from .files import user_path
from .records import StudyRecord
from .storage import witness

PATIENCE = 30.0  # seconds for an answer of a time-stamp authority


def folder() -> Path:
    """Where this user's key, the public keys that are trusted, and the heads that were signed are kept."""
    return user_path("keys")


def sign(study: StudyRecord, authority: str | None = None) -> dict[str, Any]:
    """The body of a checkpoint of the study as it stands, signed with this user's key, with an authority's time stamp
    if asked.

    Raises UserError if the extra `sign` is missing, the key cannot be read or created, or the authority does not
    answer.
    """
    key = _key()
    signature = key.sign(message(study.uid, study.position, study.head))
    made = {"position": study.position, "head": study.head, "key": public(), "signature": signature.hex()}
    if authority is not None:
        made["timestamp"] = _stamp(signature, authority)
    witness.append(folder() / "signed", [(study.uid, study.position, study.head)])
    return made


def public() -> str:
    """This user's public key, in hexadecimal. Creates the key if there is none. Raises UserError if the extra `sign` is
    missing."""
    return str(_key().public_key().public_bytes_raw().hex())


def trusted() -> dict[str, str]:
    """Owners by public key: this user's own (if the extra `sign` can read it), and those in the folder. Raises UserError
    for a file that holds none."""
    found: dict[str, str] = {}
    for path in sorted(folder().glob("*.pub")):
        key = _as_key(path.read_text(encoding="utf-8", errors="replace"))
        if key is None:
            raise UserError(f"{path} is no public key, {_FORM}; trust it again, or move it away")
        found[key] = path.stem
    readable = find_spec("cryptography") is not None and (folder() / "signing.pem").exists()
    return found | ({public(): "this user"} if readable else {})


def trust(name: str, key: str) -> Path:
    """Trust a public key, replacing the name's earlier one. Raises UserError for an invalid key, and for a name that
    cannot be a file name."""
    if not re.fullmatch(r"\w[\w.@-]*", name):
        raise UserError(f"name={name!r}: letters, digits and . @ - _ make a name; take ada@example.com")
    if (known := _as_key(key)) is None:
        raise UserError(f"{key!r} is no public key, {_FORM}")
    return _write(f"{name}.pub", known.encode(), 0o644)


_FORM = "which has 64 hexadecimal digits, as `trimtab key` prints them"


def _as_key(text: str) -> str | None:
    """A public key in small letters; None if the text is none."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        return None
    return raw.hex() if len(raw) == 32 else None


def authorities() -> list[bytes]:
    """Root certificates of the time-stamp authorities that are trusted. Raises UserError for a file that holds none."""
    found = {p: p.read_bytes() for p in sorted(folder().glob("*.crt"))}
    for path, content in found.items():
        if b"-----BEGIN CERTIFICATE-----" not in content:
            raise UserError(
                f"{path} is no certificate in PEM form; convert it (openssl x509 -inform der), or move it away"
            )
    return [*found.values()]


def signed(uid: str) -> list[tuple[int, str]]:
    """(position, hash) of what was signed here of a study."""
    return witness.read(folder() / "signed", uid)


def _key() -> Any:
    """The private key, made at its first use."""
    try:
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError:
        raise UserError('keys need cryptography; run: pip install "trimtab[sign]"') from None
    path = folder() / "signing.pem"
    if not path.exists():
        made = Ed25519PrivateKey.generate()
        pem = made.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        _write(path.name, pem, 0o600)
    try:
        return form.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read as a key ({error}); put it back from a backup, or move it away"
        ) from None


def _write(name: str, content: bytes, mode: int) -> Path:
    """Write a file of the folder. A private key that another process has just made stays; a public key is replaced."""
    path = folder() / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f"{name}.{os.getpid()}")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        try:
            os.link(fresh, path)
        except FileExistsError:
            if name.endswith(".pub"):
                os.replace(fresh, path)
        fresh.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror}; set XDG_STATE_HOME to a folder of yours"
        ) from None
    return path


def _stamp(signature: bytes, authority: str) -> str:
    """The response of a time-stamp authority, base64."""
    try:
        from rfc3161_client import TimestampRequestBuilder, decode_timestamp_response
    except ImportError:
        raise UserError('time stamps need rfc3161-client; run: pip install "trimtab[sign]"') from None
    if not isinstance(authority, str) or not authority.startswith(("http://", "https://")):
        raise UserError(f"timestamp={shown(authority)} is no address of an authority; write https://...")
    asked = TimestampRequestBuilder().data(signature).build()
    request = urllib.request.Request(
        authority, data=asked.as_bytes(), headers={"Content-Type": "application/timestamp-query"}
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            content = answer.read(1_000_000)
        if decode_timestamp_response(content).status != 0:
            raise ValueError("it was refused")
    except (OSError, HTTPException, ValueError) as error:
        raise UserError(f"{authority} gave no time stamp ({error}); try again, or sign without one") from None
    return base64.b64encode(content).decode("ascii")
