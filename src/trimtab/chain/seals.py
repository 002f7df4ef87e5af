"""Signed checkpoints of a chain: what is signed, and whether signatures and time-stamp tokens are valid. Pure.

A checkpoint is an event {"position", "head", "key", "signature"[, "timestamp"]}: an Ed25519 signature over the study's
uid and the hash of the event at `position`, which covers all earlier events. The time stamp is a token (RFC 3161,
base64), by which an authority attests that the signature existed at some time.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..canonical import dumps
from ..records import Event

UNCHECKED = 'cannot be checked here; run: pip install "trimtab[sign]"'
"""What a finding ends with if the extra `sign` is missing, and nothing is known to be wrong."""


def message(uid: str, position: int, head: str) -> bytes:
    """The bytes that a checkpoint signs."""
    return dumps({"trimtab": "checkpoint", "study": uid, "position": position, "head": head}).encode()


def findings(
    uid: str, events: Sequence[Event], trusted: Mapping[str, str], authorities: Iterable[bytes] = ()
) -> list[str]:
    """One line for each checkpoint that does not fit.

    trusted: public key (hex) -> its owner; if empty, any key is accepted. authorities: root certificates (PEM) of
    time-stamp authorities; if empty, a token only has to belong to this signature.
    """
    hashes, roots, found = {e.position: e.hash for e in events}, list(authorities), list[str]()
    for e in events:
        if e.kind == "checkpoint":
            wrong = _wrong(uid, e, hashes, trusted) or _untimely(e.body, roots)
            found += [f"event {e.position} (checkpoint): {wrong}"] if wrong else []
    return found


def _wrong(uid: str, e: Event, hashes: Mapping[int, str], trusted: Mapping[str, str]) -> str:
    """What is wrong with the signature of checkpoint `e`; "" if it is valid."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return f"its signature {UNCHECKED}"
    body = e.body
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(body["key"]))
        key.verify(bytes.fromhex(body["signature"]), message(uid, body["position"], body["head"]))
    except (InvalidSignature, ValueError, TypeError, KeyError):
        return "its signature does not fit what it signs"
    if type(body["position"]) is not int or hashes.get(body["position"]) != body["head"]:
        return f"it signs another event {body['position']} than the chain holds"
    if trusted and body["key"] not in trusted:
        return (
            f"it is signed with key {body['key'][:16]}, which is not trusted here; if it should be: trimtab key --trust"
        )
    return ""


def _untimely(checkpoint: Mapping[str, Any], roots: Sequence[bytes]) -> str:
    """What is wrong with a time-stamp token; "" if it is valid, or there is none."""
    if "timestamp" not in checkpoint:
        return ""
    try:
        from cryptography.x509 import load_pem_x509_certificate
        from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response
    except ImportError:
        return f"its time-stamp token {UNCHECKED}"
    signature = bytes.fromhex(checkpoint["signature"])
    try:
        token = decode_timestamp_response(base64.b64decode(checkpoint["timestamp"], validate=True))
        imprint = token.tst_info.message_imprint.message
    except (ValueError, TypeError):
        return "its time-stamp token cannot be read"
    if imprint != hashlib.sha512(signature).digest():
        return "its time-stamp token is of another signature"
    if not roots:
        return ""
    for root in roots:
        verifier = VerifierBuilder().add_root_certificate(load_pem_x509_certificate(root)).build()
        try:
            verifier.verify(token, imprint)
        except VerificationError:
            continue
        return ""
    return "its time-stamp token is from no authority that is trusted here"


def stamped(checkpoint: Mapping[str, Any]) -> float | None:
    """The time to which the authority attests, in seconds since the epoch; None without a token. Raises ValueError if it
    cannot be read, and ImportError if the extra `sign` is missing."""
    if "timestamp" not in checkpoint:
        return None
    from rfc3161_client import decode_timestamp_response

    token = decode_timestamp_response(base64.b64decode(checkpoint["timestamp"]))
    return float(token.tst_info.gen_time.timestamp())
