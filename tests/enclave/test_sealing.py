"""Sealed blobs: what opens them, and what each change of a byte, a policy or an enclave does."""

from dataclasses import replace

import pytest

from intaglio.attest.base import SealPolicy
from intaglio.enclave import Enclave
from intaglio.enclave.sealing import seal, unseal
from intaglio.errors import LocalProtocolError, Malformed, Rejected, Unavailable
from intaglio.reasons import Reason
from tests.enclave.world import FakeAttester

HEADER = 8 + 1 + 1 + 2 + 32


@pytest.fixture
def attester() -> FakeAttester:
    return FakeAttester({})


@pytest.mark.parametrize("policy", [SealPolicy.MRENCLAVE, SealPolicy.MRSIGNER])
@pytest.mark.parametrize("data", [b"", b"secret", bytes(100_000)])
def test_what_is_sealed_opens(attester: FakeAttester, policy: SealPolicy, data: bytes) -> None:
    blob = seal(attester, data, policy, b"counter 7")
    assert len(blob) == HEADER + len(data) + 16
    assert unseal(attester, blob, b"counter 7") == data


def test_no_two_blobs_share_a_key(attester: FakeAttester) -> None:
    first, second = (seal(attester, b"secret", SealPolicy.MRENCLAVE) for _ in range(2))
    assert first[12:HEADER] != second[12:HEADER]
    assert first[HEADER:] != second[HEADER:]


def test_a_tee_with_one_key_for_all_still_gives_each_blob_its_own(
    attester: FakeAttester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under Gramine, whose sealing key does not depend on a key id."""
    monkeypatch.setattr(attester, "seal_key", lambda *_: bytes(16))
    first, second = (seal(attester, b"secret", SealPolicy.MRENCLAVE) for _ in range(2))
    assert first[HEADER:] != second[HEADER:]
    assert unseal(attester, first) == unseal(attester, second) == b"secret"


def refused(attester: FakeAttester, blob: bytes, aad: bytes = b"") -> Reason:
    with pytest.raises(Rejected) as error:
        unseal(attester, blob, aad)
    return error.value.reason


def test_every_byte_counts(attester: FakeAttester) -> None:
    blob = seal(attester, b"secret", SealPolicy.MRENCLAVE)
    for at in range(len(blob)):
        changed = blob[:at] + bytes([blob[at] ^ 0x10]) + blob[at + 1 :]
        with pytest.raises((Malformed, Rejected)) as error:
            unseal(attester, changed)
        assert isinstance(error.value, Malformed) == (at < 10)


def test_the_policy_is_authenticated(attester: FakeAttester) -> None:
    attester.mr_signer = attester.mr_enclave
    blob = bytearray(seal(attester, b"secret", SealPolicy.MRENCLAVE))
    blob[9] = SealPolicy.MRSIGNER
    assert refused(attester, bytes(blob)) is Reason.SEAL_AUTHENTICATION


def test_cut_short_it_is_malformed_or_refused(attester: FakeAttester) -> None:
    blob = seal(attester, b"", SealPolicy.MRENCLAVE)
    for cut in range(len(blob)):
        with pytest.raises(Malformed, match="seal"):
            unseal(attester, blob[:cut])
    assert refused(attester, blob + b"\0") is Reason.SEAL_AUTHENTICATION


def test_additional_data_must_be_the_same(attester: FakeAttester) -> None:
    blob = seal(attester, b"secret", SealPolicy.MRENCLAVE, b"a")
    assert refused(attester, blob, b"b") is Reason.SEAL_AUTHENTICATION
    assert refused(attester, blob) is Reason.SEAL_AUTHENTICATION


def test_who_can_open_what(attester: FakeAttester) -> None:
    mine = seal(attester, b"mine", SealPolicy.MRENCLAVE)
    vendors = seal(attester, b"vendor's", SealPolicy.MRSIGNER)
    updated = replace(attester, mr_enclave=b"another enclave")
    assert unseal(updated, vendors) == b"vendor's"
    assert refused(updated, mine) is Reason.SEAL_AUTHENTICATION
    stranger = replace(updated, mr_signer=b"another vendor")
    elsewhere = replace(attester, cpu=b"another cpu")
    for other in (stranger, elsewhere):
        assert refused(other, vendors) is Reason.SEAL_AUTHENTICATION
    assert refused(elsewhere, mine) is Reason.SEAL_AUTHENTICATION


@pytest.mark.parametrize("policy", [SealPolicy.MRENCLAVE, SealPolicy.MRSIGNER])
def test_a_newer_version_opens_what_an_older_one_sealed_and_not_the_reverse(policy: SealPolicy) -> None:
    older, newer = FakeAttester({}, isv_svn=1), FakeAttester({}, isv_svn=0x0203)
    blob = seal(older, b"from before the update", policy)
    assert blob[10:12] == b"\x01\x00"
    assert unseal(newer, blob) == b"from before the update"
    again = seal(newer, b"from after it", policy)
    assert again[10:12] == b"\x03\x02"
    assert unseal(newer, again) == b"from after it"
    assert refused(older, again) is Reason.SEAL_AUTHENTICATION


def test_the_version_is_authenticated(attester: FakeAttester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the TEE's key does not depend on it."""
    monkeypatch.setattr(attester, "seal_key", lambda *_: bytes(16))
    blob = bytearray(seal(attester, b"secret", SealPolicy.MRSIGNER))
    blob[10] -= 1
    assert refused(attester, bytes(blob)) is Reason.SEAL_AUTHENTICATION


@pytest.mark.parametrize("policy", [SealPolicy(0), SealPolicy.MRENCLAVE | SealPolicy.MRSIGNER])
def test_other_policies_are_refused(attester: FakeAttester, policy: SealPolicy) -> None:
    with pytest.raises(LocalProtocolError, match="MRENCLAVE or MRSIGNER"):
        seal(attester, b"", policy)


def test_a_tee_without_sealing_says_so(attester: FakeAttester, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(policy: SealPolicy, key_id: bytes, isv_svn: int) -> bytes:
        raise Unavailable("no sealing key on this TEE")

    blob = seal(attester, b"", SealPolicy.MRENCLAVE)
    monkeypatch.setattr(attester, "seal_key", none)
    with pytest.raises(Unavailable):
        seal(attester, b"", SealPolicy.MRENCLAVE)
    with pytest.raises(Unavailable):
        unseal(attester, blob)


def test_outside_an_enclave_nothing_is_sealed() -> None:
    enclave = Enclave()
    with pytest.raises(LocalProtocolError, match="seal: not inside"):
        enclave.seal(b"")
    with pytest.raises(LocalProtocolError, match="unseal: not inside"):
        enclave.unseal(b"")
