"""What a verdict says in facts: when it holds, how current the platform is, which machine it was, and what runs there.

Every kind of identity shows its own names; of each TEE the ones by which people know their software stand first.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from intaglio.cli.console import moment
from intaglio.types import Tee
from intaglio.verify.verdict import Identity, Platform, TcbStatus, Verdict

__all__ = ["Fact", "advisories", "format_of", "identity_facts", "platform_facts", "time_facts"]


class Fact(NamedTuple):
    """A line: what it is called, and what it is."""

    name: str
    value: str


_IDENTITY: Mapping[Tee, Mapping[str, str]] = {
    Tee.SGX: {
        "mr_enclave": "MRENCLAVE",
        "mr_signer": "MRSIGNER",
        "isv_prod_id": "product",
        "isv_svn": "SVN",
    },
    Tee.TDX: {
        "mr_td": "MRTD",
        "rtmr0": "RTMR0",
        "rtmr1": "RTMR1",
        "rtmr2": "RTMR2",
        "rtmr3": "RTMR3",
        "mr_config_id": "MRCONFIGID",
        "mr_owner": "MROWNER",
        "mr_owner_config": "MROWNERCONFIG",
        "attributes_set": "TD attributes",
    },
    Tee.SNP: {
        "measurement": "measurement",
        "product": "processor",
        "version": "report version",
        "reported_tcb": "TCB ",
        "guest_svn": "guest SVN",
        "vmpl": "VMPL",
        "host_data": "HOST_DATA",
        "id_key_digest": "ID key",
    },
    Tee.NITRO: {
        "module_id": "module",
        "pcrs": "PCR",
        "user_data": "user data",
    },
}
_TCB: Mapping[TcbStatus, str] = {
    TcbStatus.UP_TO_DATE: "nothing is known to be missing",
    TcbStatus.SW_HARDENING_NEEDED: "current, but software must mitigate what the advisories name",
    TcbStatus.CONFIGURATION_NEEDED: "current, but a setting of the platform leaves a known hole open",
    TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED: "current, but both a setting and software leave known holes open",
    TcbStatus.OUT_OF_DATE: "microcode or firmware are behind, and holes are known",
    TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED: "microcode or firmware are behind, and a setting leaves a hole open",
    TcbStatus.TD_RELAUNCH_ADVISED: "the platform is current, but this TD was launched before: launch it again",
    TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED: "launch the TD again, and change a setting of the platform",
    TcbStatus.REVOKED: "this level is known to be broken: believe nothing that it says",
    TcbStatus.NOT_SUPPORTED: "below every level that the vendor lists",
}
_MORE = 6
"""Facts of an identity none of whose names is known above."""
_SIGNIFICANT = ("mr_enclave", "mr_signer", "mr_td", "measurement", "pcrs")
"""Shown even where all their bits are zero: that says something of who it is."""
_FIRST_PCRS = ("0", "1", "2")
"""Those of the image itself, which are zero in debug mode only."""
_LONGEST = 128
"""Characters of a value: those of a SHA-512. --json has all of it."""
_PLATFORM = {
    "fmspc": "FMSPC",
    "ppid": "PPID",
    "platform_instance_id": "instance",
    "product": "product",
    "chip_id": "chip",
    "csp_id": "cloud",
    "module_id": "module",
}
_FLAGS = {"dynamic": "dynamic platform", "cached_keys": "cached keys", "smt": "SMT"}


def format_of(kind: str, evidence: bytes) -> str:
    """The kind of evidence and, where its first bytes say so, the version of its format."""
    versioned = kind.endswith(("quote", "SEV-SNP report"))
    return f"{kind}, version {int.from_bytes(evidence[:2], 'little')}" if versioned else kind


def time_facts(verdict: Verdict) -> Iterator[Fact]:
    yield Fact("judged as of", f"{moment(verdict.at)} ({verdict.at})")
    if verdict.genuine and verdict.valid_until is not None:
        yield Fact("holds until", moment(verdict.valid_until))
    if verdict.tcb_status is not None:
        since = f", TCB of {moment(verdict.tcb_date)[:10]}" if verdict.tcb_date is not None else ""
        yield Fact("TCB status", f"{verdict.tcb_status.value}{since}")
        yield Fact("which means", _TCB[verdict.tcb_status])
        yield Fact("advisories", advisories(verdict))
        if verdict.tcb_evaluation_number is not None:
            yield Fact("TCB evaluation", str(verdict.tcb_evaluation_number))


def platform_facts(platform: Platform) -> Iterator[Fact]:
    """Nothing where nothing is known of it."""
    known = platform.to_json()
    names = [f"{title} {known[name]}" for name, title in _PLATFORM.items() if known.get(name)]
    if names:
        yield Fact("platform", ", ".join(names))
    flags = [
        f"{title} {'yes' if known[name] else 'no'}" for name, title in _FLAGS.items() if known.get(name) is not None
    ]
    if flags:
        yield Fact("configuration", ", ".join(flags))


def identity_facts(tee: Tee, identity: Identity) -> Iterator[Fact]:
    """What runs there, by the names that its TEE gives it."""
    facts = identity.to_json()
    titles = {name: title for name, title in _IDENTITY[tee].items() if name in facts}
    if not titles:
        titles = {name: name for name in list(facts)[:_MORE] if name not in ("report_data", "debug")}
    for name, title in titles.items():
        yield from _facts(name, title, facts[name])
    yield Fact("debug", "YES: the host can read and change everything inside" if identity.debug else "no")


def advisories(verdict: Verdict) -> str:
    """Those that apply, in words; TCB info of version 2 can't name any, which is not the same as none."""
    if not verdict.advisories_stated:
        return "not stated (neither TCB info of version 2 nor an IAS report before version 4 names any)"
    return ", ".join(verdict.advisory_ids) or "none"


def _facts(name: str, title: str, value: object) -> Iterator[Fact]:
    match value:
        case dict():
            for key, each in value.items():
                if key in _FIRST_PCRS or not _blank(each):
                    yield from _facts(name, f"{title}{key}", each)
        case list() | tuple():
            yield Fact(title, ", ".join(map(str, value)) or "none")
        case None | "":
            pass
        case _:
            if name in _SIGNIFICANT or not _blank(value):
                text = str(value)
                yield Fact(title, text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)")


def _blank(value: object) -> bool:
    """A field of zeros that nobody used."""
    return isinstance(value, str) and len(value) >= 32 and not value.strip("0")
