"""Bundles: what a data centre signed arrives as it was; whatever else arrives is refused with its reason."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cbor2
import pytest

from intaglio.collateral.bundle import export_bundle, import_bundle, open_bundle, seal_bundle
from intaglio.collateral.cache import CachedSource
from intaglio.collateral.folder import EntryFolder, Kept
from intaglio.collateral.freshness import Forecast
from intaglio.collateral.rollbacks import noted_rollbacks
from intaglio.collateral.sequences import Sequences
from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.session.signing import Signer, SigningKeys, certify
from intaglio.sim.pki import DAY
from intaglio.sim.world import Lab
from intaglio.types import UnixTime
from intaglio.wire import cbor
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.collateral_bundle import Bundle, Entry, SignedBundle
from intaglio.wire.collateral_request import TcbUpdate
from intaglio.wire.identity import KeyCertificate, KeyUse, Pin, Suite
from tests.collateral.conftest import NOON, REQUEST

IDENTITY, STRANGER, OPERATIONAL = (SigningKeys(bytes([n]) * 64) for n in (1, 2, 3))
AUDIENCE = "dc.example"


def pin_of(suite: Suite = Suite.ED25519) -> Pin:
    return Pin(suite, AUDIENCE, (IDENTITY.public,))


def signer_of(suite: Suite = Suite.ED25519, *, uses: KeyUse | None = None, last: int = 2**40) -> Signer:
    """The identity, or an operational key certified for `uses`."""
    if uses is None:
        return Signer(suite, IDENTITY)
    body = KeyCertificate(OPERATIONAL.public, uses, AUDIENCE, 0, last)
    return Signer(suite, OPERATIONAL, certify(suite, IDENTITY, body))


@pytest.fixture
def entry(lab: Lab) -> Entry:
    return entry_of(lab)


def entry_of(lab: Lab, at: UnixTime = NOON) -> Entry:
    collateral = DcapCollateral.parse_json(lab.pcs.collateral(REQUEST.fmspc, "platform", at))
    return Entry(REQUEST, at, "http://pcs.example", collateral)


def bundle_of(*entries: Entry, sequence: int = 7) -> Bundle:
    return Bundle.of(AUDIENCE, NOON, sequence, entries)


@pytest.mark.parametrize("suite", Suite, ids=str)
@pytest.mark.parametrize("uses", [None, KeyUse.COLLATERAL, KeyUse.COLLATERAL | KeyUse.OFFER])
def test_what_was_signed_arrives(entry: Entry, suite: Suite, uses: KeyUse | None) -> None:
    bundle = bundle_of(entry)
    data = seal_bundle(bundle, signer_of(suite, uses=uses))
    assert open_bundle(data, pin_of(suite)) == bundle


def test_the_same_content_is_the_same_bytes(entry: Entry) -> None:
    early = replace(entry, request=replace(REQUEST, update=TcbUpdate.EARLY))
    one, two = (seal_bundle(bundle_of(*order), signer_of()) for order in ((entry, early), (early, entry)))
    assert one == two


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda b: seal_bundle(b, Signer(Suite.ED25519, STRANGER)), Reason.COLLATERAL_BUNDLE_SIGNATURE),
        (lambda b: seal_bundle(b, signer_of(uses=KeyUse.OFFER)), Reason.COLLATERAL_BUNDLE_SIGNATURE),
        (lambda b: seal_bundle(b, signer_of(uses=KeyUse.COLLATERAL, last=NOON - 1)),
         Reason.COLLATERAL_BUNDLE_SIGNATURE),
        (lambda b: seal_bundle(replace(b, audience="other"), signer_of()), Reason.AUDIENCE_MISMATCH),
        (lambda b: SignedBundle(IDENTITY.sign(Suite.ED25519, "offer", b.encode()), None).encode(),
         Reason.COLLATERAL_BUNDLE_SIGNATURE),
    ],
    ids=["a stranger", "a key for offers", "a key of an earlier time", "another audience", "another label"],
)  # fmt: skip
def test_what_another_made_is_refused(entry: Entry, make: Callable[[Bundle], bytes], reason: Reason) -> None:
    with pytest.raises(Rejected) as refused:
        open_bundle(make(bundle_of(entry)), pin_of())
    assert refused.value.reason is reason


def test_a_weaker_suite_is_refused(entry: Entry) -> None:
    with pytest.raises(Rejected) as refused:
        open_bundle(seal_bundle(bundle_of(entry), signer_of()), pin_of(Suite.ED25519_ML_DSA_65))
    assert refused.value.reason is Reason.SUITE_TOO_WEAK


def test_every_flipped_bit_is_noticed(entry: Entry) -> None:
    data = seal_bundle(bundle_of(entry), signer_of())
    for at in range(0, len(data), 97):
        changed = bytearray(data)
        changed[at] ^= 1
        with pytest.raises((Malformed, Rejected)):
            open_bundle(bytes(changed), pin_of())


def test_cut_bundles_are_malformed(entry: Entry) -> None:
    data = seal_bundle(bundle_of(entry), signer_of())
    for cut in (*(data[:n] for n in range(0, len(data), 211)), data + b"\0"):
        with pytest.raises(Malformed):
            open_bundle(cut, pin_of())


@pytest.mark.parametrize("at", range(5))
def test_bodies_that_are_none(entry: Entry, at: int) -> None:
    items = cbor2.loads(bundle_of(entry).encode())
    wrong: dict[int, cbor.Value] = {0: 2, 1: 5, 2: -1, 3: "7", 4: [items[4][0], items[4][0]]}
    for value in (wrong[at], None):
        with pytest.raises(Malformed):
            Bundle.parse(cbor.encode([*items[:at], value, *items[at + 1 :]]))


def test_an_import_is_served_by_a_gateway_without_network(entry: Entry, tmp_path: Path) -> None:
    data = seal_bundle(bundle_of(entry), signer_of())
    imported = import_bundle(data, pin_of(), tmp_path, NOON)
    assert [each.request for each in imported.taken] == [REQUEST]
    assert CachedSource((), tmp_path).get(REQUEST, NOON) == entry.collateral
    again = import_bundle(data, pin_of(), tmp_path, NOON)
    assert (again.taken, len(again.unchanged)) == ((), 1), "the same bundle again completes what was broken off"


def test_an_old_bundle_is_refused(lab: Lab, entry: Entry, tmp_path: Path) -> None:
    newer = entry_of(lab, UnixTime(NOON + 5 * DAY))
    import_bundle(seal_bundle(bundle_of(newer, sequence=8), signer_of()), pin_of(), tmp_path, NOON)
    for old in (bundle_of(entry, sequence=7), bundle_of(entry, sequence=8)):
        with pytest.raises(Rejected) as refused:
            import_bundle(seal_bundle(old, signer_of()), pin_of(), tmp_path, NOON)
        assert refused.value.reason is Reason.COLLATERAL_BUNDLE_OLD
    assert [each.collateral for each in EntryFolder(tmp_path).entries()] == [newer.collateral]


def test_older_collateral_in_a_newer_bundle_is_not_taken(lab: Lab, entry: Entry, tmp_path: Path) -> None:
    newer = entry_of(lab, UnixTime(NOON + 5 * DAY))
    import_bundle(seal_bundle(bundle_of(newer, sequence=8), signer_of()), pin_of(), tmp_path, NOON)
    imported = import_bundle(seal_bundle(bundle_of(entry, sequence=9), signer_of()), pin_of(), tmp_path, NOON)
    assert imported.taken == ()
    assert {rollback.what for rollback in imported.older} == {"tcb_info", "qe_identity", "root_ca_crl", "pck_crl"}
    assert [each.collateral for each in EntryFolder(tmp_path).entries()] == [newer.collateral]
    assert {each["what"] for each in noted_rollbacks(tmp_path)} == {rollback.what for rollback in imported.older}


def test_an_entry_under_another_name_is_refused(entry: Entry, tmp_path: Path) -> None:
    named = replace(entry, request=replace(REQUEST, ca="processor"))
    with pytest.raises(Malformed, match="not what it is named"):
        import_bundle(seal_bundle(bundle_of(named), signer_of()), pin_of(), tmp_path / "cache", NOON)
    assert not (tmp_path / "cache").exists()


def test_another_pin_has_numbers_of_its_own(entry: Entry, tmp_path: Path) -> None:
    import_bundle(seal_bundle(bundle_of(entry, sequence=8), signer_of()), pin_of(), tmp_path, NOON)
    pin = Pin(Suite.ED25519, AUDIENCE, (STRANGER.public,))
    import_bundle(seal_bundle(bundle_of(entry, sequence=3), Signer(Suite.ED25519, STRANGER)), pin, tmp_path, NOON)
    assert {number for number, _ in Sequences.open(tmp_path).imports.values()} == {8, 3}


def test_every_export_has_a_higher_number(entry: Entry, tmp_path: Path) -> None:
    numbers = []
    for at in (NOON, NOON, UnixTime(NOON - DAY), UnixTime(NOON + DAY)):
        bundle, data = export_bundle([entry], signer_of(), pin_of(), tmp_path, at)
        assert open_bundle(data, pin_of()) == bundle
        numbers.append(bundle.sequence)
    assert numbers == [NOON, NOON + 1, NOON + 2, NOON + DAY]


def test_nothing_is_exported_that_nobody_would_import(entry: Entry, tmp_path: Path) -> None:
    with pytest.raises(Rejected) as refused:
        export_bundle([entry], signer_of(uses=KeyUse.OFFER), pin_of(), tmp_path, NOON)
    assert refused.value.reason is Reason.COLLATERAL_BUNDLE_SIGNATURE
    assert list(tmp_path.glob("[!.]*")) == []


@pytest.mark.parametrize(
    "content", [b"", b"\x83", bytes(range(64)), cbor.labelled("bundle-sequences", [[b"x", 1]], [])]
)
def test_numbers_that_can_not_be_read_stop_the_import(entry: Entry, tmp_path: Path, content: bytes) -> None:
    """Else whoever destroys the file could bring an old bundle."""
    (tmp_path / "bundles.cbor").write_bytes(content)
    with pytest.raises(Malformed):
        import_bundle(seal_bundle(bundle_of(entry), signer_of()), pin_of(), tmp_path, NOON)
    assert list(EntryFolder(tmp_path).entries()) == []


def test_rollbacks_are_noted_and_bounded(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intaglio.collateral.rollbacks.MAX_NOTED", 6)
    (tmp_path / "rollbacks.jsonl").write_text("garbage\n[]\n")
    newer, older = entry_of(lab, UnixTime(NOON + 5 * DAY)), entry_of(lab)
    import_bundle(seal_bundle(bundle_of(newer, sequence=1), signer_of()), pin_of(), tmp_path, NOON)
    for sequence in (2, 3, 4):
        data = seal_bundle(bundle_of(older, sequence=sequence), signer_of())
        import_bundle(data, pin_of(), tmp_path, UnixTime(NOON + sequence))
    noted = noted_rollbacks(tmp_path)
    assert len(noted) == 6
    assert noted[-1]["at"] == NOON + 4


def test_two_imports_at_once_leave_the_newer_one(
    lab: Lab, entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer, keep = entry_of(lab, UnixTime(NOON + 5 * DAY)), EntryFolder.keep

    def overtaken(folder: EntryFolder, offer: Forecast) -> Kept:
        monkeypatch.setattr(EntryFolder, "keep", keep)
        import_bundle(seal_bundle(bundle_of(newer, sequence=8), signer_of()), pin_of(), tmp_path, NOON)
        return keep(folder, offer)

    monkeypatch.setattr(EntryFolder, "keep", overtaken)
    with pytest.raises(Rejected) as refused:
        import_bundle(seal_bundle(bundle_of(entry, sequence=7), signer_of()), pin_of(), tmp_path, NOON)
    assert refused.value.reason is Reason.COLLATERAL_BUNDLE_OLD
    assert Sequences.open(tmp_path).imports[pin_of().hash][0] == 8
    assert [each.collateral for each in EntryFolder(tmp_path).entries()] == [newer.collateral]


def test_a_broken_file_in_the_store_stops_no_import(entry: Entry, tmp_path: Path) -> None:
    import_bundle(seal_bundle(bundle_of(entry), signer_of()), pin_of(), tmp_path, NOON)
    (path,) = tmp_path.glob("*.collateral")
    assert isinstance(entry.collateral, DcapCollateral)
    path.write_bytes(replace(entry, collateral=replace(entry.collateral, tcb_info=b"{}")).encode())
    imported = import_bundle(seal_bundle(bundle_of(entry), signer_of()), pin_of(), tmp_path, NOON)
    assert imported.taken == (entry,)
    assert [each.collateral for each in EntryFolder(tmp_path).entries()] == [entry.collateral]


def test_what_a_crash_left_is_removed_by_the_next_import(entry: Entry, tmp_path: Path) -> None:
    for name in (".bundles.cbor.0a1b2c3d", f".{REQUEST.key}.collateral.0a1b2c3d"):
        (tmp_path / name).write_bytes(b"half")
    import_bundle(seal_bundle(bundle_of(entry), signer_of()), pin_of(), tmp_path, NOON)
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "bundles.cbor", f"{REQUEST.key}.collateral"}
