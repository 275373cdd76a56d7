"""Which TEE is this process in? Asks every interface known here, or the one that is named.

An interface that is there and does not work is not passed over in silence: if none works, each says why.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from intaglio.attest import configfs_tsm, gramine, nsm, sev_guest, tdx_guest
from intaglio.attest.base import Attester
from intaglio.attest.configfs_tsm import ConfigfsTsm
from intaglio.attest.errors import CannotAttest, Problem, WrongEvidence
from intaglio.attest.gramine import GramineAttester
from intaglio.attest.image import ImageFolder
from intaglio.attest.nsm import NsmAttester
from intaglio.attest.sev_guest import SevGuest
from intaglio.attest.snp import SnpAttester
from intaglio.attest.system import KERNEL, System
from intaglio.attest.tdx import TdxAttester
from intaglio.attest.tdx_guest import TdxGuest
from intaglio.types import Tee

__all__ = ["INTERFACES", "Interface", "find_attester"]


@dataclass(frozen=True, slots=True)
class Interface:
    """How a kind of TEE shows itself to the process inside. `open` raises `CannotAttest`, `WrongEvidence`."""

    path: str
    tee: str
    open: Callable[[System, str, int | None], Attester]


def _gramine(system: System, folder: str, vmpl: int | None) -> Attester:  # noqa: ARG001 - SEV-SNP's
    return GramineAttester(folder, system)


def _configfs_tsm(system: System, folder: str, vmpl: int | None) -> Attester:
    tsm, image = ConfigfsTsm(system, vmpl), ImageFolder(system, folder)
    if tsm.provider() is Tee.TDX:
        device = TdxGuest(system) if system.exists(tdx_guest.DEVICE) else None
        return TdxAttester(lambda data: tsm.report(data).outblob, configfs_tsm.FOLDER, image, device)
    keys = SevGuest(system) if system.exists(sev_guest.DEVICE) else None
    return SnpAttester(lambda data: tsm.report(data).outblob, configfs_tsm.FOLDER, keys, image)


def _sev_guest(system: System, folder: str, vmpl: int | None) -> Attester:
    device = SevGuest(system, vmpl or 0)
    return SnpAttester(device.report, sev_guest.DEVICE, device, ImageFolder(system, folder))


def _tdx_guest(system: System, folder: str, vmpl: int | None) -> Attester:  # noqa: ARG001 - SEV-SNP's
    device = TdxGuest(system)
    return TdxAttester(device.quote, tdx_guest.DEVICE, ImageFolder(system, folder), device)


def _nsm(system: System, folder: str, vmpl: int | None) -> Attester:  # noqa: ARG001 - SEV-SNP's
    return NsmAttester(folder, system)


INTERFACES: Final[Mapping[str, Interface]] = {
    "gramine": Interface(gramine.FOLDER, "Intel SGX under Gramine", _gramine),
    "nsm": Interface(nsm.DEVICE, "AWS Nitro Enclaves", _nsm),
    "configfs-tsm": Interface(configfs_tsm.FOLDER, "Intel TDX or AMD SEV-SNP (configfs-tsm)", _configfs_tsm),
    "sev-guest": Interface(sev_guest.DEVICE, "AMD SEV-SNP (sev-guest)", _sev_guest),
    "tdx-guest": Interface(tdx_guest.DEVICE, "Intel TDX (tdx_guest)", _tdx_guest),
}
"""By the names that `--attester` takes, in the order in which they are tried."""


def find_attester(
    folder: str, name: str | None = None, *, vmpl: int | None = None, system: System = KERNEL
) -> Attester:
    """The attester of the TEE that this process is in: of the interface `name`, or the first that works.

    `folder`: where the script lies. `vmpl`: what an SEV-SNP report shall state. Raises `CannotAttest`, `WrongEvidence`.
    """
    if name is not None:
        return INTERFACES[name].open(system, folder, vmpl)
    problems: list[CannotAttest | WrongEvidence] = []
    for interface in INTERFACES.values():
        if system.exists(interface.path):
            try:
                return interface.open(system, folder, vmpl)
            except (CannotAttest, WrongEvidence) as error:
                problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        told = "\n  ".join(map(str, problems))
        raise CannotAttest("TEE", Problem.UNCONFIGURED, "no interface that is here works", f"each says why:\n  {told}")
    looked = "; ".join(f"{each.path} ({each.tee})" for each in INTERFACES.values())
    raise CannotAttest(
        "TEE", Problem.MISSING, "not inside a TEE, so no evidence can be made",
        f"looked for: {looked}; without such hardware, use the simulator: python -m intaglio.sim.run",
    )  # fmt: skip
