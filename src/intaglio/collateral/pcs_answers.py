"""What Intel's PCS and its relatives answer, in all their spellings.

A chain of certificates stands in a header, percent-encoded; of its name there are two spellings. Azure's service puts
into the JSON body what others put into headers, under the same names. Nothing is judged here.
"""

from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote_to_bytes

from intaglio.collateral.http import Response
from intaglio.errors import Malformed
from intaglio.wire import strict_json
from intaglio.wire.collateral import signed_body

__all__ = ["EvaluationNumber", "Signed", "pck_certificates", "pem_chain", "read_evaluation_numbers", "revocation_list"]

_PEM = b"-----BEGIN CERTIFICATE-----"
MAX_NUMBERS = 256
"""Intel lists those of a few years: a dozen."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed document: its exact bytes, the raw signature, and its signer's chain (PEM)."""

    body: bytes
    signature: bytes
    chain: bytes

    @classmethod
    def read(cls, response: Response, name: str, header: str) -> Self:
        """The document `name` and the chain in `header`, or in the older spelling of it. Raises `Malformed`."""
        data = response.body
        members = strict_json.members(data, name)
        extra = members.keys() - {name, "signature"}
        # Exactly one document and its signature, and of other members only the chain: what nobody knows is refused.
        if extra and len(extra) == 1 and min(extra).lower() in _spellings(header) and len(members) == 3:
            data = b'{"%s":%s,"signature":%s}' % (name.encode(), members[name], members["signature"])
        body, signature = signed_body(data, name)
        return cls(body, signature, pem_chain(response, header))


def pem_chain(response: Response, header: str) -> bytes:
    """The PEM chain that came under this name, in a header or in the body. Raises `Malformed`."""
    names = _spellings(header)
    for name in names:
        if name in response.headers:
            return _pem(response.headers[name], name)
    for member, value in _text_members(response).items():
        if member.lower() in names:
            return _pem(value, header)
    raise Malformed(header, "the answer has no such header")


def revocation_list(response: Response) -> bytes:
    """The list as it came, or as it stands in a JSON body. Raises `Malformed` for a body with other members."""
    for member, value in _text_members(response).items():
        if member.lower() in ("pckcrl", "crl"):
            return value.encode()
    return response.body


def pck_certificates(response: Response) -> bytes:
    """A PCK certificate and its issuers, PEM. Raises `Malformed`."""
    chain = pem_chain(response, "sgx-pck-certificate-issuer-chain")
    leaf = next((value for name, value in _text_members(response).items() if name.lower() == "pckcert"), None)
    certificate = response.body if leaf is None else leaf.encode()
    if certificate.count(_PEM) != 1:
        raise Malformed("pckcert", "need one PEM certificate")
    return certificate.rstrip() + b"\n" + chain


@dataclass(frozen=True, slots=True)
class EvaluationNumber:
    """One TCB evaluation data number that a service has: when its TCB recovery was announced, and the date that
    platforms must have been patched by."""

    number: int
    recovery_date: str
    tcb_date: str

    def to_json(self) -> dict[str, object]:
        return {"number": self.number, "recovery_date": self.recovery_date, "tcb_date": self.tcb_date}


def read_evaluation_numbers(response: Response) -> tuple[EvaluationNumber, ...]:
    """Highest first. Its signature is not checked: the numbers only say what may be asked for. Raises `Malformed`."""
    name = "tcbEvaluationDataNumbers"
    document = strict_json.loads(Signed.read(response, name, "tcb-evaluation-data-numbers-issuer-chain").body, name)
    rows = document.get("tcbEvalNumbers") if isinstance(document, dict) else None
    if not isinstance(rows, list) or len(rows) > MAX_NUMBERS:
        raise Malformed(name, f"need a list of at most {MAX_NUMBERS} numbers")
    found = [_evaluation_number(row) for row in rows]
    return tuple(sorted(found, key=lambda each: each.number, reverse=True))


def _evaluation_number(row: object) -> EvaluationNumber:
    match row:
        case {
            "tcbEvaluationDataNumber": int(number),
            "tcbRecoveryEventDate": str(recovery),
            "tcbDate": str(date),
        } if not isinstance(number, bool):
            return EvaluationNumber(number, recovery, date)
    raise Malformed("tcbEvaluationDataNumbers", "a row without number and dates")


def _spellings(header: str) -> tuple[str, ...]:
    return header, f"sgx-{header}"


def _pem(text: str, name: str) -> bytes:
    chain = unquote_to_bytes(text)
    if _PEM not in chain:
        raise Malformed(name, "no PEM certificate in it")
    return chain


def _text_members(response: Response) -> dict[str, str]:
    """The members of a JSON body that are text; none for any other body."""
    if not response.body.lstrip().startswith(b"{"):
        return {}
    document = strict_json.loads(response.body, "body")
    members = document.items() if isinstance(document, dict) else ()
    return {name: value for name, value in members if isinstance(value, str)}
