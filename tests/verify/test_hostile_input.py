"""Input that was made to be expensive: a typed error or a verdict that is not genuine, for a price that grows with the
size of the input and no faster.

Prices are compared within one run: twice the size may cost twice as much, with a wide margin, and memory is a small
multiple of the input. No test knows how fast its machine is.
"""

import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from cryptography import x509

from fuzz import seeds
from fuzz.forge import encode_der as der
from fuzz.forge import sign_part
from intaglio.errors import Malformed
from intaglio.reasons import Reason
from intaglio.sim.draft import Evidence
from intaglio.types import UnixTime
from intaglio.verify.dcap import DcapVerifier
from intaglio.verify.evidence import MAX_EVIDENCE_TEXT, Verifier, detect
from intaglio.verify.policy import Policy
from intaglio.verify.roots import Roots
from intaglio.wire import strict_json
from intaglio.wire.collateral import EnclaveIdentity, TcbInfo
from intaglio.wire.dcap import MAX_QUOTE_SIZE
from intaglio.wire.endorsement import parse_collateral
from intaglio.wire.nitro import NitroDocument
from intaglio.wire.snp_certs import CertificateTable
from intaglio.wire.x509 import Certificate, RevocationList, decode_crl, read_pem_chain
from tests.verify.conftest import judge

MEGABYTE = 1 << 20
ATTEMPTS = 5
TIMES_THE_INPUT = 24
"""The most memory that reading may take. A list of short strings, the worst that JSON can be, takes half of it."""


def price(run: Callable[[], object]) -> tuple[float, int]:
    """Seconds of CPU, and the most bytes at once (measured in a second run, because measuring costs time)."""
    began = time.process_time()
    run()
    seconds = time.process_time() - began
    tracemalloc.start()
    run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return seconds, peak


def refused(reader: Callable[[bytes], object], data: bytes) -> Callable[[], None]:
    def run() -> None:
        with pytest.raises(Malformed):
            reader(data)

    return run


def grows_with_its_size(make: Callable[[int], bytes], reader: Callable[[bytes], object], small: int) -> None:
    """Eight times the input costs at most thirty times the time: eight in truth, 64 if it grew with the square. What
    takes less than 50 ms is not looked at: clocks and caches are noise there."""

    def read(data: bytes) -> Callable[[], None]:
        def run() -> None:
            with suppress(Malformed):
                reader(data)

        return run

    little, much = read(make(small)), make(8 * small)

    def fits() -> bool:
        cost, _ = price(little)
        more, peak = price(read(much))
        assert peak < TIMES_THE_INPUT * len(much) + MEGABYTE
        return more < 0.05 or more < 30 * cost

    # A busy machine stretches one measurement or another; what grows with the square never fits.
    assert any(fits() for _ in range(ATTEMPTS))


def load(data: bytes) -> strict_json.Json:
    return strict_json.loads(data, "document")


JSON_BOMBS: dict[str, Callable[[int], bytes]] = {
    "arrays without end": lambda n: b"[" * n,
    "objects without end": lambda n: b'{"a":' * n,
    "empty arrays": lambda n: b"[" + b"[]," * n + b"0]",
    "empty objects": lambda n: b"[" + b"{}," * n + b"0]",
    "short strings": lambda n: b"[" + b'"ab",' * n + b"0]",
    "numbers": lambda n: b"[" + b"1000," * n + b"0]",
    "keys": lambda n: b"{" + b",".join(b'"%d":0' % i for i in range(n)) + b"}",
    "the same key": lambda n: b"{" + b'"a":0,' * n + b'"a":0}',
    "one long number": lambda n: b"9" * n,
    "one long string": lambda n: b'"' + b"a" * n + b'"',
    "a string without end": lambda n: b'"' + b'\\"' * n,
    "escapes": lambda n: b'"' + b"\\u0041" * n + b'"',
    "white space": lambda n: b" " * n + b"0",
    "brackets in strings": lambda n: b"[" + b'"[[[[",' * n + b"0]",
}


@pytest.mark.parametrize("make", JSON_BOMBS.values(), ids=JSON_BOMBS)
@pytest.mark.parametrize("reader", [load, lambda data: strict_json.members(data, "document")], ids=["loads", "members"])
def test_json_bombs(make: Callable[[int], bytes], reader: Callable[[bytes], object]) -> None:
    grows_with_its_size(make, reader, 8_000)


def test_json_beyond_its_size_is_not_even_decoded() -> None:
    _, peak = price(refused(load, b"[" * (strict_json.MAX_SIZE + 1)))
    assert peak < MEGABYTE


def test_json_has_a_bounded_number_of_objects() -> None:
    good = b"[" + b"{}," * (strict_json.MAX_CONTAINERS - 2) + b"{}]"
    load(good)
    with pytest.raises(Malformed, match="more than"):
        load(good[:-1] + b",{}]")


def _paths(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where objects stand: the first of each list speaks for all."""
    if isinstance(value, dict):
        yield path
        for key, item in value.items():
            yield from _paths(item, (*path, key))
    elif isinstance(value, list) and value:
        yield from _paths(value[0], (*path, 0))


def _with_a_key_twice(value: object, path: tuple[str | int, ...]) -> str:
    """The JSON of `value`, in which the object at `path` has its first key twice."""
    if isinstance(value, dict):
        items = [
            f"{json.dumps(key)}:{_with_a_key_twice(item, path[1:] if path[:1] == (key,) else ('',))}"
            for key, item in value.items()
        ]
        return "{" + ",".join(items + (items[:1] if path == () else [])) + "}"
    if isinstance(value, list):
        rows = [_with_a_key_twice(item, path[1:] if path[:1] == (i,) else ("",)) for i, item in enumerate(value)]
        return "[" + ",".join(rows) + "]"
    return json.dumps(value)


@pytest.mark.parametrize(
    ("member", "reader"), [("tcb_info", TcbInfo.parse), ("qe_identity", EnclaveIdentity.parse), ("", parse_collateral)]
)
def test_a_key_twice_at_any_level_is_malformed(member: str, reader: Callable[[bytes], object]) -> None:
    whole = seeds.collateral().encode_json()
    document = json.loads(getattr(seeds.collateral(), member) if member else whole)
    reader(_with_a_key_twice(document, ("",)).encode())
    paths = list(_paths(document))
    assert paths
    for path in paths:
        with pytest.raises(Malformed, match="twice"):
            reader(_with_a_key_twice(document, path).encode())


def revocation_list(entries: int, *, step: int = 1, revoked: int | None = None, signed: bool = True) -> bytes:
    """The lab's PCK CRL with this many serial numbers of twenty bytes, signed by its CA or by
    somebody else."""
    authority = seeds.lab().authority
    part = x509.load_der_x509_crl(seeds.collateral().pck_crl).tbs_certlist_bytes
    content = part[part.index(b"\x02\x01\x01") :]
    head, _, extensions = content.partition(b"\xa0")
    date = head[-15:]
    numbers = [2**158 + i * step for i in range(entries)]
    if revoked is not None:
        numbers[entries // 2] = revoked
    rows = b"".join(der(0x30, b"\x02\x14" + number.to_bytes(20, "big") + date) for number in numbers)
    made = der(0x30, head + der(0x30, rows) + b"\xa0" + extensions)
    return sign_part(authority.platform_ca.key if signed else authority.processor_ca.key, made)


def with_list(data: bytes) -> Evidence:
    evidence = seeds.evidence()[0]
    return replace(evidence, collateral=replace(evidence.collateral, pck_crl=data))


def test_a_list_of_ten_megabytes_is_read_at_a_bounded_price() -> None:
    grows_with_its_size(revocation_list, RevocationList.parse, 33_000)
    assert len(revocation_list(8 * 33_000)) > 10_000_000


def test_a_list_whose_numbers_hash_alike_is_read_at_the_same_price() -> None:
    usual, _ = price(lambda: RevocationList.parse(revocation_list(20_000)))
    alike, _ = price(lambda: RevocationList.parse(revocation_list(20_000, step=2**61 - 1)))
    assert alike < 10 * usual


def test_a_long_list_is_searched_in_no_time_and_read_once() -> None:
    serial = Certificate.parse(seeds.certificates()[0]).serial
    assert judge(with_list(revocation_list(100_000, revoked=serial))).reasons == (Reason.CERTIFICATE_REVOKED,)
    evidence = with_list(revocation_list(100_000))
    verifier = DcapVerifier(Roots.lab(evidence.root))
    first, _ = price(
        lambda: DcapVerifier(Roots.lab(evidence.root)).verify(evidence.quote, evidence.collateral, evidence.at)
    )
    assert verifier.verify(evidence.quote, evidence.collateral, evidence.at).genuine is True
    again, _ = price(lambda: verifier.verify(evidence.quote, evidence.collateral, evidence.at))
    assert again < first / 4


def test_a_strangers_list_is_not_remembered() -> None:
    """Nobody under a pinned root signed it, so 64 of them must not stay in memory."""
    evidence = with_list(revocation_list(20_000, signed=False))
    verifier = DcapVerifier(Roots.lab(evidence.root))
    tracemalloc.start()
    for number in range(8):
        other = replace(evidence.collateral, pck_crl=revocation_list(20_000 + number, signed=False))
        verdict = verifier.verify(evidence.quote, other, evidence.at)
        assert (verdict.genuine, verdict.reasons) == (False, (Reason.CRL_SIGNATURE,))
        del other, verdict
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < MEGABYTE


@pytest.mark.parametrize(
    "text", [b"0" * 10_000_000, b"A" * 10_000_000, b"-----BEGIN X509 CRL-----" + b"A" * 10_000_000]
)
def test_text_that_is_no_list(text: bytes) -> None:
    _, peak = price(refused(lambda data: RevocationList.parse(decode_crl(data)), text))
    assert peak < 4 * len(text)


def certificate(*extensions: bytes, name: bytes | None = None) -> bytes:
    """The lab's root with other extensions, signed by itself."""
    root = seeds.lab().authority.root
    part = root.certificate.tbs_certificate_bytes
    content = part[4:]
    head = content[: content.index(b"\xa3\x82" if b"\xa3\x82" in content else b"\xa3\x81")]
    if name is not None:
        head = head.replace(root.certificate.subject.public_bytes(), name)
    made = der(0x30, head + der(0xA3, der(0x30, b"".join(extensions))))
    return der(0x30, made + bytes.fromhex("300a06082a8648ce3d040302") + b"\x03\x01\0")


def extension(number: int, value: bytes, *, critical: bool = False) -> bytes:
    oid = b"\x06\x05\x2b\x06\x01" + bytes((0x80 | number >> 7, number & 0x7F))
    return der(0x30, oid + (b"\x01\x01\xff" if critical else b"") + der(0x04, value))


ABSURD: dict[str, Callable[[int], bytes]] = {
    "thousands of extensions": lambda n: certificate(*(extension(128 + i % 16_000, b"") for i in range(n))),
    "a giant extension": lambda n: certificate(extension(128, bytes(16 * n))),
    "nested DER in an extension": lambda n: certificate(extension(128, b"\x30\x80" * n)),
    "an extension a thousand times": lambda n: certificate(*[extension(128, b"x")] * n),
    "a giant name": lambda n: certificate(
        name=der(0x30, der(0x31, der(0x30, b"\x06\x03\x55\x04\x03" + der(12, b"A" * n))))
    ),
    "many names": lambda n: certificate(name=der(0x30, der(0x31, der(0x30, b"\x06\x03\x55\x04\x03\x0c\x01A")) * n)),
}


@pytest.mark.parametrize("make", ABSURD.values(), ids=ABSURD)
def test_absurd_certificates(make: Callable[[int], bytes]) -> None:
    for size in (300_000, 1_000_000):
        _, peak = price(refused(Certificate.parse, make(size)))
        assert peak < MEGABYTE
    grows_with_its_size(make, Certificate.parse, 40_000)


@pytest.mark.parametrize("critical", [False, True])
def test_a_critical_extension_that_nobody_knows(critical: bool) -> None:
    read = Certificate.parse(certificate(extension(128, b"\x30\x80" * 99, critical=critical)))
    assert (read.unknown_critical, len(read.extensions)) == (critical, 1)


def test_a_thousand_certificates_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(x509, "load_der_x509_certificate", lambda _: pytest.fail("one was parsed"))
    block = seeds.lab().root_pem.encode()
    for count in (10, 1000):
        with pytest.raises(Malformed):
            read_pem_chain(block * count)
    evidence = seeds.evidence()[0]
    chain = replace(evidence.collateral, tcb_info_issuer_chain=block * 1000, qe_identity_issuer_chain=block * 1000)
    monkeypatch.undo()
    verdict = judge(replace(evidence, collateral=chain))
    assert verdict.genuine is False
    assert verdict.reasons[0] is Reason.COLLATERAL_SIGNER
    grows_with_its_size(lambda n: block * n, read_pem_chain, 1000)


def _length_fields(version: int) -> dict[str, tuple[int, int]]:
    """Place and size of each length in a quote of the lab, by hand."""
    body = 48 + (6 if version == 5 else 0)
    authentication = body + 384
    fields = {"authentication": (authentication, 4)}
    if version == 5:
        fields["body"] = (50, 4)
    at = authentication + 4 + 128
    if version > 3:
        fields["outer certification"] = (at + 2, 4)
        at += 6
    at += 384 + 64
    fields["qe auth data"] = (at, 2)
    return fields | {"certification": (at + 2 + 32 + 2, 4)}


LENGTHS = [(version, name) for version in (3, 4, 5) for name in _length_fields(version)]


@pytest.mark.parametrize(("version", "name"), LENGTHS)
def test_quotes_that_lie_in_a_length(version: int, name: str) -> None:
    evidence = seeds.evidence()[version - 3]
    assert judge(evidence).genuine is True
    at, size = _length_fields(version)[name]
    honest = int.from_bytes(evidence.quote[at : at + size], "little")
    lies = {0, 1, honest - 1, honest + 1, honest + 2, 2 * honest, 2 ** (8 * size - 1), 2 ** (8 * size) - 1}
    for lie in sorted(lies):
        quote = evidence.quote[:at] + lie.to_bytes(size, "little") + evidence.quote[at + size :]
        verdict = judge(replace(evidence, quote=quote))
        assert (verdict.genuine, verdict.reasons) == (False, (Reason.MALFORMED_EVIDENCE,)), lie


def test_certificate_tables_that_lie_in_a_length() -> None:
    table = seeds.snp_tables()[0]
    for at in (16, 20, 40, 44):
        for lie in (len(table), 2**31, 2**32 - 1):
            with pytest.raises(Malformed):
                CertificateTable.parse(table[:at] + lie.to_bytes(4, "little") + table[at + 4 :])


NITRO_HEAD = bytes.fromhex("8444a1013822a0")
CBOR_BOMBS = {
    "nested arrays": NITRO_HEAD + b"\x81" * 16_000,
    "nested in the payload": NITRO_HEAD + b"\x59\x3e\x80" + b"\x81" * 16_000 + b"\x58\x60" + bytes(96),
    "a huge byte string": NITRO_HEAD + b"\x5b" + b"\xff" * 8,
    "a huge map": NITRO_HEAD + b"\x49\xbb" + b"\xff" * 8 + b"\x58\x60" + bytes(96),
    "a huge array of certificates": NITRO_HEAD + b"\x53\xa1\x68cabundle\x9b" + b"\xff" * 8 + b"\x58\x60" + bytes(96),
    "indefinite strings": NITRO_HEAD + b"\x5f" + b"\x41a" * 5000 + b"\xff",
    "indefinite maps": NITRO_HEAD + b"\x59\x10\x00" + b"\xbf" * 4096 + b"\x58\x60" + bytes(96),
    "shared references": NITRO_HEAD + b"\x52\xd8\x1c\x82" + b"\xd8\x1d\x00" * 5 + b"\x58\x60" + bytes(96),
    "a float": NITRO_HEAD + b"\xfb" + bytes(8),
}


@pytest.mark.parametrize("data", CBOR_BOMBS.values(), ids=CBOR_BOMBS)
def test_cbor_bombs(data: bytes) -> None:
    verifier = Verifier(Roots.production())
    verdict = verifier.verify(data, None, seeds.NOON)
    assert (verdict.genuine, verdict.reasons) == (False, (Reason.MALFORMED_EVIDENCE,))
    _, peak = price(refused(NitroDocument.parse, data))
    assert peak < 2 * MAX_QUOTE_SIZE


@pytest.mark.parametrize("size", [MAX_QUOTE_SIZE + 1, 16 * MEGABYTE])
@pytest.mark.parametrize(
    "start", [bytes.fromhex("03000200 00000000"), NITRO_HEAD, b'{"isvEnclaveQuoteBody":"'], ids=repr
)
def test_evidence_that_is_too_long(start: bytes, size: int) -> None:
    data = start + bytes(size - len(start))
    verifier = Verifier(Roots.production())
    verdict = verifier.verify(data, None, seeds.NOON)
    assert (verdict.genuine, verdict.reasons) == (False, (Reason.MALFORMED_EVIDENCE,))
    _, peak = price(lambda: verifier.verify(data, None, seeds.NOON))
    assert peak < 2 * size + MEGABYTE


@pytest.mark.parametrize("make", [lambda n: b"0" * n, lambda n: b"A" * n, lambda n: b" " * n, lambda n: b"\xff" * n])
def test_text_that_is_no_evidence(make: Callable[[int], bytes]) -> None:
    grows_with_its_size(make, detect, MAX_EVIDENCE_TEXT // 8)
    _, peak = price(refused(detect, make(MAX_EVIDENCE_TEXT + 1)))
    assert peak < MEGABYTE + 2 * MAX_EVIDENCE_TEXT


@pytest.mark.parametrize("moment", [0, 2**31, 2**63, 10**30])
def test_any_moment_can_be_asked_about(moment: int) -> None:
    verdict = judge(seeds.evidence()[0], UnixTime(moment))
    assert verdict.genuine is False
    assert json.dumps(verdict.to_json())


POLICY_BOMBS: dict[str, Callable[[int], bytes]] = {
    "a key of many parts": lambda n: b"a." * n + b"a = 1",
    "quoted parts on lines that are none": lambda n: '"\u2028".'.encode() * n + b"a = 1",
    "a table of many parts": lambda n: b"[" + b"a." * n + b"a]",
    "nested arrays": lambda n: b"a = " + b"[" * n,
    "nested tables": lambda n: b"a = {" * n,
    "many tables": lambda n: b"[[accept]]\n" * n,
    "a long comment": lambda n: b"# " + b"." * n,
}


@pytest.mark.parametrize("make", POLICY_BOMBS.values(), ids=POLICY_BOMBS)
def test_policy_bombs(make: Callable[[int], bytes]) -> None:
    """Eight kilobytes of ``a.a.a`` took 65 MB, and four times that for twice the size."""

    _, peak = price(refused(Policy.parse, make(5000)))
    assert peak < 4 * MEGABYTE


def test_real_collateral_is_far_below_the_limits() -> None:
    for data in seeds.collaterals():
        assert len(data) < strict_json.MAX_SIZE / 100
        assert data.count(b"{") + data.count(b"[") < strict_json.MAX_CONTAINERS / 10
