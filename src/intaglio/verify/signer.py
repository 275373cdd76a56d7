"""The certificate that signed a document which brings its own chain along: AWS Nitro documents and IAS reports.

Chain, constraints and root do not depend on the time, and the same signer signs many documents, so what was found of it
is remembered; windows of validity are handed on for the formats to compare with their moment.
"""

import hashlib
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.types import UnixTime
from intaglio.verify.cache import Recent
from intaglio.verify.endorsements import check_windows
from intaglio.verify.ledger import Ledger, Step, Window, common_span, moment
from intaglio.verify.roots import Roots, Vendor, check_authorities, check_issued, window
from intaglio.verify.signature import Key
from intaglio.wire.x509 import Certificate

__all__ = ["MAX_AHEAD", "Signer", "SignerSteps", "Signers"]

MAX_AHEAD = 60
"""Seconds by which a document may be newer than the time of judgement. Both clocks follow NTP, so they agree within a
second, and times here are whole seconds; a minute forgives a slow clock and is nothing to a certificate's life."""

K = TypeVar("K", bound=Key)


class SignerSteps(NamedTuple):
    """What a format calls the four checks of a chain."""

    certificates: Step
    chain: Step
    constraints: Step
    root: Step


class Signer(NamedTuple, Generic[K]):
    """What is known of a leaf and its issuers at any time. Without a key nothing it signed can be checked.

    `windows` begin with the leaf's.
    """

    findings: Ledger
    key: K | None = None
    windows: tuple[Window, ...] = ()
    span: Window = common_span(())
    simulated: bool = False

    def check_times(self, made: int, at: UnixTime, validity: Step, timestamp: Step, ledger: Ledger) -> None:
        """What depends on the moment `at`: the certificates' windows, and that the document, which says that it was
        made at `made`, was made by then and within the life of the certificate that signed it."""
        if not self.windows:
            return
        early, late = Reason.CERTIFICATE_NOT_YET_VALID, Reason.CERTIFICATE_EXPIRED
        ledger.run(validity, lambda: check_windows(self.span, self.windows, at, early, late))
        leaf = self.windows[0]
        if not leaf.begin <= made <= leaf.end:
            ledger.fail(timestamp, Reason.EVIDENCE_TIMESTAMP, moment(made), expected=leaf)
        elif made > at + MAX_AHEAD:
            expected = f"until {moment(at + MAX_AHEAD)}"
            ledger.fail(timestamp, Reason.EVIDENCE_FROM_FUTURE, moment(made), expected=expected)
        else:
            ledger.ok(timestamp, moment(made))


class _Issuers(NamedTuple, Generic[K]):
    """A bundle under a pinned root, and the key of its last certificate. `name` is the bundle's digest."""

    name: bytes
    certificates: tuple[Certificate, ...]
    key: K


class _Chain(NamedTuple):
    """Certificates as they are read; `authorities` begin with the root."""

    authorities: tuple[Certificate, ...]
    leaf: Certificate


class Signers(Generic[K]):
    """Judges the signers of one vendor under one set of roots, and remembers those that nothing is wrong with.

    Safe for use from several threads; its memory is bounded, and a stranger can't fill it.
    """

    def __init__(
        self,
        roots: Roots,
        vendor: Vendor,
        steps: SignerSteps,
        read_key: Callable[[Certificate, Reason], K],
        *,
        bundles: int,
        leaves: int,
    ) -> None:
        """`read_key` takes the public key out of a certificate or raises `Rejected` with the reason given: it fixes
        the algorithm of every signature in the chain."""
        self._roots = roots
        self._vendor = vendor
        self._steps = steps
        self._read_key = read_key
        self._issuers: Recent[_Issuers[K]] = Recent(bundles)
        self._leaves: Recent[Signer[K]] = Recent(leaves)

    def judge(self, leaf: bytes, bundle: tuple[bytes, ...]) -> Signer[K]:
        """`bundle` begins with the root and ends with the certificate that issued `leaf`; all are DER."""
        name = _name(bundle)
        issuers = self._issuers.get(name)
        known = self._leaves.get(leaf + issuers.name) if issuers else None
        if known is not None:
            return known
        own = Ledger()
        chain = self._read(leaf, bundle, issuers, own)
        if chain is None:
            return Signer(own)
        keys = own.learn(self._steps.chain, lambda: self._check_chain(chain, issuers))
        own.run(self._steps.constraints, lambda: _check_constraints(chain))
        own.run(self._steps.root, lambda: self._roots.check(chain.authorities[0], self._vendor))
        windows = tuple(map(window, (chain.leaf, *reversed(chain.authorities))))
        simulated = self._roots.simulated(chain.authorities[0], self._vendor)
        signer = Signer(own, keys[1] if keys else None, windows, common_span(windows), simulated)
        if keys and own.flawless:
            kept = issuers or _Issuers(hashlib.sha256(name).digest(), chain.authorities, keys[0])
            self._issuers.put(name, kept)
            self._leaves.put(leaf + kept.name, signer)
        return signer

    def forget_leaves(self) -> None:
        """Drops what is remembered of leaves, but not their authorities."""
        self._leaves.clear()

    def _read(self, leaf: bytes, bundle: tuple[bytes, ...], issuers: _Issuers[K] | None, own: Ledger) -> _Chain | None:
        try:
            authorities = issuers.certificates if issuers else tuple(map(Certificate.parse, bundle))
            chain = _Chain(authorities, Certificate.parse(leaf))
        except Malformed as malformed:
            own.fail(self._steps.certificates, Reason.CERTIFICATE_CHAIN, malformed)
            return None
        if not authorities:
            own.fail(self._steps.certificates, Reason.CERTIFICATE_CHAIN, "no authority beside the leaf")
            return None
        own.ok(self._steps.certificates, [each.common_name for each in (*authorities, chain.leaf)])
        return chain

    def _check_chain(self, chain: _Chain, issuers: _Issuers[K] | None) -> tuple[K, K]:
        """The issuing authority's key and the leaf's."""
        reason = Reason.CERTIFICATE_CHAIN
        issuer = chain.authorities[0]
        key = issuers.key if issuers else self._read_key(issuer, reason)
        if issuers is None:
            check_issued(issuer, issuer, key)
            for certificate in chain.authorities[1:]:
                check_issued(certificate, issuer, key)
                issuer, key = certificate, self._read_key(certificate, reason)
        check_issued(chain.leaf, chain.authorities[-1], key)
        return key, self._read_key(chain.leaf, reason)


def _name(bundle: tuple[bytes, ...]) -> bytes:
    """The bundle's bytes, and where each certificate ends in them."""
    return b"".join(b"%d " % len(each) for each in bundle) + b"".join(bundle)


def _check_constraints(chain: _Chain) -> None:
    check_authorities(chain.authorities[::-1])
    leaf = chain.leaf
    if leaf.unknown_critical:
        expected = "known critical extensions"
    elif leaf.is_ca or leaf.signs_certificates or not leaf.signs_data:
        expected = "a leaf that signs data only"
    else:
        return
    raise Rejected(Reason.CERTIFICATE_CONSTRAINTS, expected=expected, found=leaf.common_name)
