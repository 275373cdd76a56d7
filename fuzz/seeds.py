"""Good inputs to begin with: from the simulator, and from real hardware where ../shared/vectors is present."""

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from intaglio.session.statements import make_statement
from intaglio.sim.amd_pki import AmdAuthority
from intaglio.sim.draft import Draft, Evidence
from intaglio.sim.measure import Image, TrustedFile
from intaglio.sim.signing import EnclaveTerms, sign_enclave
from intaglio.sim.snp import SnpDraft, SnpEvidence, VekKind
from intaglio.sim.world import Lab
from intaglio.types import Tee, UnixTime
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.collateral_bundle import Entry
from intaglio.wire.collateral_request import DcapRequest, SnpRequest
from intaglio.wire.cose import Signed
from intaglio.wire.dcap import Quote
from intaglio.wire.ear import Appraisal, Claim, Ear, Tier, VerifierId
from intaglio.wire.endorsement import parse_collateral
from intaglio.wire.hello import Accept, Role, SealedEvidence
from intaglio.wire.identity import Suite
from intaglio.wire.offer import Offer
from intaglio.wire.peer import PeerOffer
from intaglio.wire.report_key import ReportKey
from intaglio.wire.snp_certs import CertificateTable
from intaglio.wire.snp_fields import Product, TcbVersion
from intaglio.wire.tdx import TdBody, TdReport
from intaglio.wire.x509 import Certificate, read_pem_chain
from tests.session.peers import Meeting
from tests.session.world import RESULT, World, certified, pin_of

NOON = UnixTime(1_780_315_200)
IMAGE = Image((TrustedFile("meter.py", b"size = 100\n"),))
VECTORS = Path(os.environ.get("INTAGLIO_VECTORS", Path(__file__).resolve().parents[2] / "shared" / "vectors"))
MAX_OF_A_KIND = 12
"""Real cases of one kind that serve as seeds: more of them look alike."""


@cache
def lab() -> Lab:
    """One simulated world for all targets."""
    return Lab.create(None, NOON)


@cache
def evidence() -> tuple[Evidence, ...]:
    """Honest evidence, in each version of the quote."""
    found = []
    for version in (3, 4, 5):
        draft = Draft.of(lab(), IMAGE, NOON)
        draft.header = replace(draft.header, version=version)
        found.append(draft.build())
    return tuple(found)


def collateral() -> DcapCollateral:
    return evidence()[0].collateral


def real(kind: str, file: str) -> list[bytes]:
    """Files of this name from cases of one kind."""
    return [path.read_bytes() for path in sorted((VECTORS / kind).glob(f"*/{file}"))[:MAX_OF_A_KIND]]


@cache
def quotes() -> Sequence[bytes]:
    return [*(each.quote for each in evidence()), *real("sgx", "quote.bin"), *real("tdx", "quote.bin")]


@cache
def reports() -> Sequence[bytes]:
    return [quote.qe_report_signed for quote in map(Quote.parse, quotes())]


@cache
def collaterals() -> Sequence[bytes]:
    return [
        collateral().encode_json(),
        *real("sgx", "collateral.json")[:3],
        *real("tdx", "collateral.json")[:3],
        snp_collateral(),
    ]


@cache
def snp_collateral() -> bytes:
    """Three certificates in the places of AMD's: the reader of collateral does not look into them."""
    names = ("vek", "ask", "ark")
    return json.dumps(dict(zip(names, (der.hex() for der in certificates()), strict=False)) | {"crl": None}).encode()


def _documents(member: str, version: int) -> list[bytes]:
    found = [getattr(collateral(), member)]
    if member == "tcb_info":
        pcs = lab().pcs
        found.append(json.dumps(pcs.tcb_info(pcs.edition(), "00a0dedede00", NOON, version=version)).encode())
    real_ones = [*real("sgx", "collateral.json")[:4], *real("tdx", "collateral.json")[:4]]
    return found + [json.loads(each)[member].encode() for each in real_ones]


@cache
def tcb_infos() -> Sequence[bytes]:
    return _documents("tcb_info", 2)


@cache
def qe_identities() -> Sequence[bytes]:
    return _documents("qe_identity", 2)


@cache
def chains() -> Sequence[bytes]:
    of_quotes = [quote.certification.data for quote in map(Quote.parse, quotes()) if quote.certification.kind == 5]
    amd = [path.read_bytes() for path in sorted(VECTORS.glob("snp/*/cert_chain.pem"))[:2]]
    return [*of_quotes[:6], collateral().tcb_info_issuer_chain, *amd]


@cache
def certificates() -> Sequence[bytes]:
    of_chains = [der for chain in chains() for der in read_pem_chain(chain.rstrip(b"\0"))]
    return list(dict.fromkeys((*of_chains, *(path.read_bytes() for path in sorted(VECTORS.glob("snp/*/*.der"))[:4]))))


@cache
def extensions() -> Sequence[bytes]:
    found = (Certificate.parse(der, serial_zero=True).sgx_extension for der in certificates())
    return [extension for extension in found if extension]


@cache
def crls() -> Sequence[bytes]:
    revoking = lab().copy()
    revoking.revoke(1, 2, 0xFFFF)
    mine = revoking.pcs.root_crl(NOON)
    texts = [json.loads(each)["pck_crl"] for each in real("sgx", "collateral.json")[:3]]
    pem = x509.load_der_x509_crl(mine).public_bytes(Encoding.PEM)
    return [mine, pem, mine.hex().encode(), *(text.encode() for text in texts)]


@cache
def sigstructs() -> Sequence[bytes]:
    return [sign_enclave(lab().vendor, IMAGE.mr_enclave(), EnclaveTerms(), now=NOON).encode()]


@cache
def snp_reports() -> Sequence[bytes]:
    return real("snp", "report.bin") or [b"\2" + bytes(1183)]


@cache
def snp_evidence() -> Sequence[SnpEvidence]:
    """Of the simulator, each kind of key and each layout once."""
    amd = AmdAuthority.create(NOON, bits=2048)
    kinds: tuple[tuple[Product, VekKind], ...] = (
        (Product.MILAN, "vcek"),
        (Product.TURIN, "vcek"),
        (Product.GENOA, "vlek"),
    )
    return [SnpDraft.of(amd, NOON, product=product, version=5, kind=kind).build() for product, kind in kinds]


@cache
def nitro_documents() -> Sequence[bytes]:
    return real("nitro", "attestation_doc.cbor") or [bytes.fromhex("8444a1013822a0")]


@cache
def td_reports() -> Sequence[bytes]:
    """The three layouts."""
    real_ones = [quote.body.encode() for quote in map(Quote.parse, quotes()) if isinstance(quote.body, TdReport)]
    return [*real_ones[:4], *(bytes(body.size) for body in TdBody)]


EAR = Ear(
    issued_at=NOON,
    verifier=VerifierId("Intaglio", "intaglio 0"),
    appraisals={
        "sgx": Appraisal(
            Tier.WARNING,
            {Claim.HARDWARE: 32, Claim.EXECUTABLES: 3},
            policy_ids=("urn:intaglio:policy:00",),
            nonce=bytes(range(64)),
            annotated_evidence={"tee": "sgx", "identity": {"debug": False, "list": [1, None, "x"]}},
        ),
        "td": Appraisal(Tier.AFFIRMING, {Claim.HARDWARE: -2}),
    },
    expires=UnixTime(NOON + 3600),
    issuer="dc",
)
REPORT_KEY = ReportKey(bytes(range(32)), bytes(range(16))).encode_json()


@cache
def epid_quotes() -> Sequence[bytes]:
    body = b"\2\0\1\0" + bytes(44) + reports()[0]
    return [body, body + (680).to_bytes(4, "little") + bytes(680), body + bytes(4)]


@cache
def ias_reports() -> Sequence[bytes]:
    """As one object, as an HTTP answer, and as a bare body."""
    body = {
        "id": "1", "timestamp": "2020-02-20T10:56:21.154323", "version": 5, "epidPseudonym": "AAAA",
        "advisoryURL": "https://security-center.intel.com", "advisoryIDs": ["INTEL-SA-00334"],
        "isvEnclaveQuoteStatus": "SW_HARDENING_NEEDED", "platformInfoBlob": "15020065", "nonce": "01",
        "isvEnclaveQuoteBody": base64.b64encode(epid_quotes()[0]).decode(), "tcbEvaluationDataNumber": 12,
    }  # fmt: skip
    text = json.dumps(body)
    signature, pem = base64.b64encode(bytes(256)).decode(), chains()[0].rstrip(b"\0").decode()
    kept = json.dumps({"report": text, "signature": signature, "certificates": pem})
    escaped = pem.replace("\n", "%0A")
    head = (
        f"HTTP/1.1 200 OK\r\nX-IASReport-Signature: {signature}\r\nX-IASReport-Signing-Certificate: {escaped}\r\n\r\n"
    )
    return [each.encode() for each in (kept, head + text, text)]


@cache
def snp_tables() -> Sequence[bytes]:
    der = certificates()
    table = CertificateTable(vcek=der[0], ask=der[1], ark=der[2], crl=crls()[0])
    return [table.encode(), table.encode() + bytes(4096), CertificateTable(vlek=der[0]).encode()]


@cache
def entries() -> Sequence[Entry]:
    """As a cache keeps them, one of each kind."""
    snp = SnpRequest(Product.MILAN, bytes(range(64)), TcbVersion(3, 0, 8, 115, None))
    return [
        Entry(DcapRequest(Tee.SGX, "00a0dedede00", "platform"), NOON, "https://pccs.example", collateral()),
        Entry(snp, NOON, "https://kds.example", parse_collateral(snp_collateral())),
    ]


@cache
def _messages() -> dict[str, bytes]:
    """One of each of the protocol's messages, in both suites, by name and suite."""
    found = {"result 1": RESULT.encode(), "evidence 1": SealedEvidence(Tee.SGX, Role.ENCLAVE, b"quote").encode()}
    for suite in Suite:
        world = World(suite, operational=True)
        _, hello = world.greet()
        accept = world.accept(world.open(hello)).accept
        certificate = Signed.parse(certified(suite).certificate or b"", "certificate").payload
        meeting = Meeting(suite)
        peer_offer = meeting.responder.offer()
        peer_hello = meeting.initiator.hello(peer_offer)
        found |= {
            f"peer offer {suite}": peer_offer,
            f"peer offer body {suite}": PeerOffer.parse(peer_offer).body,
            f"peer hello {suite}": peer_hello,
            f"peer accept {suite}": meeting.responder.accept(peer_hello)[0],
            f"pin {suite}": pin_of(suite, "identity", "next").encode(),
            f"offer {suite}": world.made.data,
            f"offer body {suite}": world.made.body.encode(),
            f"hello {suite}": hello,
            f"accept {suite}": accept,
            f"signed {suite}": Offer.parse(world.made.data).signed,
            f"detached {suite}": Accept.parse(accept).signature,
            f"certificate {suite}": certificate or b"",
            f"statement {suite}": make_statement(
                certified(suite), audience="dc.example", nonce=bytes(32), epoch=7, at=NOON, collateral=b"{}"
            ),
        }
    return found


def message(name: str) -> Sequence[bytes]:
    """Messages of this name."""
    return [data for label, data in _messages().items() if label.rpartition(" ")[0] == name]


def messages() -> Sequence[bytes]:
    """All messages."""
    return list(_messages().values())
