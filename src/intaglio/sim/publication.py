"""What the lab's PCS publishes: TCB levels, quoting enclave identity, and the JSON documents that carry them.

Documents are written compactly and signed as the bytes that are served (check 16). An edition is one TCB recovery: a
number, the levels of each platform family and those of the quoting enclave.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self

from intaglio.types import Measurement, UnixTime

__all__ = ["Edition", "Level", "QeIdentity", "QeLevel", "Window", "compact", "iso", "qe_identity_json", "tcb_info_json"]

JsonObject = dict[str, object]
_NEW_YEAR_2025 = UnixTime(1735689600)


@dataclass(frozen=True, slots=True)
class Level:
    """One TCB level of a platform family: sixteen component SVNs and a PCESVN that a platform must reach."""

    components: tuple[int, ...]
    pce_svn: int
    status: str = "UpToDate"
    advisories: tuple[str, ...] = ()
    date: UnixTime = _NEW_YEAR_2025

    def lowered(self, status: str, *advisories: str) -> Self:
        """The level below this one: every component one less, a year older, with `status` and `advisories`."""
        return replace(
            self,
            components=tuple(max(0, svn - 1) for svn in self.components),
            status=status,
            advisories=advisories,
            date=UnixTime(self.date - 365 * 24 * 3600),
        )


@dataclass(frozen=True, slots=True)
class QeLevel:
    """One level of the quoting enclave, by ISVSVN."""

    isv_svn: int
    status: str = "UpToDate"
    advisories: tuple[str, ...] = ()
    date: UnixTime = _NEW_YEAR_2025


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

    def with_levels(self, fmspc: str, *levels: Level) -> Self:
        return replace(self, levels={**self.levels, fmspc: levels})

    def to_json(self) -> JsonObject:
        return {
            "number": self.number,
            "qe_levels": [[q.isv_svn, q.status, list(q.advisories), q.date] for q in self.qe_levels],
            "levels": {
                fmspc: [[list(v.components), v.pce_svn, v.status, list(v.advisories), v.date] for v in levels]
                for fmspc, levels in self.levels.items()
            },
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; a lab's own file, so what is missing raises KeyError or TypeError."""
        return cls(
            number=value["number"],
            qe_levels=tuple(QeLevel(s, st, tuple(a), UnixTime(d)) for s, st, a, d in value["qe_levels"]),
            levels={
                fmspc: tuple(Level(tuple(c), p, st, tuple(a), UnixTime(d)) for c, p, st, a, d in levels)
                for fmspc, levels in value["levels"].items()
            },
        )


@dataclass(frozen=True, slots=True)
class Window:
    """When a document or CRL was made and when the next one is due."""

    issued: UnixTime
    next_update: UnixTime


def tcb_info_json(edition: Edition, fmspc: str, pce_id: bytes, window: Window, *, version: int = 3) -> JsonObject:
    """The `tcbInfo` object: version 3 of PCS v4, or version 2 of PCS v3 (no id, flat component names, no advisories).

    Raises KeyError where the edition has nothing for `fmspc`.
    """
    levels = edition.levels[fmspc]
    head: JsonObject = {"id": "SGX"} if version == 3 else {}
    return {
        **head,
        "version": version,
        "issueDate": iso(window.issued),
        "nextUpdate": iso(window.next_update),
        "fmspc": fmspc.upper(),
        "pceId": pce_id.hex().upper(),
        "tcbType": 0,
        "tcbEvaluationDataNumber": edition.number,
        "tcbLevels": [_level_v3(level) if version == 3 else _level_v2(level) for level in levels],
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
        "tcbLevels": [
            {"tcb": {"isvsvn": level.isv_svn}, **_verdict(level, advisories=True)} for level in edition.qe_levels
        ],
    }


def compact(value: object) -> bytes:
    """JSON as Intel's service writes it: no space between tokens."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def iso(time: UnixTime) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _level_v3(level: Level) -> JsonObject:
    tcb = {"sgxtcbcomponents": [{"svn": svn} for svn in level.components], "pcesvn": level.pce_svn}
    return {"tcb": tcb, **_verdict(level, advisories=True)}


def _level_v2(level: Level) -> JsonObject:
    tcb = {f"sgxtcbcomp{n:02}svn": svn for n, svn in enumerate(level.components, start=1)}
    return {"tcb": {**tcb, "pcesvn": level.pce_svn}, **_verdict(level, advisories=False)}


def _verdict(level: Level | QeLevel, *, advisories: bool) -> JsonObject:
    verdict: JsonObject = {"tcbDate": iso(level.date), "tcbStatus": level.status}
    if advisories and level.advisories:
        verdict["advisoryIDs"] = list(level.advisories)
    return verdict
