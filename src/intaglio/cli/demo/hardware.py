"""The last act: a quote that real hardware made, where the collection of real evidence is on this machine."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import intaglio
from intaglio.cli.demo.model import ensure
from intaglio.types import UnixTime
from intaglio.verify.evidence import Verifier
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import TcbStatus, Verdict
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.dcap import Quote
from intaglio.wire.sgx import ReportBody

__all__ = ["HardwareResult", "verify_hardware"]

VARIABLE = "INTAGLIO_VECTORS"


@dataclass(frozen=True, slots=True)
class HardwareResult:
    """A genuine quote, and what became of it when one bit was flipped."""

    name: str
    verdict: Verdict
    flipped: Verdict

    def to_json(self) -> dict[str, object]:
        verdict = self.verdict.to_json()
        del verdict["checks"]
        return {
            "name": self.name,
            "verdict": verdict,
            "checks": len(self.verdict.checks),
            "flipped": {"genuine": self.flipped.genuine, "reasons": [reason.name for reason in self.flipped.reasons]},
        }


def verify_hardware() -> HardwareResult | None:
    """Judges one real quote with the collateral of its time, whole and with one bit flipped; None where there is none
    here. Raises `DemoFailed` if a verdict is not what it must be."""
    cases = _cases()
    verifier = Verifier(Roots.production())
    judged = [(case, _judge(verifier, case)) for case in cases]
    genuine = [(case, verdict) for case, verdict in judged if verdict.genuine]
    ensure(bool(genuine) or not cases, "none of the real quotes is genuine")
    if not genuine:
        return None
    # The best platform among them, and the newest of those: what most readers have.
    case, verdict = max(genuine, key=lambda pair: (pair[1].tcb_status is TcbStatus.UP_TO_DATE, pair[1].at, pair[0]))
    ensure(not verdict.simulated, "real evidence is called simulated")
    flipped = _judge(verifier, case, flip=True)
    ensure(flipped.genuine is False, "a quote with a flipped bit is still genuine")
    return HardwareResult(case.name, verdict, flipped)


def _cases() -> list[Path]:
    """Positive cases with collateral: beside the project, or where the environment says."""
    named = os.environ.get(VARIABLE)
    folder = Path(named) if named else Path(intaglio.__file__).resolve().parents[3] / "shared" / "vectors"
    found = (folder / "sgx").glob("*/collateral.json")
    return sorted(path.parent for path in found if not path.parent.name.startswith("NEG-"))


def _judge(verifier: Verifier, case: Path, *, flip: bool = False) -> Verdict:
    quote = (case / "quote.bin").read_bytes()
    at = UnixTime(int(json.loads((case / "case.json").read_bytes())["time"]))
    if flip:
        where = quote.index(_mr_enclave(quote))
        quote = quote[:where] + bytes((quote[where] ^ 1,)) + quote[where + 1 :]
    return verifier.verify(quote, DcapCollateral.parse_json((case / "collateral.json").read_bytes()), at)


def _mr_enclave(quote: bytes) -> bytes:
    body = Quote.parse(quote).body
    return body.mr_enclave if isinstance(body, ReportBody) else body.mr_td
