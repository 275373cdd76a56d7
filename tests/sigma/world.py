"""Both sides of Sigma in one process: the simulator's real quotes, the real verifier and a policy."""

import os
from dataclasses import dataclass
from functools import lru_cache

from intaglio.sigma.curve import ProviderKey
from intaglio.sigma.enclave import EnclaveSigma, SigmaChannel
from intaglio.sigma.messages import Msg1, Msg3, SigmaResult
from intaglio.sigma.provider import ProviderSigma, SigmaAccepted
from intaglio.sim.attester import SimulatedAttester
from intaglio.sim.cpu import LaunchOptions
from intaglio.sim.draft import launch
from intaglio.sim.world import Lab
from intaglio.types import UnixTime
from intaglio.verify.evidence import Verifier
from intaglio.verify.policy import Policy
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Verdict
from intaglio.wire.collateral import DcapCollateral
from tests.gateway.world import IMAGE, NOON, POLICY

RESULT = SigmaResult(UnixTime(NOON + 3600), NOON, "meter")


@dataclass(frozen=True, slots=True)
class Party:
    """A lab, what verifies in it, and the provider that enclaves pin."""

    lab: Lab
    verifier: Verifier
    policy: Policy
    collateral: DcapCollateral
    key: ProviderKey

    def enclave(self, *, provider: bytes | None = None) -> EnclaveSigma:
        return EnclaveSigma(provider or self.key.public, os.urandom)

    def provider(self) -> ProviderSigma:
        return ProviderSigma(self.key, os.urandom)

    def attester(self, *, debug: bool = False) -> SimulatedAttester:
        machine = self.lab.machine()
        return SimulatedAttester(machine, launch(self.lab, machine, IMAGE, NOON, None, LaunchOptions(debug=debug)))

    def opened(self) -> tuple[EnclaveSigma, ProviderSigma]:
        """Both sides once msg3 was opened."""
        enclave, provider = self.enclave(), self.provider()
        msg2 = provider.answer(Msg1.parse(enclave.msg1()))
        provider.open(Msg3.parse(enclave.msg3(msg2, self.attester().evidence)))
        return enclave, provider

    def verdict(self, provider: ProviderSigma, report_data: bytes | None = None) -> Verdict:
        genuine = self.verifier.verify(provider.evidence, self.collateral, NOON)
        return self.policy.appraise(genuine, report_data=report_data or provider.report_data, pin_hash=bytes(32))

    def established(self) -> tuple[SigmaChannel, SigmaAccepted]:
        enclave, provider = self.opened()
        accepted = provider.accept(self.verdict(provider), RESULT)
        return enclave.msg4(accepted.msg4), accepted


@lru_cache(1)
def party() -> Party:
    lab = Lab.create(None, NOON)
    return Party(
        lab,
        Verifier(Roots.lab(lab.root_pem.encode())),
        Policy.parse(POLICY.format(measurement=IMAGE.mr_enclave().hex())),
        DcapCollateral.parse_json(lab.collateral("alpha", NOON)),
        ProviderKey(0xC0FFEE),
    )
