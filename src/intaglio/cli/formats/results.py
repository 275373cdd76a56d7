"""Attestation results (EAR), as JWT and as CWT: their claims, with nothing checked."""

from intaglio.cli.formats.facts import Facts, Format
from intaglio.session.results import read_token

__all__ = ["CWT", "JWT"]

_JWT_BEGIN = b"eyJ"
"""The beginning of a JSON object in base64."""
_CWT_BEGIN = bytes.fromhex("d2844da20127")
"""COSE_Sign1 whose protected header holds EdDSA and a key id of ours."""


def _read(data: bytes) -> Facts:
    token = read_token(data)
    return {
        "status": token.ear.status.label,
        "algorithm": token.algorithm,
        "key_id": token.key,
        "claims": token.ear.to_claims(),
        "note": "the signature was not checked; intaglio ear show does, with --pin",
    }


JWT = Format("attestation result (JWT)", lambda data: data.startswith(_JWT_BEGIN) and data.count(b".") == 2, _read)
CWT = Format("attestation result (CWT)", lambda data: data.startswith(_CWT_BEGIN), _read)
