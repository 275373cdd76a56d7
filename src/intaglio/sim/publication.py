"""What the lab's PCS publishes: TCB levels, quoting enclave identity, and the JSON documents that carry them.

Documents are written compactly and signed as the bytes that are served (check 16). An edition is one TCB recovery: a
number, the levels of each platform family and those of the quoting enclave.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self

from intaglio.types import Measurement, Tee, UnixTime

__all__ = [
    "Edition", "Level", "Module", "QeIdentity", "QeLevel", "Window", "compact", "iso", "qe_identity_json",
    "tcb_info_json",
]  # fmt: skip

JsonObject = dict[str, object]
_NEW_YEAR_2025 = UnixTime(1735689600)


@dataclass(frozen=True, slots=True)
class Level:
    """One TCB level of a platform family: sixteen component SVNs and a PCESVN that a platform must reach, and for TDX
    also the sixteen of its module and microcode."""

    components: tuple[int, ...]
    pce_svn: int
    status: str = "UpToDate"
    advisories: tuple[str, ...] = ()
    date: UnixTime = _NEW_YEAR_2025
    tdx_components: tuple[int, ...] = (5, 0, 7, *[0] * 13)

    def lowered(self, status: str, *advisories: str) -> Self:
        """The level below this one: every component one less, a year older, with `status` and `advisories`."""
        return replace(
            self,
            components=tuple(max(0, svn - 1) for svn in self.components),
            tdx_components=tuple(max(0, svn - 1) for svn in self.tdx_components),
            status=status,
            advisories=advisories,
            date=UnixTime(self.date - 365 * 24 * 3600),
        )

    def to_json(self) -> list[object]:
        return [
            list(self.components), self.pce_svn, self.status, list(self.advisories), self.date,
            list(self.tdx_components),
        ]  # fmt: skip

    @classmethod
    def from_json(cls, value: Sequence[Any]) -> Self:
        components, pce_svn, status, advisories, date, tdx_components = value
        return cls(tuple(components), pce_svn, status, tuple(advisories), UnixTime(date), tuple(tdx_components))


@dataclass(frozen=True, slots=True)
class QeLevel:
    """One level of a quoting enclave, or of a TDX module, by SVN."""

    isv_svn: int
    status: str = "UpToDate"
    advisories: tuple[str, ...] = ()
    date: UnixTime = _NEW_YEAR_2025

    def to_json(self) -> list[object]:
        return [self.isv_svn, self.status, list(self.advisories), self.date]

    @classmethod
    def from_json(cls, value: Sequence[Any]) -> Self:
        isv_svn, status, advisories, date = value
        return cls(isv_svn, status, tuple(advisories), UnixTime(date))


@dataclass(frozen=True, slots=True)
class Module:
    """One version of the TDX module, with its levels. Intel's own modules have a signer of zeros."""

    version: int
    levels: tuple[QeLevel, ...]
    mr_signer: bytes = bytes(48)
    attributes: bytes = bytes(8)


MODULES = (
    Module(3, (QeLevel(3),)),
    Module(1, (QeLevel(4), QeLevel(2, "OutOfDate", ("INTEL-SA-00002",), UnixTime(1691539200)))),
)
"""What a lab publishes of TDX modules unless told otherwise; a machine runs SVN 4 of version 1."""


@dataclass(frozen=True, slots=True)
class QeIdentity:
    """Who the lab's quoting enclave must be. The masks are Intel's: everything of MISCSELECT, flags without
    MODE64."""

    mr_signer: Measurement
    isv_prod_id: int
    id: str = "QE"
    misc_select: str = "00000000"
    misc_select_mask: str = "FFFFFFFF"
    attributes: str = "11000000000000000000000000000000"
    attributes_mask: str = "FBFFFFFFFFFFFFFF0000000000000000"


@dataclass(frozen=True, slots=True)
class Edition:
    """One TCB recovery. `levels` by FMSPC (lower-case hex), best first, as Intel publishes them."""

    number: int
    qe_levels: tuple[QeLevel, ...]
    levels: Mapping[str, tuple[Level, ...]] = field(default_factory=dict)
    modules: tuple[Module, ...] = MODULES

    def with_levels(self, fmspc: str, *levels: Level) -> Self:
        return replace(self, levels={**self.levels, fmspc: levels})

    def to_json(self) -> JsonObject:
        return {
            "number": self.number,
            "qe_levels": [q.to_json() for q in self.qe_levels],
            "levels": {fmspc: [level.to_json() for level in levels] for fmspc, levels in self.levels.items()},
            "modules": [
                [m.version, [level.to_json() for level in m.levels], m.mr_signer.hex(), m.attributes.hex()]
                for m in self.modules
            ],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; a lab's own file, so what is missing raises KeyError or TypeError."""
        return cls(
            number=value["number"],
            qe_levels=tuple(map(QeLevel.from_json, value["qe_levels"])),
            levels={fmspc: tuple(map(Level.from_json, levels)) for fmspc, levels in value["levels"].items()},
            modules=tuple(
                Module(version, tuple(map(QeLevel.from_json, levels)), bytes.fromhex(signer), bytes.fromhex(attributes))
                for version, levels, signer, attributes in value["modules"]
            ),
        )


@dataclass(frozen=True, slots=True)
class Window:
    """When a document or CRL was made and when the next one is due."""

    issued: UnixTime
    next_update: UnixTime


def tcb_info_json(
    edition: Edition, fmspc: str, pce_id: bytes, window: Window, *, version: int = 3, tee: Tee = Tee.SGX
) -> JsonObject:
    """The `tcbInfo` object: version 3 of PCS v4, or version 2 of PCS v3 (no id, flat component names, no advisories).

    Raises KeyError where the edition has nothing for `fmspc`.
    """
    levels = edition.levels[fmspc]
    head: JsonObject = {"id": tee.name} if version == 3 else {}
    modules = _modules_json(edition.modules) if tee is Tee.TDX else {}
    return {
        **head,
        "version": version,
        "issueDate": iso(window.issued),
        "nextUpdate": iso(window.next_update),
        "fmspc": fmspc.upper(),
        "pceId": pce_id.hex().upper(),
        "tcbType": 0,
        "tcbEvaluationDataNumber": edition.number,
        **modules,
        "tcbLevels": [_level_v3(level, tee) if version == 3 else _level_v2(level) for level in levels],
    }


def qe_identity_json(edition: Edition, identity: QeIdentity, window: Window) -> JsonObject:
    """The `enclaveIdentity` object, version 2."""
    return {
        "id": identity.id,
        "version": 2,
        "issueDate": iso(window.issued),
        "nextUpdate": iso(window.next_update),
        "tcbEvaluationDataNumber": edition.number,
        "miscselect": identity.misc_select,
        "miscselectMask": identity.misc_select_mask,
        "attributes": identity.attributes,
        "attributesMask": identity.attributes_mask,
        "mrsigner": identity.mr_signer.hex().upper(),
        "isvprodid": identity.isv_prod_id,
        "tcbLevels": _by_svn(edition.qe_levels),
    }


def compact(value: object) -> bytes:
    """JSON as Intel's service writes it: no space between tokens."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def iso(time: UnixTime) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _modules_json(modules: tuple[Module, ...]) -> JsonObject:
    """What TCB info of TDX says of modules: that of TDX 1.0, which has no version, and the later ones."""
    intel: JsonObject = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
    identities = [
        {
            "id": f"TDX_{module.version:02X}",
            "mrsigner": module.mr_signer.hex().upper(),
            "attributes": module.attributes.hex().upper(),
            "attributesMask": "FF" * 8,
            "tcbLevels": _by_svn(module.levels),
        }
        for module in modules
    ]
    return {"tdxModule": intel, "tdxModuleIdentities": identities}


def _by_svn(levels: tuple[QeLevel, ...]) -> list[JsonObject]:
    return [{"tcb": {"isvsvn": level.isv_svn}, **_verdict(level, advisories=True)} for level in levels]


def _level_v3(level: Level, tee: Tee) -> JsonObject:
    tcb: JsonObject = {"sgxtcbcomponents": [{"svn": svn} for svn in level.components], "pcesvn": level.pce_svn}
    if tee is Tee.TDX:
        tcb["tdxtcbcomponents"] = [{"svn": svn} for svn in level.tdx_components]
    return {"tcb": tcb, **_verdict(level, advisories=True)}


def _level_v2(level: Level) -> JsonObject:
    tcb = {f"sgxtcbcomp{n:02}svn": svn for n, svn in enumerate(level.components, start=1)}
    return {"tcb": {**tcb, "pcesvn": level.pce_svn}, **_verdict(level, advisories=False)}


def _verdict(level: Level | QeLevel, *, advisories: bool) -> JsonObject:
    verdict: JsonObject = {"tcbDate": iso(level.date), "tcbStatus": level.status}
    if advisories and level.advisories:
        verdict["advisoryIDs"] = list(level.advisories)
    return verdict
