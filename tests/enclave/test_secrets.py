"""How many secrets an enclave holds, and which names give way to which."""

import pytest

from intaglio.enclave import secrets
from intaglio.enclave.secrets import Secrets
from intaglio.wire.downward import ItemOutcome, Secret, SecretKind


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Secrets:
    monkeypatch.setattr(secrets, "MAX_NAMES", 3)
    return Secrets()


def put(held: Secrets, name: str, version: int = 1) -> ItemOutcome:
    return held.take(Secret(bytes(16), name, version, SecretKind.BYTES, b"value"))


def revoke(held: Secrets, name: str, version: int = 2) -> ItemOutcome:
    return held.take(Secret(bytes(16), name, version, SecretKind.REVOKED, b""))


def test_one_name_too_many_is_refused_and_takes_no_others_place(held: Secrets) -> None:
    assert [put(held, name) for name in "abcd"] == [ItemOutcome.TAKEN] * 3 + [ItemOutcome.REFUSED]
    assert list(held) == ["a", "b", "c"]
    assert revoke(held, "d") is ItemOutcome.REFUSED
    assert put(held, "a", 2) is ItemOutcome.TAKEN


def test_revocations_keep_no_secret_out(held: Secrets) -> None:
    assert {revoke(held, f"revoked-{number}") for number in range(10)} == {ItemOutcome.TAKEN}
    assert [put(held, name) for name in "abc"] == [ItemOutcome.TAKEN] * 3
    assert list(held) == ["a", "b", "c"]


def test_only_as_many_revoked_names_are_forgotten_as_must_be(held: Secrets) -> None:
    for name in "abc":
        put(held, name)
    revoke(held, "b")
    revoke(held, "a")
    assert put(held, "d") is ItemOutcome.TAKEN
    assert put(held, "b") is ItemOutcome.OLDER
    assert list(held) == ["c", "d"]
