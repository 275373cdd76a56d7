"""Who may sign what (checks 11, 12): one part of a role is missing at a time, and everything else holds."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from intaglio.reasons import Reason
from intaglio.sim.authority import PLATFORM_CA_NAME, TCB_SIGNER_NAME
from intaglio.sim.draft import Draft
from intaglio.sim.pck import sgx_extension
from intaglio.sim.pki import DAY, SGX_EXTENSION, YEAR, Holder, Plan, holder_name, issue, issue_crl, issue_root
from intaglio.sim.world import Lab
from intaglio.types import UnixTime
from tests.verify.conftest import IMAGE, NOON, judge

_Extensions = Iterable[tuple[x509.ExtensionType, bool]]


def offices(*named: str) -> tuple[x509.KeyUsage, bool]:
    data, certificates, lists = (office in named for office in ("data", "certificates", "lists"))
    return x509.KeyUsage(data, False, False, False, False, certificates, lists, False, False), True


def sign_with(draft: Draft, lab: Lab, name: str, extensions: _Extensions) -> tuple[bool | None, tuple[Reason, ...]]:
    """Both documents by a signer of this shape, whom the pinned root certified directly."""
    key, root = ec.generate_private_key(ec.SECP256R1()), lab.authority.root
    begin = datetime.fromtimestamp(NOON - DAY, UTC)
    builder = x509.CertificateBuilder(
        root.certificate.subject, holder_name(name), key.public_key(), 77, begin, begin + timedelta(days=30)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    signer = Holder(key, builder.sign(root.key, SHA256()))
    for document in (draft.tcb_info, draft.qe_identity):
        document.sign_as(signer, root)
    verdict = judge(draft.build())
    return verdict.genuine, verdict.reasons


def test_what_makes_a_signer(draft: Draft, lab: Lab) -> None:
    leaf = x509.BasicConstraints(ca=False, path_length=None), True
    assert sign_with(draft, lab, TCB_SIGNER_NAME, (offices("data"), leaf)) == (True, ())
    assert sign_with(draft, lab, TCB_SIGNER_NAME, (offices("data"),)) == (True, ())


def test_whoever_lacks_a_part_of_it_signs_no_collateral(draft: Draft, lab: Lab) -> None:
    platform = x509.UnrecognizedExtension(SGX_EXTENSION, sgx_extension(draft.machine.record.facts)), False
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00"), True
    authority = x509.BasicConstraints(ca=True, path_length=0), True
    shapes: list[tuple[str, _Extensions]] = [
        (TCB_SIGNER_NAME.replace("TCB Signing", "PCK Certificate"), (offices("data"),)),
        (TCB_SIGNER_NAME, (offices("data"), platform)),
        (TCB_SIGNER_NAME, (offices("data", "certificates"), authority)),
        (TCB_SIGNER_NAME, (offices("certificates"),)),
        (TCB_SIGNER_NAME, ()),
        (TCB_SIGNER_NAME, (offices("data"), unknown)),
    ]
    for name, extensions in shapes:
        assert sign_with(draft, lab, name, extensions) == (False, (Reason.COLLATERAL_SIGNER,)), (name, extensions)


def test_a_root_that_is_no_authority_certifies_nobody(lab: Lab) -> None:
    """The pinned key in a certificate that is not a CA's, or leaves no room for one: the key alone is not enough."""
    for path_length, platform in ((None, False), (None, True), (0, True)):
        weak, made = issue_root(root_plan(lab, path_length), lab.authority.root.key), draft_of(lab)
        if platform:
            made.chain[2] = weak.certificate
        else:
            made.tcb_info.sign_as(lab.authority.tcb_signer, weak)
        expected = Reason.CERTIFICATE_CONSTRAINTS if platform else Reason.COLLATERAL_SIGNER
        assert judge(made.build()).reasons == (expected,)


def test_a_platforms_authorities_bear_their_names(draft: Draft, lab: Lab) -> None:
    """Whatever else Intel's root or the CA's key certifies, it is no authority for platforms."""
    root, ca = lab.authority.root, draft.issuer
    renamed = issue_root(replace(root_plan(lab, 1), name="Some other Root CA"), root.key)
    plan = Plan(PLATFORM_CA_NAME, UnixTime(NOON - YEAR), UnixTime(NOON + YEAR), path_length=0)
    draft.chain[1:] = [issue(plan, ca.key.public_key(), renamed), renamed.certificate]
    assert judge(draft.build()).reasons == (Reason.CERTIFICATE_ROLE,)
    other = replace(plan, name=PLATFORM_CA_NAME.replace("SGX PCK", "SGX"))
    made = draft_of(lab)
    made.chain[1] = issue(other, ca.key.public_key(), root)
    made.chain[0] = issue(made.pck_plan, made.pck_key.public_key(), Holder(ca.key, made.chain[1]))
    assert judge(made.build()).reasons == (Reason.CERTIFICATE_ROLE, Reason.CRL_MISSING)
    made = draft_of(lab)
    made.chain[1] = issue(replace(plan, sgx=made.pck_plan.sgx), ca.key.public_key(), root)
    assert judge(made.build()).reasons == (Reason.CERTIFICATE_ROLE,)


def test_nobody_becomes_an_authority_by_naming_the_root(draft: Draft, lab: Lab) -> None:
    """The attacker's own CA and TCB signer say that the root issued them, and the real root stands beside them."""
    nobody = Holder(ec.generate_private_key(ec.SECP256R1()), lab.authority.root.certificate)
    key = ec.generate_private_key(ec.SECP256R1())
    plan = Plan(PLATFORM_CA_NAME, UnixTime(NOON - YEAR), UnixTime(NOON + YEAR), path_length=0)
    ca = Holder(key, issue(plan, key.public_key(), nobody))
    draft.chain[:2] = [issue(draft.pck_plan, draft.pck_key.public_key(), ca), ca.certificate]
    draft.pck_crl = issue_crl(ca, (), this_update=UnixTime(NOON - DAY), next_update=UnixTime(NOON + DAY))
    assert judge(draft.build()).reasons == (Reason.CERTIFICATE_CHAIN,)
    made = draft_of(lab)
    signer = Holder(key, issue(replace(plan, name=TCB_SIGNER_NAME, path_length=None), key.public_key(), nobody))
    for document in (made.tcb_info, made.qe_identity):
        document.sign_as(signer, lab.authority.root)
    assert judge(made.build()).reasons == (Reason.COLLATERAL_SIGNER,)


LEAF = x509.BasicConstraints(ca=False, path_length=None), True
ROOM = x509.BasicConstraints(ca=True, path_length=1), True


@pytest.mark.parametrize(
    ("place", "extensions", "genuine"),
    [
        (0, (offices("data"), LEAF), True),
        (0, (offices("data"), ROOM), False),
        (0, (offices("data", "certificates"), LEAF), False),
        (0, (offices(), LEAF), False),
        (1, (offices("certificates", "lists"), ROOM), True),
        (1, (offices("certificates", "lists"), LEAF), False),
        (1, (offices("certificates"), ROOM), False),
        (1, (offices("lists"), ROOM), False),
        (2, (offices("certificates", "lists"), ROOM), True),
        (2, (offices("certificates", "lists"), (x509.BasicConstraints(ca=True, path_length=None), True)), True),
        (2, (offices("certificates", "lists"), LEAF), False),
        (2, (offices("lists"), ROOM), False),
    ],
)
def test_each_office_of_a_platforms_certificates(
    draft: Draft, lab: Lab, place: int, extensions: _Extensions, genuine: bool
) -> None:
    """Check 11: leaf, CA and root with one power too many or too few, each signed by its honest issuer."""
    root, ca = lab.authority.root, draft.issuer
    keys = (draft.pck_key.public_key(), ca.key.public_key(), root.key.public_key())
    honest = draft.chain[place]
    begin = datetime.fromtimestamp(NOON - DAY, UTC)
    builder = x509.CertificateBuilder(honest.issuer, honest.subject, keys[place], 77, begin, begin + timedelta(days=30))
    if place == 0:
        builder = builder.add_extension(x509.UnrecognizedExtension(SGX_EXTENSION, draft.pck_plan.sgx or b""), False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    draft.chain[place] = builder.sign((ca.key, root.key, root.key)[place], SHA256())
    verdict = judge(draft.build())
    assert (verdict.genuine, verdict.reasons) == (genuine, () if genuine else (Reason.CERTIFICATE_CONSTRAINTS,))


def root_plan(lab: Lab, path_length: int | None) -> Plan:
    name = lab.authority.root.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    return Plan(str(name), UnixTime(NOON - YEAR), UnixTime(NOON + YEAR), path_length=path_length)


def draft_of(lab: Lab) -> Draft:
    return Draft.of(lab, IMAGE, NOON)


@pytest.mark.parametrize("which", ["root_crl", "pck_crl"])
def test_a_list_in_another_name_is_another_authoritys(draft: Draft, lab: Lab, which: str) -> None:
    """Check 14: the key is right, the name is not: an authority may have several lists and sign them with one key."""
    issuer = lab.authority.root if which == "root_crl" else draft.issuer
    other = Holder(issuer.key, lab.authority.tcb_signer.certificate)
    crl = issue_crl(other, (), this_update=UnixTime(NOON - DAY), next_update=UnixTime(NOON + DAY))
    setattr(draft, which, crl)
    assert judge(draft.build()).reasons == (Reason.CRL_MISSING,)
