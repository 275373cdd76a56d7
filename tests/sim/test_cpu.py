"""The simulated CPU: what EINIT refuses, who can check a report, and on what each key depends."""

from dataclasses import replace

import pytest

from intaglio.sim.cpu import Enclave, LaunchOptions, Processor
from intaglio.sim.measure import Image, TrustedFile
from intaglio.sim.signing import EnclaveTerms, resign, sign_enclave
from intaglio.sim.structures import KeyName, KeyPolicy, KeyRequest, SgxCode, SgxFault
from intaglio.sim.world import Lab
from intaglio.types import Measurement, ReportData
from intaglio.wire.sgx import AttributeFlag, Attributes, LocalReport
from intaglio.wire.sigstruct import Sigstruct
from tests.feeding import feed
from tests.sim.conftest import IMAGE, NOON

CPU = Processor(bytes(range(32)), bytes([5] * 16))
OTHER_IMAGE = Image((TrustedFile("other.py", b"pass"),))
DATA = ReportData(bytes(range(64)))
KSS = AttributeFlag.MODE64 | AttributeFlag.KSS


def launched(lab: Lab, image: Image = IMAGE, terms: EnclaveTerms | None = None, options: LaunchOptions | None = None,
             cpu: Processor = CPU) -> Enclave:  # fmt: skip
    return cpu.launch(image, signed(lab, image, terms).encode(), options)


def signed(lab: Lab, image: Image = IMAGE, terms: EnclaveTerms | None = None) -> Sigstruct:
    return sign_enclave(lab.vendor, image.mr_enclave(), terms or EnclaveTerms(), now=NOON)


def test_identity_of_a_launched_enclave(lab: Lab) -> None:
    terms = EnclaveTerms(isv_prod_id=9, isv_svn=4)
    identity = launched(lab, terms=terms).identity
    assert identity.mr_enclave == IMAGE.mr_enclave()
    assert identity.mr_signer == signed(lab).mr_signer
    assert (identity.isv_prod_id, identity.isv_svn) == (9, 4)
    assert identity.attributes == Attributes(AttributeFlag.INIT | AttributeFlag.MODE64, 3)
    assert identity.cpu_svn == CPU.cpu_svn


def test_einit_refuses_what_was_not_signed(lab: Lab) -> None:
    good = signed(lab)
    cases = [
        (replace(good, signature=good.signature ^ 1), SgxCode.INVALID_SIGNATURE),
        (replace(good, q1=good.q1 + 1), SgxCode.INVALID_SIGNATURE),
        (replace(good, q2=good.q2 + 1), SgxCode.INVALID_SIGNATURE),
        (replace(good, isv_svn=99), SgxCode.INVALID_SIGNATURE),
        (good.signed(good.signature ^ 1), SgxCode.INVALID_SIGNATURE),
        (replace(good, exponent=65537), SgxCode.INVALID_SIG_STRUCT),
        (replace(good, modulus=good.modulus >> 1), SgxCode.INVALID_SIG_STRUCT),
        (resign(lab.vendor, replace(good, enclave_hash=Measurement(bytes(32)))), SgxCode.INVALID_MEASUREMENT),
    ]
    for sigstruct, code in cases:
        with pytest.raises(SgxFault) as caught:
            CPU.launch(IMAGE, sigstruct.encode())
        assert caught.value.code is code


def test_einit_refuses_another_image(lab: Lab) -> None:
    with pytest.raises(SgxFault) as caught:
        CPU.launch(OTHER_IMAGE, signed(lab).encode())
    assert caught.value.code is SgxCode.INVALID_MEASUREMENT


def test_debug_is_the_hosts_choice_only_where_the_mask_allows_it(lab: Lab) -> None:
    assert launched(lab, options=LaunchOptions(debug=True)).identity.debug
    with pytest.raises(SgxFault) as caught:
        launched(lab, terms=EnclaveTerms(debuggable=False), options=LaunchOptions(debug=True))
    assert caught.value.code is SgxCode.INVALID_ATTRIBUTE


def test_the_host_can_not_add_attributes(lab: Lab) -> None:
    with pytest.raises(SgxFault) as caught:
        launched(lab, options=LaunchOptions(extra_flags=AttributeFlag.PROVISION_KEY))
    assert caught.value.code is SgxCode.INVALID_ATTRIBUTE


def test_configuration_needs_kss(lab: Lab) -> None:
    options = LaunchOptions(config_id=b"c" * 64, config_svn=2)
    with pytest.raises(SgxFault):
        launched(lab, options=options)
    identity = launched(lab, terms=EnclaveTerms(flags=KSS, isv_family_id=b"f" * 16), options=options).identity
    assert (identity.config_id, identity.config_svn, identity.isv_family_id) == (b"c" * 64, 2, b"f" * 16)


def test_report_is_for_its_target_on_this_cpu_only(lab: Lab) -> None:
    app, target = launched(lab), launched(lab, OTHER_IMAGE)
    report = LocalReport.parse(app.report(target.target_info, DATA))
    assert report.body == replace(app.identity, report_data=DATA)
    assert target.accepts(report)
    assert not app.accepts(report)
    twin = launched(lab, OTHER_IMAGE, cpu=Processor(bytes(32), CPU.cpu_svn))
    assert not twin.accepts(report)
    debug_twin = launched(lab, OTHER_IMAGE, options=LaunchOptions(debug=True))
    assert not debug_twin.accepts(report)
    for changed in (replace(report, body=replace(report.body, isv_svn=9)), replace(report, key_id=bytes(32)),
                    replace(report, mac=bytes(16))):  # fmt: skip
        assert not target.accepts(changed)


def test_report_whole_cut_and_too_long(lab: Lab) -> None:
    app = launched(lab)
    data = app.report(app.target_info, DATA)
    assert len(data) == 432
    report = feed(LocalReport.parse, data)
    assert isinstance(report, LocalReport)
    assert report.encode() == data


def seal(policy: KeyPolicy = KeyPolicy.MRENCLAVE, **changes: object) -> KeyRequest:
    request = KeyRequest(KeyName.SEAL, policy, isv_svn=1)
    return replace(request, **changes)  # type: ignore[arg-type]


def test_seal_key_is_stable_and_depends_on_its_request(lab: Lab) -> None:
    app = launched(lab)
    key = app.get_key(seal())
    assert len(key) == 16
    assert launched(lab).get_key(seal()) == key
    others = {
        app.get_key(seal(KeyPolicy.MRSIGNER)), app.get_key(seal(key_id=b"k" * 32)), app.get_key(seal(isv_svn=0)),
        app.get_key(seal(cpu_svn=bytes([4] * 16))), app.get_key(seal(KeyPolicy.MRENCLAVE | KeyPolicy.MRSIGNER)),
        launched(lab, cpu=Processor(bytes(32), CPU.cpu_svn)).get_key(seal()),
        launched(lab, cpu=replace(CPU, owner_epoch=b"e" * 16)).get_key(seal()),
    }  # fmt: skip
    assert len(others | {key}) == 8


def test_signer_policy_survives_an_update_and_enclave_policy_does_not(lab: Lab) -> None:
    old, new = launched(lab), launched(lab, OTHER_IMAGE, EnclaveTerms(isv_svn=2))
    assert old.get_key(seal(KeyPolicy.MRSIGNER)) == new.get_key(seal(KeyPolicy.MRSIGNER))
    assert old.get_key(seal()) != new.get_key(seal())
    product = launched(lab, terms=EnclaveTerms(isv_prod_id=2))
    assert product.get_key(seal(KeyPolicy.MRSIGNER)) != old.get_key(seal(KeyPolicy.MRSIGNER))


def test_debug_is_never_masked_out_of_a_sealing_key(lab: Lab) -> None:
    app, debug = launched(lab), launched(lab, options=LaunchOptions(debug=True))
    for policy in (KeyPolicy.MRENCLAVE, KeyPolicy.MRSIGNER):
        request = seal(policy, attributes_mask=Attributes(0, 0))
        assert app.get_key(request) != debug.get_key(request)


def test_other_attributes_count_only_where_the_mask_keeps_them(lab: Lab) -> None:
    plain, kss = launched(lab), launched(lab, terms=EnclaveTerms(flags=KSS))
    assert plain.get_key(seal(KeyPolicy.MRSIGNER)) == kss.get_key(seal(KeyPolicy.MRSIGNER))
    kept = seal(KeyPolicy.MRSIGNER, attributes_mask=Attributes(AttributeFlag.KSS, 0))
    assert plain.get_key(kept) != kss.get_key(kept)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (seal(isv_svn=2), SgxCode.INVALID_ISVSVN),
        (seal(config_svn=1), SgxCode.INVALID_ISVSVN),
        (seal(cpu_svn=bytes([5] * 15 + [6])), SgxCode.INVALID_CPUSVN),
        (seal(cpu_svn=b""), SgxCode.INVALID_CPUSVN),
        (seal(KeyPolicy.CONFIGID), SgxCode.GENERAL_PROTECTION),
        (seal(KeyPolicy.ISVFAMILYID), SgxCode.GENERAL_PROTECTION),
        (seal(KeyPolicy.ISVEXTPRODID), SgxCode.GENERAL_PROTECTION),
        (seal(KeyPolicy.NOISVPRODID), SgxCode.GENERAL_PROTECTION),
        (KeyRequest(KeyName.EINITTOKEN), SgxCode.INVALID_KEYNAME),
        (KeyRequest(KeyName.PROVISION), SgxCode.INVALID_ATTRIBUTE),
        (KeyRequest(KeyName.PROVISION_SEAL), SgxCode.INVALID_ATTRIBUTE),
    ],
)
def test_keys_that_an_enclave_may_not_have(lab: Lab, request_: KeyRequest, code: SgxCode) -> None:
    with pytest.raises(SgxFault) as caught:
        launched(lab).get_key(request_)
    assert caught.value.code is code


@pytest.mark.parametrize(
    ("policy", "terms", "options"),
    [
        (KeyPolicy.CONFIGID, EnclaveTerms(flags=KSS), LaunchOptions(config_id=b"c" * 64)),
        (KeyPolicy.ISVFAMILYID, EnclaveTerms(flags=KSS, isv_family_id=b"f" * 16), None),
        (KeyPolicy.ISVEXTPRODID, EnclaveTerms(flags=KSS, isv_ext_prod_id=b"e" * 16), None),
    ],
)
def test_kss_policies_bind_their_fields(lab: Lab, policy: KeyPolicy, terms: EnclaveTerms,
                                        options: LaunchOptions | None) -> None:  # fmt: skip
    plain, special = launched(lab, terms=EnclaveTerms(flags=KSS)), launched(lab, terms=terms, options=options)
    assert plain.get_key(seal(KeyPolicy.MRSIGNER)) == special.get_key(seal(KeyPolicy.MRSIGNER))
    bound = seal(KeyPolicy.MRSIGNER | policy)
    assert plain.get_key(bound) != special.get_key(bound)


def test_older_microcode_can_not_derive_newer_keys(lab: Lab) -> None:
    old_cpu = replace(CPU, cpu_svn=bytes([4] * 16))
    at_old = seal(cpu_svn=bytes([4] * 16))
    assert launched(lab, cpu=old_cpu).get_key(seal()) == launched(lab).get_key(at_old)
    with pytest.raises(SgxFault):
        launched(lab, cpu=old_cpu).get_key(seal(cpu_svn=CPU.cpu_svn))
