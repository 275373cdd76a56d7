"""A lab in a folder: the same world in every process, private keys private, keys never overwritten."""

import stat
from pathlib import Path

import dcap_qvl
import pytest

from intaglio.attest.base import SealPolicy
from intaglio.enclave.sealing import seal, unseal
from intaglio.errors import LocalProtocolError, Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.sim.attester import SimulatedAttester
from intaglio.sim.cpu import LaunchOptions
from intaglio.sim.draft import launch
from intaglio.sim.machine import Machine, PlatformRecord
from intaglio.sim.signing import EnclaveTerms, load_vendor_key
from intaglio.sim.structures import SgxFault
from intaglio.sim.world import Lab, PlatformPlan, TcbState
from intaglio.types import ReportData, Tee
from intaglio.wire.dcap import Quote
from intaglio.wire.sgx import ReportBody
from tests.sim.conftest import IMAGE, NOON

DATA = ReportData(bytes(range(64)))
KEY_ID = bytes(32)


@pytest.fixture
def folder(tmp_path: Path, drawn_lab: Lab) -> Path:
    Lab.create(
        tmp_path / "lab",
        NOON,
        platforms=[PlatformPlan("alpha"), PlatformPlan("beta", ca="processor", fmspc="00b0dedede00")],
        vendor=drawn_lab.vendor,
        quoting_signer=drawn_lab.authority.quoting_signer,
    )
    return tmp_path / "lab"


def attester(
    lab: Lab, platform: str = "alpha", terms: EnclaveTerms | None = None, *, debug: bool = False
) -> SimulatedAttester:
    machine = lab.machine(platform)
    return SimulatedAttester(machine, launch(lab, machine, IMAGE, NOON, terms, LaunchOptions(debug=debug)))


@pytest.mark.parametrize("platform", ["alpha", "beta"])
def test_another_process_sees_the_same_world(folder: Path, platform: str) -> None:
    lab, again = Lab.open(folder), Lab.open(folder)
    quote = attester(lab, platform).evidence(DATA)
    collateral = dcap_qvl.QuoteCollateralV3.from_json(again.collateral(platform, NOON).decode())
    assert dcap_qvl.verify_with_root_ca(quote, collateral, again.root_der, NOON).status == "UpToDate"
    assert (folder / "root.pem").read_text() == lab.root_pem
    assert lab.records == again.records
    assert lab.published == again.published


def test_changes_are_shared(folder: Path) -> None:
    lab, early = Lab.open(folder), Lab.open(folder)
    lab.revoke_pck("alpha")
    lab.set_tcb("beta", TcbState(components=(1,) * 16), NOON)
    lab.add_platform(PlatformPlan("gamma", fmspc="00c0dedede00"), NOON)
    assert early.records != lab.records
    early.refresh()
    for again in (Lab.open(folder), early):
        assert again.published == lab.published
        assert again.records == lab.records
    assert set(again.records) == {"alpha", "beta", "gamma"}


def test_a_machine_needs_no_key_of_the_authority(folder: Path) -> None:
    for path in (folder / "authority").iterdir():
        path.unlink()
    machine = Machine.boot(PlatformRecord.load(folder / "platforms" / "alpha.json"))
    assert machine.quoting.header().version == 3


def test_everything_secret_is_readable_by_its_owner_only(folder: Path) -> None:
    public = {"root.pem", "platform-ca.pem", "processor-ca.pem", "tcb-signer.pem"}
    for path in [folder, *folder.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert path.name in public or not mode & 0o077, path


def test_a_lab_is_never_overwritten(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(FileExistsError):
        Lab.create(folder, NOON, vendor=Lab.open(folder).vendor, quoting_signer=Lab.open(folder).vendor)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_what_is_not_a_lab(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Lab.open(tmp_path)
    with pytest.raises(ValueError, match=r"root\.key|not an RSA key|elliptic"):
        load_vendor_key(folder / "authority" / "root.key")
    with pytest.raises(ValueError, match="has a platform of this name"):
        Lab.open(folder).add_platform(PlatformPlan("alpha"), NOON)
    with pytest.raises(KeyError):
        Lab.open(folder).machine("omega")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"editions": 1}', b"\xff", b'{"name": "alpha", "facts": {}}'])
@pytest.mark.parametrize("name", ["published.json", "platforms/alpha.json"])
def test_broken_state_is_malformed(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(Malformed) as caught:
        Lab.open(folder)
    assert caught.value.field == Path(name).name


def test_tampered_fuses_or_sigstructs_do_not_boot(folder: Path) -> None:
    path = folder / "platforms" / "alpha.json"
    record = PlatformRecord.load(path)
    text = path.read_text()
    path.write_text(text.replace(record.qe.hex(), record.pce.hex()))
    with pytest.raises(SgxFault):
        Machine.boot(PlatformRecord.load(path))


def test_attester_quotes_exactly_what_it_is_given(lab: Lab) -> None:
    inside = attester(lab)
    assert inside.tee is Tee.SGX
    body = Quote.parse(inside.evidence(DATA)).body
    assert isinstance(body, ReportBody)
    assert body.report_data == DATA
    assert body.mr_enclave == IMAGE.mr_enclave()


def seal_key(made: SimulatedAttester, policy: SealPolicy = SealPolicy.MRENCLAVE, key_id: bytes = KEY_ID) -> bytes:
    return made.seal_key(policy, key_id, made.isv_svn)


def test_sealing_survives_restarts_not_debug_and_not_other_machines(lab: Lab) -> None:
    key = seal_key(attester(lab))
    assert seal_key(attester(lab)) == key
    lab.add_platform(PlatformPlan("beta"), NOON)
    others = [
        seal_key(attester(lab, debug=True)),
        seal_key(attester(lab, "beta")),
        seal_key(attester(lab), SealPolicy.MRSIGNER),
        seal_key(attester(lab), key_id=b"k" * 32),
    ]
    assert key not in others


def test_a_newer_release_opens_what_an_older_one_sealed_and_not_the_reverse(lab: Lab) -> None:
    old, new = attester(lab, terms=EnclaveTerms(isv_svn=1)), attester(lab, terms=EnclaveTerms(isv_svn=2))
    assert (old.isv_svn, new.isv_svn, new.config_id) == (1, 2, bytes(64))
    sealed = seal_key(old, SealPolicy.MRSIGNER)
    assert new.seal_key(SealPolicy.MRSIGNER, KEY_ID, isv_svn=1) == sealed
    assert seal_key(new, SealPolicy.MRSIGNER) != sealed
    with pytest.raises(SgxFault):
        old.seal_key(SealPolicy.MRSIGNER, KEY_ID, isv_svn=2)


def test_sealed_blobs_outlive_an_update_of_the_enclave(lab: Lab) -> None:
    old, new = attester(lab, terms=EnclaveTerms(isv_svn=1)), attester(lab, terms=EnclaveTerms(isv_svn=2))
    assert unseal(new, seal(old, b"kept", SealPolicy.MRSIGNER)) == b"kept"
    with pytest.raises(Rejected) as refused:
        unseal(old, seal(new, b"newer", SealPolicy.MRSIGNER))
    assert refused.value.reason is Reason.SEAL_AUTHENTICATION


def test_no_sealing_for_everybody(lab: Lab) -> None:
    with pytest.raises(LocalProtocolError, match="neither"):
        seal_key(attester(lab), SealPolicy(0))


def test_trusted_files_come_from_the_image(lab: Lab) -> None:
    assert attester(lab).trusted_file("dc.pub") == b"pinned\n"
    with pytest.raises(FileNotFoundError):
        attester(lab).trusted_file("other.pub")
