"""One simulated platform: a processor, its registered PCK certificate, and its quoting enclave, ready to launch
enclaves.

A `PlatformRecord` is all that survives a restart; it holds the fuses, so its file is private. It needs no key
of the authority: a machine that runs enclaves can't issue certificates.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from intaglio.errors import Malformed
from intaglio.files import replace_private
from intaglio.sim.cpu import Enclave, LaunchOptions, Processor
from intaglio.sim.measure import Image
from intaglio.sim.pck import PckFacts
from intaglio.sim.pki import Ca
from intaglio.sim.quoting import Pce, QuotingEnclave
from intaglio.types import ReportData

__all__ = ["Machine", "PlatformRecord"]


@dataclass(frozen=True, slots=True)
class PlatformRecord:
    """`fuses` 32 bytes. `pck_chain` PEM, leaf first. `qe` and `pce` are the SIGSTRUCTs of the platform's enclaves."""

    name: str
    ca: Ca
    facts: PckFacts
    fuses: bytes = field(repr=False)
    pck_chain: str = field(repr=False)
    qe: bytes = field(repr=False)
    pce: bytes = field(repr=False)

    @property
    def fmspc(self) -> str:
        """Platform family, lower-case hexadecimal."""
        return self.facts.fmspc.hex()

    def save(self, path: Path) -> None:
        """Replaces `path` whole, mode 0600."""
        facts = self.facts
        value = {
            "name": self.name,
            "ca": self.ca,
            "fuses": self.fuses.hex(),
            "ppid": facts.ppid.hex(),
            "components": list(facts.components),
            "pce_svn": facts.pce_svn,
            "fmspc": facts.fmspc.hex(),
            "pce_id": facts.pce_id.hex(),
            "sgx_type": facts.sgx_type,
            "platform_instance": facts.platform_instance.hex() if facts.platform_instance else None,
            "flags": [facts.dynamic_platform, facts.cached_keys, facts.smt_enabled],
            "pck_chain": self.pck_chain,
            "qe": self.qe.hex(),
            "pce": self.pce.hex(),
        }
        replace_private(path, json.dumps(value, indent=1).encode("ascii"))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises FileNotFoundError, and `Malformed` for a file that `save` did not write."""
        data = path.read_bytes()
        try:
            return cls._from_json(json.loads(data))
        except (KeyError, TypeError, ValueError) as error:
            raise Malformed(path.name, f"not a platform's record ({type(error).__name__} {error})") from error

    @classmethod
    def _from_json(cls, value: Mapping[str, Any]) -> Self:
        instance = value["platform_instance"]
        dynamic, cached, smt = value["flags"]
        facts = PckFacts(
            ppid=bytes.fromhex(value["ppid"]),
            components=tuple(value["components"]),
            pce_svn=value["pce_svn"],
            fmspc=bytes.fromhex(value["fmspc"]),
            pce_id=bytes.fromhex(value["pce_id"]),
            sgx_type=value["sgx_type"],
            platform_instance=bytes.fromhex(instance) if instance else None,
            dynamic_platform=dynamic,
            cached_keys=cached,
            smt_enabled=smt,
        )
        return cls(
            name=value["name"],
            ca=value["ca"],
            facts=facts,
            fuses=bytes.fromhex(value["fuses"]),
            pck_chain=value["pck_chain"],
            qe=bytes.fromhex(value["qe"]),
            pce=bytes.fromhex(value["pce"]),
        )


@dataclass(frozen=True, slots=True)
class Machine:
    """A running platform."""

    record: PlatformRecord
    processor: Processor
    quoting: QuotingEnclave

    @classmethod
    def boot(cls, record: PlatformRecord) -> Self:
        """Launches the platform's PCE and QE. Raises `SgxFault` if the record was tampered with."""
        processor = Processor(record.fuses, record.facts.cpu_svn)
        pce = Pce.launch(processor, record.pce)
        return cls(record, processor, QuotingEnclave.launch(processor, record.qe, pce, record.pck_chain))

    def launch(self, image: Image, sigstruct: bytes, options: LaunchOptions | None = None) -> Enclave:
        """An application enclave. Raises `SgxFault`, `Malformed`."""
        return self.processor.launch(image, sigstruct, options)

    def quote(self, enclave: Enclave, report_data: ReportData) -> bytes:
        """EREPORT inside `enclave`, addressed to this machine's QE, and the quote over it."""
        return self.quoting.quote(enclave.report(self.quoting.target_info, report_data))
