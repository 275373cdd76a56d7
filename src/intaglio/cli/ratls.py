"""`intaglio verify` for a certificate that carries evidence: the verdict, and whether it binds the key."""

from pathlib import Path

from intaglio.cli.collateral_files import choose, read_collateral_files
from intaglio.cli.console import clean, field, line, print_json
from intaglio.cli.failure import Exit
from intaglio.cli.verdict_facts import format_of
from intaglio.cli.verdict_text import show_reason, show_verdict
from intaglio.errors import Malformed
from intaglio.ratls.verify import Attested, RatlsVerifier, carried_evidence, carries_evidence
from intaglio.types import UnixTime
from intaglio.verify.evidence import Verifier, classify
from intaglio.verify.policy import Policy
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Decision

__all__ = ["carries_evidence", "verify_certificate"]


def verify_certificate(
    file: Path,
    data: bytes,
    collateral: list[Path],
    policy: Policy | None,
    pin_hash: bytes | None,
    roots: Roots,
    at: UnixTime,
    *,
    explain: bool,
    json: bool,
) -> Exit:
    """Prints the result. Raises `Malformed` and `Rejected` as `RatlsVerifier.verify`."""
    evidence = carried_evidence(data)
    chosen = choose(read_collateral_files(collateral), evidence, at)
    attested = RatlsVerifier(Verifier(roots)).verify(data, chosen.collateral if chosen else None, at)
    if policy is not None:
        attested = attested.appraise(policy, pin_hash=pin_hash)
    kind = _kind(evidence)
    if json:
        source = str(chosen.path) if chosen else None
        certificate = attested.to_json()
        print_json({**attested.verdict.to_json(), "kind": kind, "collateral": source, "certificate": certificate})
    else:
        if not attested.bound:
            line(f"{file}: NOT BOUND: the evidence does not vouch for this certificate", style="bold red")
        what = format_of(kind, evidence) if kind else None
        source = f"{file} ({attested.form} certificate, {len(evidence):,} bytes of evidence)"
        show_verdict(attested.verdict, what=what, source=source, explain=explain)
        _show(attested)
    return _status(attested)


def _show(attested: Attested) -> None:
    line()
    if attested.bound:
        line("  ok       the evidence binds the certificate's key", style="green")
    else:
        line("  FAILED   the evidence does not vouch for this certificate", style="bold red")
    for check in attested.checks:
        field(f"{check.number} {check.name}", f"{check.outcome.value}  {clean(check.found)}", indent=4, width=34)
    line("  It says nothing about who is at the other end of a connection, nor that it is fresh: docs/ratls.md")
    for reason in attested.reasons:
        line()
        show_reason(reason)


def _kind(evidence: bytes) -> str | None:
    try:
        return classify(evidence)[1].value
    except Malformed:
        return None


def _status(attested: Attested) -> Exit:
    if attested.genuine is None:
        return Exit.UNDECIDABLE
    decision = attested.verdict.decision
    if not attested.genuine or decision is Decision.REJECTED:
        return Exit.FAILED
    return Exit.UNDECIDABLE if decision is Decision.UNDECIDABLE else Exit.OK
