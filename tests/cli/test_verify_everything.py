"""`verify` on whatever there is: every file of the collection of real evidence, each kind in every armour, and bytes
that are nothing. A person is told what it is, and why it is or is not acceptable."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from intaglio.cli.formats import guess
from intaglio.reasons import Reason
from tests.cli.conftest import Ran, run
from tests.conftest import VECTORS, missing, vector_cases
from tests.wire.test_ias import QUOTE, REPORT, body

EVIDENCE = {"quote.bin", "report.bin", "attestation_doc.cbor"}
KINDS = {"sgx": "SGX, ECDSA quote, version", "tdx": "TDX, ECDSA quote, version", "snp": "SNP, SEV-SNP report, version",
         "nitro": "NITRO, Nitro attestation document"}  # fmt: skip
HEADLINES = ("UNDECIDABLE", "NOT GENUINE", "GENUINE")


def files() -> list[Path]:
    if not VECTORS.is_dir():
        missing("vectors of real evidence")
    return sorted(path for path in VECTORS.rglob("*") if path.is_file())


def evidence_of(kind: str) -> Iterator[Path]:
    for case in vector_cases(kind):
        yield from (path for path in sorted(case.iterdir()) if path.name in EVIDENCE)


def one_of(kind: str) -> Path:
    found = next(evidence_of(kind), None)
    return missing(f"vectors of {kind}") if found is None else found


def is_explained(ran: Ran) -> None:
    """A headline, and for each reason everything that is known of it."""
    assert ran.status in (0, 1, 3)
    # The certificate of a peer has a headline of its own before that of its evidence.
    above = 1 if "NOT BOUND" in ran.out.splitlines()[0] else 0
    headline = ran.out.splitlines()[2 + above]
    assert headline.startswith(HEADLINES)
    if not headline.startswith("GENUINE"):
        assert any(f"\n{reason.name}\n" in ran.out for reason in Reason)
        assert "what to do" in ran.out
    assert "Traceback" not in ran.out + ran.err


def test_every_file_of_the_collection_is_told_what_it_is() -> None:
    for path in files():
        ran = run("verify", path)
        is_explained(ran)
        kind = path.relative_to(VECTORS).parts[0]
        if kind == "ratls":
            assert "DICE certificate, 4," in "".join(ran.out.splitlines()[:2]), path
            assert "SGX, ECDSA quote, version 3" in "".join(ran.out.splitlines()[:2]), path
        elif path.name in EVIDENCE:
            assert KINDS[kind] in ran.out.splitlines()[0], path
        else:
            assert "no kind of evidence" in ran.out.splitlines()[0], path
            assert "which is no evidence" in ran.err, path


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_tree_shows_every_check(kind: str) -> None:
    for path in evidence_of(kind):
        ran = run("verify", path, "--explain")
        is_explained(ran)
        checks = run("verify", path, "--json").json["checks"]
        assert ran.out.count("expected  ") == len(checks)
        for title in {check["group"] for check in checks}:
            assert sum(f" {title}: " in line for line in ran.out.splitlines() if line[:1] in "├└") == 1


def test_a_nitro_document_needs_nothing_but_its_time() -> None:
    one_of("nitro")
    for case in vector_cases("nitro"):
        known = json.loads((case / "case.json").read_bytes())
        ran = run("verify", case / "attestation_doc.cbor", "--at", known["time"], "--explain")
        assert ran.status == (1 if known["negative"] else 0), case.name
        is_explained(ran)
        assert "PCR0 " in ran.out, case.name


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_armour_of_every_kind(kind: str) -> None:
    raw = one_of(kind).read_bytes()
    expected = run("verify", "-", "--json", "--at", 1_750_000_000, stdin=raw).json
    for text in (raw.hex().encode(), raw.hex().upper().encode(), base64.b64encode(raw), base64.urlsafe_b64encode(raw)):
        found = run("verify", "-", "--json", "--at", 1_750_000_000, stdin=text + b"\n").json
        assert {**found, "encoding": "raw"} == expected


@pytest.mark.parametrize("kind", list(KINDS))
def test_evidence_cut_short_is_explained(kind: str) -> None:
    raw = one_of(kind).read_bytes()
    for length in (0, 1, 48, 432, 500, len(raw) - 1):
        for given in (["--explain"], []):
            is_explained(run("verify", "-", *given, stdin=raw[:length]))


LOCAL = REPORT.encode() + bytes(48)
OLD_KINDS = {
    "SGX, IAS report": body(),
    "SGX, EPID quote, version 2": QUOTE.encode() + bytes(4),
    "SGX, SGX report": LOCAL,
}


@pytest.mark.parametrize("what", list(OLD_KINDS))
def test_kinds_of_evidence_that_nobody_makes_for_us(what: str) -> None:
    """Nothing real of them lies here; each is recognised in every armour, explained, and never genuine."""
    data = OLD_KINDS[what]
    for text in (data, data.hex().encode(), base64.b64encode(data)):
        ran = run("verify", "-", "--explain", stdin=text)
        assert ran.out.splitlines()[0].endswith(what)
        assert ran.status in (1, 3)
        is_explained(ran)
        assert "MRENCLAVE" in ran.out


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "an empty file"),
        (bytes(10), "nothing but zeros"),
        (b" \n", "white space"),
        (b"hello, quote", "text"),
        (b"two\nlines", "text"),
        (json.dumps({"a": 1, "b": 2}).encode(), "JSON (a, b)"),
        (b"[1]", "JSON"),
        (b'{"a": ', "text that begins like JSON"),
        (b"[" * 100_000, "text that begins like JSON"),
        (b"-----BEGIN NOTHING-----", "PEM"),
        (b"\x7fELF\x02", "a program"),
        (b"\x1f\x8b\x08\x00", "something compressed"),
        (b"\xff\xfe\x00\x01" * 3, "12 bytes that begin with fffe0001"),
        (b"\x01\x02", "2 bytes that begin with 0102"),
    ],
)
def test_what_is_nothing_is_guessed_at(data: bytes, what: str) -> None:
    assert what in guess(data)
    ran = run("verify", "-", stdin=data)
    is_explained(ran)
    assert what in ran.err
    assert "NOT GENUINE: this is no evidence" in ran.out
