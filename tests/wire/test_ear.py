"""Attestation results as bytes: both serialisations, what they refuse, and a status that can't be flattered."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import Malformed
from intaglio.types import UnixTime
from intaglio.wire import cbor
from intaglio.wire.ear import PROFILE, Appraisal, Claim, Ear, Tier, VerifierId, worst
from intaglio.wire.ear_cbor import decode_ear, encode_ear
from intaglio.wire.jws import Jws, encode, signing_input
from tests.feeding import feed, feed_garbage

FULL = Ear(
    issued_at=UnixTime(1_780_315_200),
    verifier=VerifierId("Intaglio", "intaglio 0"),
    appraisals={
        "sgx": Appraisal(
            Tier.WARNING,
            {Claim.HARDWARE: 32, Claim.EXECUTABLES: 3, Claim.SOURCED_DATA: 0},
            policy_ids=("urn:intaglio:policy:00",),
            nonce=bytes(range(64)),
            annotated_evidence={
                "tee": "sgx",
                "identity": {"debug": False, "pcrs": {"0": "00"}, "list": [1, None, "x"]},
            },
            policy_claims={"decision": "accepted", "reasons": []},
        ),
        "td": Appraisal(Tier.AFFIRMING, {Claim.HARDWARE: -2}),
    },
    expires=UnixTime(1_790_000_000),
    issuer="dc",
)
LEAST = Ear(UnixTime(0), VerifierId("v", "1"), {"x": Appraisal(Tier.NONE, {Claim.HARDWARE: 0})})


@pytest.mark.parametrize("ear", [FULL, LEAST])
def test_both_forms_come_back_as_they_went(ear: Ear) -> None:
    assert Ear.from_json(ear.to_json()) == ear
    assert decode_ear(encode_ear(ear)) == ear
    assert ear.to_claims()["ear_status"] == ear.status.label


def test_readers_are_fed() -> None:
    feed(decode_ear, encode_ear(FULL))
    feed(Ear.from_json, FULL.to_json(), may_follow=b"\n")


def test_the_numbers_of_cbor_are_those_of_the_draft() -> None:
    claims = cbor.decode(encode_ear(FULL), "ear")
    assert isinstance(claims, dict)
    assert claims[265] == PROFILE == "tag:ietf.org,2026:rats/ear#03"
    assert (claims[6], claims[4], claims[1], claims[1000]) == (1_780_315_200, 1_790_000_000, "dc", 32)
    assert claims[1004] == {0: "Intaglio", 1: "intaglio 0"}
    submods = claims[266]
    assert isinstance(submods, dict)
    assert submods["td"] == {1000: 2, 1001: {4: -2}}
    sgx = submods["sgx"]
    assert isinstance(sgx, dict)
    assert sgx.keys() == {10, 1000, 1001, 1003, -70000, -70001}
    assert (sgx[10], sgx[1001], sgx[1003]) == (bytes(range(64)), {2: 3, 4: 32, 7: 0}, ["urn:intaglio:policy:00"])


def test_results_of_other_verifiers_are_read_and_what_is_unknown_is_skipped() -> None:
    token = {
        "eat_profile": PROFILE,
        "iat": 1_666_529_184,
        "ear_verifier_id": {"developer": "https://verifier.example", "build": "v 0.0.1", "more": 1},
        "ear_raw_evidence": "NzQ3MjY5NzM2NTYzNzQK",
        "something.else": {"x": [1]},
        "submods": {
            "PSA": {
                "ear_status": "contraindicated",
                "ear_trustworthiness_vector": {"instance-identity": 2, "executables": 96, "hardware": 2, "later": 2},
                "ear_appraisal_policy_ids": ["https://verifier.example/policy/1"],
                "ear_veraison_key_attestation": {"akpub": "AAAA"},
            }
        },
    }
    ear = Ear.from_json(json.dumps(token).encode())
    assert ear.status is Tier.CONTRAINDICATED
    assert ear.appraisals["PSA"].vector == {Claim.INSTANCE_IDENTITY: 2, Claim.EXECUTABLES: 96, Claim.HARDWARE: 2}
    numbers: cbor.Value = {
        265: PROFILE, 6: 1_666_529_184, 1004: {0: "d", 1: "b", 2: "c"}, 1002: b"evidence", -80000: 1,
        266: {"PSA": {1000: 96, 1001: {0: 2, 2: 96, 99: 1}, -70002: {"akpub": b"x"}}},
    }  # fmt: skip
    assert decode_ear(cbor.encode(numbers)).appraisals["PSA"].vector == {
        Claim.INSTANCE_IDENTITY: 2,
        Claim.EXECUTABLES: 96,
    }


Edit = Callable[[dict[str, object]], object]
SGX = "sgx"


def _sgx(claims: dict[str, object]) -> dict[str, object]:
    submods = claims["submods"]
    assert isinstance(submods, dict)
    found = submods[SGX]
    assert isinstance(found, dict)
    return found


EDITS: list[Edit] = [
    lambda c: c.update(eat_profile="tag:github.com,2023:veraison/ear"),
    lambda c: c.pop("eat_profile"),
    lambda c: c.pop("iat"),
    lambda c: c.update(iat=True),
    lambda c: c.update(iat=-1),
    lambda c: c.update(iat=2**60),
    lambda c: c.update(exp="tomorrow"),
    lambda c: c.update(iss=7),
    lambda c: c.update(iss=""),
    lambda c: c.update(ear_status="affirming"),
    lambda c: c.update(ear_status="splendid"),
    lambda c: c.pop("ear_verifier_id"),
    lambda c: c.update(ear_verifier_id={"developer": "x"}),
    lambda c: c.update(ear_verifier_id={"developer": "x" * 2000, "build": "y"}),
    lambda c: c.update(submods={}),
    lambda c: c.update(submods=[]),
    lambda c: c.update(submods={f"{i}": _sgx(c) for i in range(65)}),
    lambda c: _sgx(c).pop("ear_status"),
    lambda c: _sgx(c).update(ear_status="affirming"),
    lambda c: _sgx(c).update(ear_status=32),
    lambda c: _sgx(c).pop("ear_trustworthiness_vector"),
    lambda c: _sgx(c).update(ear_trustworthiness_vector={}),
    lambda c: _sgx(c).update(ear_trustworthiness_vector={"hardware": 128}),
    lambda c: _sgx(c).update(ear_trustworthiness_vector={"hardware": True}),
    lambda c: _sgx(c).update(ear_trustworthiness_vector={"hardware": "2"}),
    lambda c: _sgx(c).update(ear_appraisal_policy_ids="x"),
    lambda c: _sgx(c).update(ear_appraisal_policy_ids=[1]),
    lambda c: _sgx(c).update(eat_nonce="AAAA"),
    lambda c: _sgx(c).update(eat_nonce="A" * 200),
    lambda c: _sgx(c).update(eat_nonce="not base64url!"),
    lambda c: _sgx(c).update(eat_nonce="\u00e9" * 20),
    lambda c: _sgx(c).update(ear_veraison_policy_claims=[]),
]


@pytest.mark.parametrize("edit", EDITS)
def test_what_the_draft_does_not_allow_is_refused(edit: Edit) -> None:
    claims = json.loads(FULL.to_json())
    edit(claims)
    with pytest.raises(Malformed):
        Ear.from_json(json.dumps(claims).encode())


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{" * 10_000, b'{"iat": 1, "iat": 2}', b'{"iat": 1.0}', b"\xff", b"null", b" " * (1 << 21)],
)
def test_json_that_is_none_of_ours(data: bytes) -> None:
    with pytest.raises(Malformed):
        Ear.from_json(data)


@pytest.mark.parametrize(
    "change",
    [
        {1000: "warning"},
        {1000: 3},
        {1000: True},
        {266: {"x": {1000: 2, 1001: {4: 2}, 10: "text"}}},
        {266: {1: {}}},
        {6: 1.5},
    ],
)
def test_cbor_in_the_spelling_of_json_is_refused(change: dict[int, object]) -> None:
    import cbor2

    claims = cbor.decode(encode_ear(FULL), "ear")
    assert isinstance(claims, dict)
    with pytest.raises(Malformed):
        decode_ear(cbor2.dumps(dict(claims) | change, canonical=True))
    with pytest.raises(Malformed):
        decode_ear(bytes(1 << 21))


VECTORS = st.dictionaries(st.sampled_from(Claim), st.integers(-128, 127), min_size=1)


@given(VECTORS, st.sampled_from(Tier))
def test_a_status_better_than_its_worst_claim_cannot_be_made(vector: dict[Claim, int], status: Tier) -> None:
    claimed = [Tier.of(value) for value in vector.values()]
    asserted = [tier for tier in claimed if tier is not Tier.NONE]
    flattering = any(tier.trust < status.trust for tier in asserted) or (not asserted and status is not Tier.NONE)
    # A status of no assertion over a contraindicated claim hides it.
    if status is Tier.NONE and Tier.CONTRAINDICATED in asserted:
        flattering = True
    if flattering and worst(vector).trust < status.trust:
        with pytest.raises(Malformed):
            Appraisal(status, vector)
        return
    made = Ear(UnixTime(1), VerifierId("a", "b"), {"x": Appraisal(status, vector)})
    assert Ear.from_json(made.to_json()) == decode_ear(encode_ear(made)) == made
    assert all(status.trust <= tier.trust for tier in asserted)


@given(st.lists(VECTORS, min_size=1, max_size=4))
def test_the_whole_is_no_better_than_its_worst_part(vectors: list[dict[Claim, int]]) -> None:
    ear = replace(LEAST, appraisals={str(i): Appraisal(worst(vector), vector) for i, vector in enumerate(vectors)})
    assert all(ear.status.trust <= each.status.trust for each in ear.appraisals.values())


@pytest.mark.parametrize(
    ("value", "tier"),
    [(-128, Tier.CONTRAINDICATED), (-97, Tier.CONTRAINDICATED), (-96, Tier.WARNING), (-33, Tier.WARNING),
     (-32, Tier.AFFIRMING), (-2, Tier.AFFIRMING), (-1, Tier.NONE), (0, Tier.NONE), (1, Tier.NONE), (2, Tier.AFFIRMING),
     (31, Tier.AFFIRMING), (32, Tier.WARNING), (95, Tier.WARNING), (96, Tier.CONTRAINDICATED),
     (127, Tier.CONTRAINDICATED)],
)  # fmt: skip
def test_tiers_have_the_bounds_of_ar4si(value: int, tier: Tier) -> None:
    assert Tier.of(value) is tier


# -- compact JWS -----------------------------------------------------------------------------------------------------


def test_a_jws_comes_back_as_it_went() -> None:
    signed = signing_input({"alg": "EdDSA"}, b"payload")
    token = encode(signed, b"signature")
    assert Jws.parse(token) == Jws({"alg": "EdDSA"}, b"payload", b"signature", signed)
    for at in range(len(token)):
        feed_garbage(Jws.parse, token[:at])
        feed_garbage(Jws.parse, token[:at] + bytes((token[at] ^ 1,)) + token[at + 1 :])


@pytest.mark.parametrize(
    "token",
    [b"", b"..", b"a.b", b"e30.e30.e30.e30", b"e30=.e30.e30", b"e31.e30.e30", b"W10.e30.e30", b"e30.e3.A",
     b"e30.e30.AB",
     signing_input({"alg": "EdDSA", "crit": "x"}, b"") + b".", b"e30." + b"A" * (3 << 20) + b".e30",
     b"A" * 5000 + b".e30.e30"],
)  # fmt: skip
def test_what_is_no_jws(token: bytes) -> None:
    with pytest.raises(Malformed):
        Jws.parse(token)
