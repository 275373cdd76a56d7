"""The verifier inside an enclave: judged by what the pinned data centre stated, and by nothing the host says."""

import hashlib
import subprocess
import sys

import pytest

from intaglio.enclave.peers import PeerJudge
from intaglio.errors import LocalProtocolError, Malformed
from intaglio.reasons import Reason
from intaglio.session.statements import make_statement
from intaglio.sim.cpu import LaunchOptions
from intaglio.sim.draft import launch
from intaglio.sim.measure import Image, TrustedFile
from intaglio.sim.signing import EnclaveTerms, signer_of
from intaglio.sim.world import Lab
from intaglio.types import ReportData, Tee, UnixTime
from intaglio.verify.policy import PolicyError
from intaglio.verify.roots import Roots
from intaglio.verify.verdict import Decision
from intaglio.wire.identity import Pin, Suite
from intaglio.wire.sgx import AttributeFlag
from intaglio.wire.statement import Statement, StatementBody
from tests.conftest import ROOT
from tests.session.world import AUDIENCE, NOON, FixedDraw, certified, keys, pin_of, refused

DAY = 86_400
PIN = pin_of(Suite.ED25519)
REPORT_DATA = ReportData(hashlib.sha512(b"offer").digest())
PEER = 7
POLICY = """
[[accept]]
name = "hospital"
tee = "sgx"
mr_signer = ["{signer}"]
isv_prod_id = 7
min_isv_svn = 2
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


@pytest.fixture(scope="module")
def drawn() -> Lab:
    return Lab.create(None, NOON)


@pytest.fixture
def lab(drawn: Lab) -> Lab:
    return drawn.copy()


def evidence(lab: Lab, *, pin: Pin = PIN, product: int = PEER, debug: bool = False) -> bytes:
    machine, image = lab.machine(), Image((TrustedFile("count.py", b"# the peer"),))
    terms = EnclaveTerms(isv_prod_id=product, isv_svn=2, flags=AttributeFlag.MODE64 | AttributeFlag.KSS)
    options = LaunchOptions(debug=debug, config_id=pin.hash + bytes(32))
    return machine.quote(launch(lab, machine, image, NOON, terms, options), REPORT_DATA)


def policy(lab: Lab) -> str:
    return POLICY.format(signer=signer_of(lab.vendor).hex())


def judging(lab: Lab, *, nonces: str = "judge", **epochs: int) -> PeerJudge:
    return PeerJudge(PIN, Roots.lab(lab.root_pem.encode()), policy(lab), FixedDraw(nonces), **epochs)


def stated(lab: Lab, nonce: bytes, *, at: UnixTime = NOON, epoch: int = 7, collateral: bool = True) -> bytes:
    found = lab.collateral("alpha", at) if collateral else None
    return make_statement(
        certified(Suite.ED25519), audience=AUDIENCE, nonce=nonce, epoch=epoch, at=at, collateral=found
    )


def prepared(lab: Lab, at: UnixTime = NOON) -> PeerJudge:
    judge = judging(lab)
    assert judge.statement(stated(lab, judge.nonce(), at=at)) == at
    return judge


def test_a_peer_that_the_policy_names_is_accepted_as_of_the_stated_time(lab: Lab) -> None:
    later = UnixTime(NOON + 3 * DAY)
    judge = prepared(lab, later)
    verdict = judge(Tee.SGX, evidence(lab))
    assert (verdict.decision, verdict.workload, verdict.at) == (Decision.ACCEPTED, "hospital", later)
    assert judge.ends(verdict) == later + 3600


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pin": pin_of(Suite.ED25519, "another data centre")}, Reason.WRONG_PIN),
        ({"product": 8}, Reason.WRONG_PRODUCT),
        ({"debug": True}, Reason.DEBUG_ENCLAVE),
    ],
    ids=["pin", "product", "debug"],
)
def test_a_peer_that_the_policy_does_not_name_is_rejected(lab: Lab, changes: dict[str, object], reason: Reason) -> None:
    judge = prepared(lab)
    verdict = judge(Tee.SGX, evidence(lab, **changes))  # type: ignore[arg-type]
    assert (verdict.decision, verdict.reasons) == (Decision.REJECTED, (reason,))
    with pytest.raises(LocalProtocolError, match="not accepted"):
        judge.ends(verdict)


def test_a_platform_that_was_revoked_before_the_statement_is_rejected(lab: Lab) -> None:
    quote = evidence(lab)
    lab.revoke_pck("alpha")
    verdict = prepared(lab)(Tee.SGX, quote)
    assert (verdict.decision, verdict.reasons) == (Decision.REJECTED, (Reason.CERTIFICATE_REVOKED,))


def test_evidence_of_an_unknown_root_is_rejected(lab: Lab) -> None:
    stranger = Lab.create(None, NOON, vendor=lab.vendor)
    judge = judging(lab)
    judge.statement(stated(stranger, judge.nonce()))
    verdict = judge(Tee.SGX, evidence(stranger))
    assert verdict.decision is not Decision.ACCEPTED
    assert Reason.ROOT_UNTRUSTED in verdict.reasons


def test_the_time_alone_judges_nothing_that_needs_collateral(lab: Lab) -> None:
    judge = judging(lab)
    judge.statement(stated(lab, judge.nonce(), collateral=False))
    verdict = judge(Tee.SGX, evidence(lab))
    assert (verdict.decision, verdict.reasons) == (Decision.UNDECIDABLE, (Reason.COLLATERAL_MISSING,))


def test_without_a_statement_nothing_is_judged(lab: Lab) -> None:
    judge = judging(lab)
    with pytest.raises(LocalProtocolError, match="no nonce"):
        judge.statement(stated(lab, bytes(32)))
    judge.nonce()
    with pytest.raises(LocalProtocolError, match="no statement"):
        judge(Tee.SGX, evidence(lab))


def test_a_statement_judges_once(lab: Lab) -> None:
    judge, quote = prepared(lab), evidence(lab)
    assert judge(Tee.SGX, quote).decision is Decision.ACCEPTED
    with pytest.raises(LocalProtocolError, match="no statement"):
        judge(Tee.SGX, quote)


def test_a_replayed_statement_is_refused_and_the_true_one_still_taken(lab: Lab) -> None:
    judge = judging(lab)
    old = stated(lab, judge.nonce())
    judge.statement(old)
    new = judge.nonce()
    with refused(Reason.STATEMENT_REPLAYED):
        judge.statement(old)
    with pytest.raises(LocalProtocolError, match="no statement"):
        judge(Tee.SGX, evidence(lab))
    assert judge.statement(stated(lab, new)) == NOON


def test_another_enclaves_statement_is_refused(lab: Lab) -> None:
    judge, other = judging(lab), judging(lab, nonces="other")
    judge.nonce()
    with refused(Reason.STATEMENT_REPLAYED):
        judge.statement(stated(lab, other.nonce()))


def test_an_older_epoch_than_stated_before_is_refused(lab: Lab) -> None:
    judge = judging(lab)
    judge.statement(stated(lab, judge.nonce(), epoch=9))
    with refused(Reason.OFFER_TOO_OLD):
        judge.statement(stated(lab, judge.nonce(), epoch=8))
    assert judge.highest_epoch == 9


def test_an_identitys_statement_revokes_operational_keys(lab: Lab) -> None:
    judge = judging(lab)
    body = StatementBody(Suite.ED25519, AUDIENCE, judge.nonce(), 7, 6, NOON, None)
    judge.statement(Statement(keys("identity").sign(Suite.ED25519, "statement", body.encode()), None).encode())
    with refused(Reason.OFFER_TOO_OLD):
        judge.statement(stated(lab, judge.nonce()))
    assert judge.minimum_epoch == 6


def test_evidence_of_another_kind_than_the_peer_says_is_refused(lab: Lab) -> None:
    with refused(Reason.NO_WORKLOAD):
        prepared(lab)(Tee.TDX, evidence(lab))


def test_what_is_no_evidence_is_malformed(lab: Lab) -> None:
    with pytest.raises(Malformed, match="evidence"):
        prepared(lab)(Tee.SGX, b"no evidence")


def test_a_policy_that_names_no_data_centre_is_no_policy_for_peers(lab: Lab) -> None:
    loose = policy(lab).replace('pin = "config_id"', 'pin = "measured"\ndangerous_unpinned = true')
    with pytest.raises(PolicyError, match="dangerous_unpinned is not for peers"):
        PeerJudge(PIN, Roots.lab(lab.root_pem.encode()), loose, FixedDraw("judge"))


def test_the_example() -> None:
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / "hospitals.py"], capture_output=True, text=True, check=True, timeout=120
    )
    assert run.stdout.splitlines() == [
        "shared patients: south counts 2, north reads 2",
        "patients that the hosts saw: 0",
        "the same question again: OUT_OF_ORDER",
        "an earlier statement: STATEMENT_REPLAYED",
        "its own offer: OWN_OFFER",
        "a program of the host's: WRONG_SIGNER",
    ]
