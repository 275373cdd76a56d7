"""Intel's endorsements: TCB info, QE identity and revocation lists, with the exact bytes that were signed.

`DcapCollateral` carries nine fields as they arrived and parses none of the signed bodies: `verify` checks a
signature first and reads afterwards (`TcbInfo.parse`, `EnclaveIdentity.parse`). Signatures are over the raw
bytes of a body (check 16), so a body is never serialised again.
"""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Self

from intaglio.errors import Malformed
from intaglio.types import UnixTime
from intaglio.wire import strict_json
from intaglio.wire.hashing import sha256_of_parts
from intaglio.wire.strict_json import Json
from intaglio.wire.x509 import decode_crl

__all__ = [
    "DcapCollateral", "EnclaveIdentity", "EnclaveTcbLevel", "TcbInfo", "TcbLevel", "TcbStatus", "TdxModule",
    "signed_body",
]  # fmt: skip


class TcbStatus(Enum):
    """How current a platform is, in Intel's words (check 29). Three of them are no word of a TCB level: `NOT_SUPPORTED`
    says that no level matches, and the two of a relaunch compare what a TD was launched under with what runs now."""

    UP_TO_DATE = "UpToDate"
    SW_HARDENING_NEEDED = "SWHardeningNeeded"
    CONFIGURATION_NEEDED = "ConfigurationNeeded"
    CONFIGURATION_AND_SW_HARDENING_NEEDED = "ConfigurationAndSWHardeningNeeded"
    OUT_OF_DATE = "OutOfDate"
    OUT_OF_DATE_CONFIGURATION_NEEDED = "OutOfDateConfigurationNeeded"
    TD_RELAUNCH_ADVISED = "TDRelaunchAdvised"
    TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED = "TDRelaunchAdvisedConfigurationNeeded"
    REVOKED = "Revoked"
    NOT_SUPPORTED = "NotSupported"


_OF_NO_LEVEL = (
    TcbStatus.NOT_SUPPORTED, TcbStatus.TD_RELAUNCH_ADVISED, TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED,
)  # fmt: skip
_LEVEL_STATUSES = {status.value: status for status in TcbStatus if status not in _OF_NO_LEVEL}
_PLAIN = ("pck_crl_issuer_chain", "tcb_info_issuer_chain", "tcb_info", "qe_identity_issuer_chain", "qe_identity")
_CRLS = ("root_ca_crl", "pck_crl")
_SIGNATURES = ("tcb_info_signature", "qe_identity_signature")
_FIELDS = frozenset((*_PLAIN, *_CRLS, *_SIGNATURES))
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*")


@dataclass(frozen=True, slots=True)
class DcapCollateral:
    """What a quote is judged by. Chains are PEM, CRLs DER (empty: none was given), signatures raw r || s."""

    pck_crl_issuer_chain: bytes
    root_ca_crl: bytes
    pck_crl: bytes
    tcb_info_issuer_chain: bytes
    tcb_info: bytes
    tcb_info_signature: bytes
    qe_identity_issuer_chain: bytes
    qe_identity: bytes
    qe_identity_signature: bytes
    digest: bytes = field(init=False)
    """SHA-256 over all fields: the name under which a verifier remembers what it has judged."""

    def __post_init__(self) -> None:
        parts = (getattr(self, name) for name in sorted(_FIELDS))
        object.__setattr__(self, "digest", sha256_of_parts(parts))

    @classmethod
    def parse_json(cls, data: bytes) -> Self:
        """Reads the nine-field JSON object that Intel's library and its relatives exchange. Raises
        `Malformed`.

        CRLs may be PEM, hexadecimal or base64 text, and empty or null where there is none.
        """
        document = strict_json.loads(data, "collateral")
        if not isinstance(document, dict):
            raise Malformed("collateral", "not an object")
        if document.keys() != _FIELDS:
            wrong = ", ".join(sorted(document.keys() ^ _FIELDS))
            raise Malformed("collateral", f"missing or unknown: {wrong[:200]}")
        fields = {name: _text(document, name, "collateral").encode() for name in _PLAIN}
        for name in _CRLS:
            fields[name] = decode_crl(b"" if document[name] is None else _text(document, name, "collateral").encode())
        for name in _SIGNATURES:
            fields[name] = _octets(document, name, "collateral", 64)
        return cls(**fields)

    def encode_json(self) -> bytes:
        """The JSON that `parse_json` reads."""
        document = {name: getattr(self, name).decode() for name in _PLAIN}
        document |= {name: getattr(self, name).hex() for name in (*_CRLS, *_SIGNATURES)}
        return json.dumps(document).encode()


def signed_body(data: bytes, member: str) -> tuple[bytes, bytes]:
    """Body and signature out of a PCS answer such as ``{"tcbInfo": {...}, "signature": "hex"}``.

    `member` is ``tcbInfo`` or ``enclaveIdentity``. The body is the exact bytes that were signed. Raises
    `Malformed`.
    """
    found = strict_json.members(data, member)
    if found.keys() != {member, "signature"}:
        raise Malformed(member, "expected a body and a signature")
    return found[member], _octets({"signature": strict_json.loads(found["signature"], member)}, "signature", member, 64)


@dataclass(frozen=True, slots=True)
class TcbLevel:
    """A platform has this status if every component and the PCE's SVN are at least these (check 25)."""

    sgx_components: bytes
    pce_svn: int
    tdx_components: bytes
    date: UnixTime
    status: TcbStatus
    advisory_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EnclaveTcbLevel:
    """A quoting enclave, or a TDX module, has this status from this ISVSVN on."""

    isv_svn: int
    date: UnixTime
    status: TcbStatus
    advisory_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TdxModule:
    """Who signed a TDX module, and its attributes (check 26). `id` is empty for the module of TDX 1.0, which has no
    levels of its own, and `TDX_01` and so on, in capitals, for later ones. Levels are sorted, highest first."""

    id: str
    mr_signer: bytes
    attributes: bytes
    attributes_mask: bytes
    levels: tuple[EnclaveTcbLevel, ...]


@dataclass(frozen=True, slots=True)
class TcbInfo:
    """TCB info of version 2 (SGX only, no `id`, no advisories) or 3. Levels are sorted, highest first.

    For TDX every level has `tdx_components`, `tdx_module` is there, and `tdx_module_identities` may be.
    """

    id: str
    version: int
    issue_date: UnixTime
    next_update: UnixTime
    fmspc: bytes
    pce_id: bytes
    tcb_type: int
    evaluation_number: int
    levels: tuple[TcbLevel, ...]
    tdx_module: TdxModule | None
    tdx_module_identities: tuple[TdxModule, ...]

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Reads a signed body. Raises `Malformed`, also for an unknown status, for no level, for two levels with the
        same SVNs or two module identities with the same id (check 17)."""
        document = _object(strict_json.loads(body, "tcb_info"), "tcb_info")
        version = _number(document, "version", "tcb_info")
        if version not in (2, 3):
            raise Malformed("tcb_info.version", f"expected 2 or 3, got {version}")
        tee = "SGX" if version == 2 else _text(document, "id", "tcb_info")
        levels = [_tcb_level(item, version, tee) for item in _list(document, "tcbLevels", "tcb_info")]
        if not levels or len(set(map(_order, levels))) != len(levels):
            raise Malformed("tcb_info.tcbLevels", "no level, or two for the same SVNs")
        return cls(
            id=tee,
            version=version,
            issue_date=_time(document, "issueDate", "tcb_info"),
            next_update=_time(document, "nextUpdate", "tcb_info"),
            fmspc=_octets(document, "fmspc", "tcb_info", 6),
            pce_id=_octets(document, "pceId", "tcb_info", 2),
            tcb_type=_number(document, "tcbType", "tcb_info"),
            evaluation_number=_number(document, "tcbEvaluationDataNumber", "tcb_info"),
            levels=tuple(sorted(levels, key=_order, reverse=True)),
            tdx_module=_tdx_module(document) if tee == "TDX" else None,
            tdx_module_identities=_tdx_module_identities(document) if tee == "TDX" else (),
        )


@dataclass(frozen=True, slots=True)
class EnclaveIdentity:
    """Which enclave is Intel's quoting enclave (checks 20, 24). Levels are sorted, highest ISVSVN first.

    `misc_select` and its mask are numbers: the JSON has them as big-endian text, a report as little-endian
    bytes.
    """

    id: str
    version: int
    issue_date: UnixTime
    next_update: UnixTime
    evaluation_number: int
    misc_select: int
    misc_select_mask: int
    attributes: bytes
    attributes_mask: bytes
    mr_signer: bytes
    isv_prod_id: int
    levels: tuple[EnclaveTcbLevel, ...]

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Reads a signed body. Raises `Malformed`, also for an unknown status, no level and repeated
        levels."""
        name = "qe_identity"
        document = _object(strict_json.loads(body, name), name)
        return cls(
            id=_text(document, "id", name),
            version=_number(document, "version", name),
            issue_date=_time(document, "issueDate", name),
            next_update=_time(document, "nextUpdate", name),
            evaluation_number=_number(document, "tcbEvaluationDataNumber", name),
            misc_select=int.from_bytes(_octets(document, "miscselect", name, 4), "big"),
            misc_select_mask=int.from_bytes(_octets(document, "miscselectMask", name, 4), "big"),
            attributes=_octets(document, "attributes", name, 16),
            attributes_mask=_octets(document, "attributesMask", name, 16),
            mr_signer=_octets(document, "mrsigner", name, 32),
            isv_prod_id=_number(document, "isvprodid", name, 0xFFFF),
            levels=_enclave_levels(document, name),
        )


def _tdx_module(document: dict[str, Json]) -> TdxModule:
    where = "tcb_info.tdxModule"
    return _module(_object(document.get("tdxModule"), where), where, "", ())


def _tdx_module_identities(document: dict[str, Json]) -> tuple[TdxModule, ...]:
    where = "tcb_info.tdxModuleIdentities"
    found = []
    for item in _list(document, "tdxModuleIdentities", "tcb_info") if "tdxModuleIdentities" in document else []:
        identity = _object(item, where)
        found.append(_module(identity, where, _text(identity, "id", where).upper(), _enclave_levels(identity, where)))
    if len({identity.id for identity in found}) != len(found):
        raise Malformed(where, "two identities for the same module")
    return tuple(found)


def _module(document: dict[str, Json], where: str, name: str, levels: tuple[EnclaveTcbLevel, ...]) -> TdxModule:
    return TdxModule(
        id=name,
        mr_signer=_octets(document, "mrsigner", where, 48),
        attributes=_octets(document, "attributes", where, 8),
        attributes_mask=_octets(document, "attributesMask", where, 8),
        levels=levels,
    )


def _tcb_level(item: Json, version: int, tee: str) -> TcbLevel:
    where = "tcb_info.tcbLevels"
    level = _object(item, where)
    tcb = _object(level.get("tcb"), f"{where}.tcb")
    if version == 2:
        sgx = bytes(_number(tcb, f"sgxtcbcomp{n:02}svn", f"{where}.tcb", 0xFF) for n in range(1, 17))
    else:
        sgx = _components(tcb, "sgxtcbcomponents")
    return TcbLevel(
        sgx_components=sgx,
        pce_svn=_number(tcb, "pcesvn", f"{where}.tcb", 0xFFFF),
        tdx_components=_components(tcb, "tdxtcbcomponents") if tee == "TDX" else b"",
        date=_time(level, "tcbDate", where),
        status=_status(level, where),
        advisory_ids=_advisories(level, where),
    )


def _order(level: TcbLevel) -> tuple[bytes, int, bytes]:
    return level.sgx_components, level.pce_svn, level.tdx_components


def _enclave_levels(document: dict[str, Json], name: str) -> tuple[EnclaveTcbLevel, ...]:
    where = f"{name}.tcbLevels"
    levels = [_enclave_level(item, where) for item in _list(document, "tcbLevels", name)]
    if not levels or len({level.isv_svn for level in levels}) != len(levels):
        raise Malformed(where, "no level, or two for the same SVN")
    return tuple(sorted(levels, key=lambda level: level.isv_svn, reverse=True))


def _enclave_level(item: Json, where: str) -> EnclaveTcbLevel:
    level = _object(item, where)
    return EnclaveTcbLevel(
        isv_svn=_number(_object(level.get("tcb"), f"{where}.tcb"), "isvsvn", f"{where}.tcb", 0xFFFF),
        date=_time(level, "tcbDate", where),
        status=_status(level, where),
        advisory_ids=_advisories(level, where),
    )


def _components(tcb: dict[str, Json], name: str) -> bytes:
    where = f"tcb_info.tcbLevels.tcb.{name}"
    items = _list(tcb, name, "tcb_info.tcbLevels.tcb")
    if len(items) != 16:
        raise Malformed(where, f"need 16 components, got {len(items)}")
    return bytes(_number(_object(item, where), "svn", where, 0xFF) for item in items)


def _status(level: dict[str, Json], where: str) -> TcbStatus:
    text = _text(level, "tcbStatus", where)
    if text not in _LEVEL_STATUSES:
        raise Malformed(f"{where}.tcbStatus", f"unknown status {text[:64]!r}")
    return _LEVEL_STATUSES[text]


def _advisories(level: dict[str, Json], where: str) -> tuple[str, ...]:
    found = []
    for item in _list(level, "advisoryIDs", where) if "advisoryIDs" in level else []:
        if not isinstance(item, str):
            raise Malformed(f"{where}.advisoryIDs", "not text")
        found.append(item)
    return tuple(found)


def _object(value: Json, where: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise Malformed(where, "not an object")
    return value


def _list(document: dict[str, Json], name: str, where: str) -> list[Json]:
    value = document.get(name)
    if not isinstance(value, list):
        raise Malformed(f"{where}.{name}", "missing or not an array")
    return value


def _text(document: dict[str, Json], name: str, where: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise Malformed(f"{where}.{name}", "missing or not text")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise Malformed(f"{where}.{name}", "not text: holds half of a surrogate pair")
    return value


def _number(document: dict[str, Json], name: str, where: str, limit: int = 0xFFFFFFFF) -> int:
    value = document.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
        raise Malformed(f"{where}.{name}", f"missing or not a number from 0 to {limit}")
    return value


def _octets(document: dict[str, Json], name: str, where: str, size: int) -> bytes:
    text = _text(document, name, where)
    if len(text) != 2 * size or not _HEX.fullmatch(text):
        raise Malformed(f"{where}.{name}", f"need {size} bytes as hexadecimal text")
    return bytes.fromhex(text)


def _time(document: dict[str, Json], name: str, where: str) -> UnixTime:
    text = _text(document, name, where)
    if not _TIME.fullmatch(text):
        raise Malformed(f"{where}.{name}", "not a time such as 2025-08-08T00:45:01Z")
    try:
        return UnixTime(int(datetime.fromisoformat(text).astimezone(UTC).timestamp()))
    except ValueError as error:
        raise Malformed(f"{where}.{name}", f"no such time ({error})") from error
