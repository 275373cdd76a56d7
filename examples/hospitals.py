"""Two hospitals count the patients they share, and neither they nor their hosts see each other's lists.

    python hospitals.py

Each hospital runs the same program in an enclave on a machine of its own (both are simulated). The enclaves attest
each other by quotes and judge them inside; the time and the collateral come from a data centre that both pin, signed in
answer to a nonce. `Hospital` is what runs inside; everything in `main` is a host's, which carries bytes and may keep,
swap and repeat them. Then the hosts try what hosts try. docs/peers.md explains the steps.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import urandom
from pathlib import Path
from tempfile import TemporaryDirectory

from intaglio.collateral.source import DirectorySource
from intaglio.enclave.peers import PeerJudge
from intaglio.errors import Rejected
from intaglio.gateway.config import Settings
from intaglio.gateway.keystore import Keystore
from intaglio.gateway.sealed_file import KeyFile
from intaglio.gateway.server import running
from intaglio.host.data_centre import DataCentre
from intaglio.session.peer import PeerInitiator, PeerResponder
from intaglio.session.peer_channel import PeerChannel
from intaglio.sim.attester import SimulatedAttester
from intaglio.sim.cpu import LaunchOptions
from intaglio.sim.measure import Image, TrustedFile
from intaglio.sim.signing import EnclaveTerms, generate_vendor_key, sign_enclave, signer_of
from intaglio.sim.world import Lab, PlatformPlan
from intaglio.types import ReportData, UnixTime
from intaglio.verify.roots import Roots
from intaglio.wire.content import Record
from intaglio.wire.identity import Pin, Suite
from intaglio.wire.peer import PeerOffer
from intaglio.wire.sgx import AttributeFlag

NOW = UnixTime(int(time.time()))
POLICY = """
[[accept]]
name = "hospital"
tee = "sgx"
mr_signer = ["{signer}"]
isv_prod_id = 7
min_isv_svn = 1
tcb = ["UpToDate"]
advisories = []
min_tcb_evaluation_number = 1
debug = false
platforms = "any"
max_session_age = "1h"
max_offer_age = "1h"
heartbeat = "none"
pin = "config_id"
"""
TERMS = EnclaveTerms(isv_prod_id=7, flags=AttributeFlag.MODE64 | AttributeFlag.KSS)
NORTH = ["A-1001", "A-1002", "A-1003", "A-1004"]
SOUTH = ["A-1003", "A-1004", "A-1005"]


class Hospital:
    """Inside an enclave: the patients stay in its memory, and one number leaves."""

    def __init__(self, attester: SimulatedAttester, pin: Pin, patients: list[str]) -> None:
        if attester.config_id[:32] != pin.hash:
            raise ValueError("the host brought a dc.pub that was not measured")
        roots = Roots.lab(attester.trusted_file("root.pem"))
        self.judge = PeerJudge(pin, roots, attester.trusted_file("policy.toml"), urandom)
        self.quoted = b""  # the host makes quotes, so it has them
        self._patients = patients
        self._attester = attester
        self._own: set[bytes] = set()
        self._caller = PeerInitiator(pin, attester.tee, self.judge, self._quote, urandom, own_offers=self._own)
        self._called = PeerResponder(pin, attester.tee, self.judge, self._quote, urandom)
        self._channel: PeerChannel | None = None

    def offer(self) -> bytes:
        offer = self._called.offer()
        self._own.add(PeerOffer.hash(offer))
        return offer

    def hello(self, offer: bytes) -> bytes:
        return self._caller.hello(offer)

    def welcome(self, hello: bytes) -> bytes:
        accept, self._channel = self._called.accept(hello)
        return accept

    def question(self, accept: bytes) -> bytes:
        """Our patients, for the other enclave alone: the policy says that it gives out nothing but their number."""
        self._channel = self._caller.accept(accept)
        return self._channel.protect([Record("patients", "application/json", json.dumps(self._patients).encode())])

    def answer(self, question: bytes) -> tuple[int, bytes]:
        shared = len(set(self._patients) & set(json.loads(self._read(question))))
        return shared, self._open_channel.protect([Record("shared", "application/json", json.dumps(shared).encode())])

    def result(self, answer: bytes) -> int:
        return int(json.loads(self._read(answer)))

    def _read(self, frame: bytes) -> bytes:
        body = self._open_channel.open(frame).body
        if not isinstance(body, tuple):
            raise ValueError("no records in this frame")  # noqa: TRY004  # the peer chose it
        return body[0].value

    @property
    def _open_channel(self) -> PeerChannel:
        if self._channel is None:
            raise ValueError("no session yet")
        return self._channel

    def _quote(self, report_data: ReportData) -> bytes:
        self.quoted = self._attester.evidence(report_data)
        return self.quoted


@contextmanager
def data_centre(lab: Lab, folder: Path) -> Iterator[tuple[DataCentre, Pin]]:
    """What both hospitals pin. It has its own policy for its own enclaves, and judges none of these."""
    secret = KeyFile.create(folder / "keystore.key")
    pin = Keystore.create(folder / "keystore", "hospitals.example", Suite.ED25519, secret)
    (folder / "policy.toml").write_text(policy(lab))
    (folder / "root.pem").write_text(lab.root_pem)
    (folder / "collateral").mkdir()
    (folder / "collateral" / "family.json").write_bytes(lab.collateral("north", NOW))
    settings = Settings(
        folder=folder / "data",
        keystore=folder / "keystore",
        secret=secret,
        policy=folder / "policy.toml",
        collateral=(DirectorySource(folder / "collateral"),),
        port=0,
        lab_roots=(folder / "root.pem",),
    )
    with running(settings) as url:
        client = DataCentre(url)
        yield client, pin
        client.close()


def policy(lab: Lab) -> str:
    return POLICY.format(signer=signer_of(lab.vendor).hex())


def hospital(lab: Lab, platform: str, pin: Pin, patients: list[str], program: bytes = b"# hospital.py") -> Hospital:
    """Launched by its host. A host can launch a program of its own, but the vendor did not sign that."""
    files = {"hospital.py": program, "policy.toml": policy(lab).encode(), "root.pem": lab.root_pem.encode()}
    image = Image(tuple(TrustedFile(name, content) for name, content in files.items()))
    vendor = lab.vendor if program == b"# hospital.py" else generate_vendor_key()
    signed = sign_enclave(vendor, image.mr_enclave(), TERMS, now=NOW)
    machine = lab.machine(platform)
    options = LaunchOptions(config_id=pin.hash + bytes(32))
    return Hospital(SimulatedAttester(machine, machine.launch(image, signed.encode(), options)), pin, patients)


def refused(what: str, attempt: Callable[[], object]) -> None:
    try:
        attempt()
    except Rejected as error:
        print(f"{what}: {error.reason.name}")
    else:
        raise SystemExit(f"{what}: went through")


def main() -> None:
    lab = Lab.create(None, NOW, platforms=(PlatformPlan("north"), PlatformPlan("south")))
    with TemporaryDirectory() as folder, data_centre(lab, Path(folder)) as (centre, pin):
        north, south = hospital(lab, "north", pin, NORTH), hospital(lab, "south", pin, SOUTH)

        offer = south.offer()
        # Each host asks about what it can see: south's quote is in its offer, north's was made on north's machine.
        north.judge.statement(centre.statement(north.judge.nonce(), PeerOffer.parse(offer).evidence))
        hello = north.hello(offer)
        statement = centre.statement(south.judge.nonce(), north.quoted)
        south.judge.statement(statement)
        accept = south.welcome(hello)
        question = north.question(accept)
        counted, answer = south.answer(question)
        print(f"shared patients: south counts {counted}, north reads {north.result(answer)}")

        carried = offer + hello + accept + question + answer
        print(f"patients that the hosts saw: {sum(each.encode() in carried for each in NORTH + SOUTH)}")

        refused("the same question again", lambda: south.answer(question))
        again = hospital(lab, "south", pin, SOUTH)
        again.judge.nonce()
        refused("an earlier statement", lambda: again.judge.statement(statement))
        refused("its own offer", lambda: again.hello(again.offer()))
        spy = hospital(lab, "south", pin, [], b"# prints what it is told")
        caller = hospital(lab, "north", pin, NORTH)
        offer = spy.offer()
        caller.judge.statement(centre.statement(caller.judge.nonce(), PeerOffer.parse(offer).evidence))
        refused("a program of the host's", lambda: caller.hello(offer))


if __name__ == "__main__":
    main()
