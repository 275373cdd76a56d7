"""Bundles of collateral for sites without a network: signed by a data centre, checked by its pin, never older than the
last one. The rules are those of docs/protocol.md §11.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from intaglio.collateral.folder import EntryFolder
from intaglio.collateral.freshness import forecast
from intaglio.collateral.rollbacks import Rollback, note_rollbacks
from intaglio.collateral.sequences import Sequences
from intaglio.collateral.source import fits
from intaglio.errors import Malformed, Rejected
from intaglio.files import exclusive
from intaglio.reasons import Reason
from intaglio.session.signing import Signer, trusted_keys, verify_by
from intaglio.types import UnixTime
from intaglio.wire import cose
from intaglio.wire.collateral_bundle import Bundle, Entry, SignedBundle
from intaglio.wire.identity import KeyUse, Pin, Suite

__all__ = ["Imported", "export_bundle", "import_bundle", "open_bundle", "seal_bundle"]

_LABEL = "collateral-bundle"


def seal_bundle(bundle: Bundle, signer: Signer) -> bytes:
    """The bundle, signed."""
    return SignedBundle(signer.sign(_LABEL, bundle.encode()), signer.certificate).encode()


def open_bundle(data: bytes, pin: Pin) -> Bundle:
    """A bundle that the pinned data centre signed. Raises `Malformed`, `Rejected`."""
    parts = SignedBundle.parse(data)
    signed = cose.Signed.parse(parts.signed, "bundle.signed")
    suite = Suite.ED25519 if len(signed.signatures) == 1 else Suite.ED25519_ML_DSA_65
    if suite < pin.minimum_suite:
        raise Rejected(Reason.SUITE_TOO_WEAK, expected=int(pin.minimum_suite), found=int(suite))
    # Unverified until the next line but one: only the range of a certificate is looked up by it.
    created = Bundle.parse(signed.payload or b"").created
    reason = Reason.COLLATERAL_BUNDLE_SIGNATURE
    keys = trusted_keys(pin, suite, parts.certificate, KeyUse.COLLATERAL, created, 0, reason)
    bundle = Bundle.parse(verify_by(keys, suite, _LABEL, parts.signed, None, reason))
    if bundle.audience != pin.audience:
        raise Rejected(Reason.AUDIENCE_MISMATCH, expected=pin.audience, found=bundle.audience)
    return bundle


def export_bundle(
    entries: Iterable[Entry], signer: Signer, pin: Pin, folder: Path, at: UnixTime
) -> tuple[Bundle, bytes]:
    """Signs what was chosen, under a sequence number above every earlier one. Raises `Malformed` (the numbers in
    `folder` can't be read), `Rejected` (nobody would import it: the key is not certified for bundles), OSError."""
    with exclusive(folder):
        sequences = Sequences.open(folder)
        bundle = Bundle.of(pin.audience, at, sequences.next_export(pin.hash, at), entries)
        data = seal_bundle(bundle, signer)
        open_bundle(data, pin)
        sequences.exported(pin.hash, bundle.sequence).save()
    return bundle, data


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a bundle's entries."""

    bundle: Bundle
    taken: tuple[Entry, ...]
    unchanged: tuple[Entry, ...]
    older: tuple[Rollback, ...]
    """Parts that went back behind what is held; their entries were not taken."""


def import_bundle(data: bytes, pin: Pin, folder: Path, at: UnixTime) -> Imported:
    """Takes over what is newer than what lies in `folder`. Raises `Malformed`, `Rejected` (nothing is changed then),
    OSError (a part may be there; importing again completes it)."""
    bundle = open_bundle(data, pin)
    digest = hashlib.sha256(bundle.encode()).digest()
    Sequences.open(folder).check_import(pin.hash, bundle.sequence, digest)
    offers = [forecast(entry) for entry in bundle.entries]
    for offer in offers:
        if not fits(offer.entry.collateral, offer.entry.request):
            raise Malformed("bundle.entry", f"not what it is named: {offer.entry.request}")
    held = EntryFolder(folder)
    kept = [(offer.entry, held.keep(offer)) for offer in offers]
    older = tuple(rollback for _, each in kept for rollback in each.older)
    note_rollbacks(folder, older, at)
    with exclusive(folder):
        # Another import may have been faster. What it took is newer, and its number stays.
        sequences = Sequences.open(folder)
        sequences.check_import(pin.hash, bundle.sequence, digest)
        sequences.imported(pin.hash, bundle.sequence, digest).save()
    taken = tuple(entry for entry, each in kept if each.taken)
    unchanged = tuple(entry for entry, each in kept if not each.taken and not each.older)
    return Imported(bundle, taken, unchanged, older)
