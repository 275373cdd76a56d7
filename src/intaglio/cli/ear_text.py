"""An attestation result for people: whose it is, its status, and what each of its claims means."""

from collections.abc import Mapping

from intaglio.cli.console import clean, field, line, moment, warn
from intaglio.cli.verdict_text import show_reason
from intaglio.reasons import Reason
from intaglio.session.results import Token
from intaglio.wire.ear import Appraisal, Claim, Tier

__all__ = ["meaning", "show_refusal", "show_token"]

_STYLES = {
    Tier.NONE: "bold yellow",
    Tier.AFFIRMING: "bold green",
    Tier.WARNING: "bold yellow",
    Tier.CONTRAINDICATED: "bold red",
}
_EVERYWHERE = {
    -1: "the verifier failed",
    0: "no assertion",
    1: "it holds what the verifier can't evaluate",
    99: "cryptographic validation of the evidence failed",
}
_MEANINGS: Mapping[Claim, Mapping[int, str]] = {
    Claim.INSTANCE_IDENTITY: {
        2: "recognised, and not known to be compromised",
        96: "recognised, and not trustworthy",
        97: "not recognised, though it should be",
    },
    Claim.CONFIGURATION: {
        2: "known and approved",
        3: "no known vulnerabilities",
        32: "known vulnerabilities",
        36: "parts that matter are not visible to the verifier",
        96: "unacceptable vulnerabilities",
    },
    Claim.EXECUTABLES: {
        2: "only approved code, at boot and after",
        3: "only approved code at boot",
        32: "only known code, some of it with known bugs",
        33: "code that is not recognised",
        96: "code that must not be there",
    },
    Claim.FILE_SYSTEM: {
        2: "only approved files",
        32: "files that are not recognised",
        96: "files that must not be there",
    },
    Claim.HARDWARE: {
        2: "genuine",
        32: "genuine, with known vulnerabilities",
        96: "recognised, and not trustworthy",
        97: "not recognised, though it should be",
    },
    Claim.RUNTIME_OPAQUE: {
        2: "encrypted, and closed to the operating system and its operator",
        32: "isolated from others, but not from the operator",
        96: "visible on the host",
    },
    Claim.STORAGE_OPAQUE: {
        2: "encrypted under keys of the hardware",
        32: "encrypted, under keys that the hardware does not hold",
        96: "secrets are stored unencrypted",
    },
    Claim.SOURCED_DATA: {2: "from affirmed sources", 32: "from sources that nobody attested", 96: "from bad sources"},
}
_SHOWN = ("decision", "workload", "reasons", "tcb_status", "advisory_ids", "simulated")


def meaning(claim: Claim, value: int) -> str:
    """In words; the tier where AR4SI names no such value."""
    return _MEANINGS[claim].get(value) or _EVERYWHERE.get(value) or f"{Tier.of(value).label}, by a rule of its verifier"


def show_token(source: str, token: Token, *, checked: bool, now: int) -> None:
    ear = token.ear
    made = "signed by the pinned data centre" if checked else "NOT CHECKED: nothing says who made it; --pin does"
    line(clean(f"{source}: attestation result ({token.form.value.upper()}), {made}"), "" if checked else "bold yellow")
    line()
    line(ear.status.label.upper(), style=_STYLES[ear.status])
    field("issued by", ear.issuer, indent=2)
    field("issued at", moment(ear.issued_at), indent=2)
    field("expires", None if ear.expires is None else moment(ear.expires), indent=2)
    field("verifier", f"{ear.verifier.developer}, {ear.verifier.build}", indent=2)
    field("key", f"{token.key or '-'} ({token.algorithm})", indent=2)
    for label, each in ear.appraisals.items():
        line()
        _show_appraisal(label, each)
    if ear.expires is not None and ear.expires <= now:
        warn("it has expired, and must not be relied on")


def show_refusal(source: str, reason: Reason) -> None:
    line(clean(f"{source}: REFUSED"), style="bold red")
    line()
    show_reason(reason)


def _show_appraisal(label: str, appraisal: Appraisal) -> None:
    line(clean(f"{label}: {appraisal.status.label}"), style=_STYLES[appraisal.status])
    for claim, value in sorted(appraisal.vector.items()):
        field(claim.label, f"{value:3}  {Tier.of(value).label}: {meaning(claim, value)}", indent=2)
    field("policy", appraisal.policy_ids, indent=2)
    for name in _SHOWN:
        if name in appraisal.policy_claims:
            field(name.replace("_", " "), appraisal.policy_claims[name], indent=2)
    if appraisal.nonce is not None:
        field("nonce of evidence", appraisal.nonce, indent=2)
    identity = appraisal.annotated_evidence.get("identity")
    for name, value in identity.items() if isinstance(identity, dict) else ():
        if isinstance(value, str | int) and name != "report_data" and str(value).strip("0"):
            field(str(name), value, indent=4, width=34)
