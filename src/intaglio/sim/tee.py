"""`python -m intaglio.sim.tee SCRIPT --tee TEE --lab DIR --fd N`: what `python -m intaglio.enclave` does inside a TEE,
with that TEE's devices in software.

Nothing of the enclave's side is replaced: the same program finds the same interfaces, through `SimulatedKernel` in
place of the system's calls. The lab's authorities sign what the devices give out, so a gateway believes it only with
`--lab`.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from errno import EACCES
from hashlib import sha384
from pathlib import Path
from typing import Final

from intaglio.enclave import __main__ as enclave
from intaglio.enclave.runner import abandoned
from intaglio.errors import IntaglioError
from intaglio.sim import vendors
from intaglio.sim.attester import SimulatedAttester
from intaglio.sim.devices.configfs import ConfigfsTsmDevice, Made, Provider
from intaglio.sim.devices.gramine import GramineDevice
from intaglio.sim.devices.kernel import SimulatedKernel
from intaglio.sim.devices.nsm import NsmDevice
from intaglio.sim.devices.sev_guest import SevGuestDevice
from intaglio.sim.devices.tdx_guest import QuoteService, TdxGuestDevice
from intaglio.sim.loader import image_of
from intaglio.sim.measure import Image
from intaglio.sim.run import load
from intaglio.sim.td import TdDraft
from intaglio.sim.world import Lab
from intaglio.types import Measurement, ReportData, Tee, UnixTime
from intaglio.wire.snp import SnpReport
from intaglio.wire.tdx import TdBody

__all__ = ["TEES", "image_digest", "machine", "main"]

_REFUSED = 1
_CONFIGFS, _GRAMINE = "/sys/kernel/config/tsm/report", "/dev/attestation"
_HOST, _QUOTING_PORT = 2, 4050


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the enclave until its pipe closes; returns its exit status, or 1 where the lab has no such machine."""
    options = _parser().parse_args(arguments)
    try:
        system = machine(Tee(options.tee), options.script, options.lab, options.platform)
    except (IntaglioError, OSError, ValueError) as error:
        if not abandoned(options.fd):
            sys.stderr.write(f"intaglio.sim.tee: {error}\n")
        return _REFUSED
    return enclave.run(options, system)


def machine(tee: Tee, script: Path, lab: Path, platform: str = "alpha") -> SimulatedKernel:
    """A machine of this kind whose measured file system holds the image of `script`, and nothing else.

    Raises FileNotFoundError for what the lab has not got, `Malformed`, ValueError and `SgxFault` as `sim.run.load`.
    """
    kernel = SimulatedKernel()
    image = image_of(script)
    files = {file.name: file.content for file in image.files}
    kernel.mount_files(str(script.absolute().parent), files, absent=EACCES)
    TEES[tee](kernel, image, script, lab, platform)
    return kernel


def image_digest(image: Image) -> Measurement:
    """SHA-384 over names, sizes and contents: what stands for the image in RTMR2, in an SNP measurement and in PCR0."""
    digest = sha384(image.manifest)
    for file in image.files:
        digest.update(file.content)
    return Measurement(digest.digest())


def _sgx(kernel: SimulatedKernel, image: Image, script: Path, lab: Path, platform: str) -> None:  # noqa: ARG001
    inside: SimulatedAttester = load(script, lab=lab, platform=platform, now=_now())
    kernel.mount(_GRAMINE, GramineDevice(inside))


def _tdx(kernel: SimulatedKernel, image: Image, script: Path, lab: Path, platform: str) -> None:  # noqa: ARG001
    world, initial_files = Lab.open(lab), image_digest(image)

    def quote(report_data: bytes) -> bytes:
        draft = TdDraft.of(
            world, _now(), version=4, body_type=TdBody.TDX_1_0, platform=platform, report_data=ReportData(report_data)
        )
        draft.change(rtmr2=initial_files)
        return draft.build().quote

    provider = Provider("tdx_guest", lambda data, _: Made(quote(data)))
    kernel.mount(_CONFIGFS, ConfigfsTsmDevice(provider))
    kernel.mount("/dev/tdx_guest", TdxGuestDevice())
    kernel.mount_files("/etc", {"tdx-attest.conf": f"port={_QUOTING_PORT}\n".encode("ascii")})
    kernel.services[_HOST, _QUOTING_PORT] = QuoteService(quote)


def _snp(kernel: SimulatedKernel, image: Image, script: Path, lab: Path, platform: str) -> None:  # noqa: ARG001
    chip, measurement = vendors.amd(lab), image_digest(image)

    def report(report_data: bytes, vmpl: int) -> bytes:
        return chip.report(_now(), report_data, measurement, vmpl)

    provider = Provider("sev_guest", lambda data, vmpl: Made(report(data, vmpl)))
    kernel.mount(_CONFIGFS, ConfigfsTsmDevice(provider))
    kernel.mount("/dev/sev-guest", SevGuestDevice(report, SnpReport.parse(report(bytes(64), 0))))


def _nitro(kernel: SimulatedKernel, image: Image, script: Path, lab: Path, platform: str) -> None:  # noqa: ARG001
    hypervisor, pcr0 = vendors.aws(lab), image_digest(image)
    kernel.mount("/dev/nsm", NsmDevice(lambda data: hypervisor.document(_now(), data, pcr0)))


TEES: Final[Mapping[Tee, Callable[[SimulatedKernel, Image, Path, Path, str], None]]] = {
    Tee.SGX: _sgx, Tee.TDX: _tdx, Tee.SNP: _snp, Tee.NITRO: _nitro,
}  # fmt: skip
"""What each kind of machine has."""


def _now() -> UnixTime:
    return UnixTime(int(time.time()))


def _parser() -> argparse.ArgumentParser:
    parser = enclave.parser("python -m intaglio.sim.tee")
    parser.add_argument("--tee", required=True, choices=[tee.value for tee in TEES], help="the kind of machine")
    parser.add_argument("--lab", type=Path, required=True, help="the lab's folder")
    parser.add_argument("--platform", default="alpha", help="an Intel platform's name (default: alpha)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
