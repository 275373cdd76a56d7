"""What an enclave demands of a statement of time and collateral before it judges a peer by it."""

from dataclasses import replace

import pytest

from intaglio.errors import Malformed
from intaglio.reasons import Reason
from intaglio.session.signing import Signer
from intaglio.session.statements import CheckedStatement, check_statement, make_statement
from intaglio.types import UnixTime
from intaglio.wire import cose
from intaglio.wire.identity import KeyUse, Suite
from intaglio.wire.statement import MAX_QUESTION, MAX_STATEMENT, Question, Statement, StatementBody
from tests.session.world import AUDIENCE, NOON, certified, keys, pin_of, refused

NONCE = bytes(range(32))
COLLATERAL = b'{"any": "bytes, as far as the statement goes"}'


def _made(signer: Signer, *, nonce: bytes = NONCE, audience: str = AUDIENCE, epoch: int = 7) -> bytes:
    return make_statement(signer, audience=audience, nonce=nonce, epoch=epoch, at=NOON, collateral=COLLATERAL)


def _check(data: bytes, suite: Suite, **epochs: int) -> CheckedStatement:
    return check_statement(pin_of(suite), data, NONCE, **epochs)


def _identity(suite: Suite, name: str = "identity") -> Signer:
    return Signer(suite, keys(name))


@pytest.mark.parametrize("operational", [False, True])
def test_the_pinned_identity_and_a_key_it_certified_are_believed(suite: Suite, operational: bool) -> None:
    signer = certified(suite) if operational else _identity(suite)
    assert _check(_made(signer), suite) == CheckedStatement(NOON, COLLATERAL, 7, 0)


def test_a_time_without_collateral_is_a_statement(suite: Suite) -> None:
    signer = _identity(suite)
    data = make_statement(signer, audience=AUDIENCE, nonce=NONCE, epoch=7, at=NOON, collateral=None)
    assert _check(data, suite).collateral is None


def test_a_replayed_statement_is_refused(suite: Suite) -> None:
    with refused(Reason.STATEMENT_REPLAYED):
        _check(_made(_identity(suite), nonce=bytes(32)), suite)


def test_a_statement_by_another_identity_is_refused(suite: Suite) -> None:
    with refused(Reason.STATEMENT_SIGNATURE):
        _check(_made(_identity(suite, "a thief")), suite)


def test_a_statement_for_another_audience_is_refused(suite: Suite) -> None:
    with refused(Reason.AUDIENCE_MISMATCH):
        _check(_made(_identity(suite), audience="other.example"), suite)


def test_a_lower_suite_than_the_pinned_is_refused() -> None:
    with refused(Reason.SUITE_TOO_WEAK):
        _check(_made(_identity(Suite.ED25519)), Suite.ED25519_ML_DSA_65)


@pytest.mark.parametrize("epochs", [{"highest_epoch": 8}, {"minimum_epoch": 8}], ids=str)
def test_a_lower_epoch_than_seen_is_refused(suite: Suite, epochs: dict[str, int]) -> None:
    with refused(Reason.OFFER_TOO_OLD):
        _check(_made(_identity(suite)), suite, **epochs)


def test_a_revoked_certificate_is_refused(suite: Suite) -> None:
    assert _check(_made(certified(suite)), suite, minimum_epoch=5).epoch == 7
    with refused(Reason.OFFER_TOO_OLD):
        _check(_made(certified(suite)), suite, minimum_epoch=6)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"uses": KeyUse.OFFER}, Reason.STATEMENT_SIGNATURE),
        ({"uses": KeyUse.COLLATERAL}, Reason.STATEMENT_SIGNATURE),
        ({"audience": "other.example"}, Reason.AUDIENCE_MISMATCH),
        ({"epoch_from": 8}, Reason.STATEMENT_SIGNATURE),
        ({"epoch_to": 6}, Reason.STATEMENT_SIGNATURE),
        ({"by": "a thief"}, Reason.STATEMENT_SIGNATURE),
    ],
    ids=str,
)
def test_a_statements_certificate_must_fit(suite: Suite, changes: dict[str, object], reason: Reason) -> None:
    with refused(reason):
        _check(_made(certified(suite, **changes)), suite)  # type: ignore[arg-type]


@pytest.mark.parametrize("label", ["offer", "accept", "key", "collateral-bundle", ""])
def test_a_signature_under_another_label_is_refused(suite: Suite, label: str) -> None:
    body = StatementBody(suite, AUDIENCE, NONCE, 7, 0, NOON, None)
    signed = keys("identity").sign(suite, label, body.encode())
    with refused(Reason.STATEMENT_SIGNATURE):
        _check(Statement(signed, None).encode(), suite)


def test_an_edit_of_any_part_is_refused(suite: Suite) -> None:
    signed = cose.Signed.parse(Statement.parse(_made(_identity(suite))).signed, "statement")
    body = StatementBody.parse(signed.payload or b"")
    changes: tuple[dict[str, object], ...] = (
        {"nonce": bytes(32)},
        {"epoch": 8},
        {"minimum_epoch": 7},
        {"at": UnixTime(NOON - 86_400)},
        {"collateral": None},
        {"collateral": b"older"},
        {"audience": "other.example"},
    )
    for change in changes:
        edited = replace(signed, payload=replace(body, **change).encode())  # type: ignore[arg-type]
        with refused(Reason.STATEMENT_SIGNATURE):
            _check(Statement(edited.encode(), None).encode(), suite)


@pytest.mark.parametrize(("operational", "revoked_below"), [(False, 6), (True, 0)])
def test_only_an_identitys_statement_revokes(suite: Suite, operational: bool, revoked_below: int) -> None:
    signer = certified(suite) if operational else _identity(suite)
    body = StatementBody(suite, AUDIENCE, NONCE, 7, 6, NOON, None)
    data = Statement(signer.sign("statement", body.encode()), signer.certificate).encode()
    assert _check(data, suite).minimum_epoch == revoked_below


def test_what_is_above_its_limit_is_not_even_decoded(suite: Suite) -> None:
    with pytest.raises(Malformed, match=f"at most {MAX_STATEMENT}"):
        _check(bytes(MAX_STATEMENT + 1), suite)
    with pytest.raises(Malformed, match=f"at most {MAX_QUESTION}"):
        Question.parse(bytes(MAX_QUESTION + 1))


def test_a_detached_statement_is_malformed(suite: Suite) -> None:
    body = StatementBody(suite, AUDIENCE, NONCE, 7, 0, NOON, None)
    detached = keys("identity").sign(suite, "statement", body.encode(), detached=True)
    with pytest.raises(Malformed):
        _check(Statement(detached, None).encode(), suite)
