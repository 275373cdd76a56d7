"""Hellos over HTTP: one Accept for each, whatever is sent how often, and a reason for every no."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from intaglio.gateway import app
from intaglio.gateway.appraisal import EvidenceAppraiser
from intaglio.gateway.query import Reader
from intaglio.session.enclave import EnclaveHandshake
from intaglio.sim.authority import Authority
from intaglio.sim.measure import Image, TrustedFile
from intaglio.types import ReportData, UnixTime
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.hello import MAX_HELLO, Hello
from tests.gateway.world import DAY, HUNDRED, NOON, Dc, Guest, World, told

OTHER = Image((TrustedFile("meter.py", b"def get_size():\n    return 200\n"),))


def test_the_same_hello_gets_the_same_accept(world: World) -> None:
    with world.gateway() as dc:
        guest = dc.guest()
        first = dc.hello(guest.hello)
        assert first.status == 200
        world.clock.now += 5
        assert dc.hello(guest.hello).body == first.body
    with world.gateway() as dc:
        assert dc.hello(guest.hello).body == first.body
    assert guest.accept(first.body).result.time == NOON


def test_copies_at_the_same_time_get_one_accept(dc: Dc, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are appraised before the first is stored: a barrier in the appraiser holds them until then."""
    guest, copies = dc.guest(), 4
    barrier, appraise = Barrier(copies), EvidenceAppraiser.appraise

    def together(self: EvidenceAppraiser, evidence: bytes, report_data: ReportData, at: UnixTime) -> object:
        barrier.wait(10)
        return appraise(self, evidence, report_data, at)

    monkeypatch.setattr(EvidenceAppraiser, "appraise", together)
    with ThreadPoolExecutor(copies) as pool:
        replies = list(pool.map(lambda _: dc.hello(guest.hello), range(copies)))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 1
    channel = guest.accept(replies[0].body)
    assert dc.frames(channel.farewell).json == told(stored=1)
    with dc.world.reader() as reader:
        assert len(reader.sessions()) == 1


def test_a_session_id_belongs_to_one_transcript(dc: Dc, world: World) -> None:
    guest, channel = dc.session()
    reply = dc.hello(other_hello(dc, guest))
    assert (reply.status, reply.json["reasons"]) == (403, ["SESSION_CONFLICT"])
    assert "report" not in reply.json
    assert dc.frames(channel.farewell).json == told(stored=1)


def test_of_two_transcripts_at_the_same_time_one_wins(dc: Dc, monkeypatch: pytest.MonkeyPatch) -> None:
    guest = dc.guest()
    hellos = [guest.hello, other_hello(dc, guest)]
    barrier, appraise = Barrier(2), EvidenceAppraiser.appraise

    def together(self: EvidenceAppraiser, evidence: bytes, report_data: ReportData, at: UnixTime) -> object:
        barrier.wait(10)
        return appraise(self, evidence, report_data, at)

    monkeypatch.setattr(EvidenceAppraiser, "appraise", together)
    with ThreadPoolExecutor(2) as pool:
        replies = list(pool.map(dc.hello, hellos))
    assert sorted(reply.status for reply in replies) == [200, 403]
    assert [reply.json["reasons"] for reply in replies if reply.status == 403] == [["SESSION_CONFLICT"]]


def other_hello(dc: Dc, guest: Guest) -> bytes:
    """Another genuine hello under the same session id, as a forked enclave would make it."""
    session = guest.handshake.session
    draws = iter([session])
    original = EnclaveHandshake.__init__

    def same_id(self: EnclaveHandshake, pin: object, tee: object, draw: object, **more: object) -> None:
        original(self, pin, tee, draw, **more)  # type: ignore[arg-type]
        self.session = next(draws)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EnclaveHandshake, "__init__", same_id)
        return dc.guest().hello


def test_another_enclave_is_refused_and_its_vendor_learns_why(dc: Dc, world: World) -> None:
    guest = world.guest(dc.offer(), OTHER)
    reply = dc.hello(guest.hello)
    assert reply.status == 403
    assert (reply.json["error"], reply.json["reasons"]) == ("rejected", ["WRONG_MEASUREMENT"])
    sealed = base64.b64decode(reply.json["report"])
    report = json.loads(guest.handshake.rejection(sealed))
    assert (report["verdict"], report["reasons"]) == ("rejected", ["WRONG_MEASUREMENT"])
    entry = dc.api(f"quarantine/{reply.json['id']}").json
    assert (entry["what"], entry["reasons"], entry["session"]) == ("hello", ["WRONG_MEASUREMENT"], guest.session.hex())
    assert base64.b64decode(entry["bytes_base64"]) == guest.hello
    assert entry["detail"]["verdict"]["checks"] == report["checks"]
    assert dc.frames(guest.early()).json == told(unknown=[0])


def test_a_debug_enclave_is_refused(dc: Dc, world: World) -> None:
    reply = dc.hello(world.guest(dc.offer(), debug=True).hello)
    assert (reply.status, reply.json["reasons"]) == (403, ["DEBUG_ENCLAVE"])


def test_simulated_evidence_is_refused_in_production(world: World) -> None:
    world.settings = replace(world.settings, lab_roots=())
    with world.gateway() as dc:
        reply = dc.hello(dc.guest().hello)
    assert (reply.status, reply.json["error"]) == (403, "rejected")
    assert "ROOT_UNTRUSTED" in reply.json["reasons"]
    assert world.source.asked == 0, "a stranger's platform must not make us ask a service"


def test_a_rejection_is_not_remembered(world: World) -> None:
    with world.gateway() as dc:
        guest = world.guest(dc.offer(), OTHER)
        first, second = dc.hello(guest.hello), dc.hello(guest.hello)
        assert (first.status, second.status) == (403, 403)
        assert first.json["id"] == second.json["id"]
        entry = dc.api(f"quarantine/{first.json['id']}").json
        assert entry["count"] == 2
    world.settings.policy.write_text(
        world.settings.policy.read_text().replace("mr_enclave = [", f'mr_enclave = ["{OTHER.mr_enclave().hex()}", ')
    )
    with world.gateway() as dc:
        assert dc.hello(guest.hello).status == 200


def test_without_collateral_a_hello_waits_and_so_do_its_frames(dc: Dc, world: World) -> None:
    guest = dc.guest()
    early = guest.early()
    assert dc.frames(early).json == told(unknown=[0])
    world.source.down = True
    reply = dc.hello(guest.hello)
    assert (reply.status, reply.json) == (503, {"error": "undecidable", "reasons": ["COLLATERAL_MISSING"]})
    assert reply.headers["retry-after"] == "7"
    frames = dc.frames(early)
    assert (frames.status, frames.json) == (425, told(pending=[0]))
    world.source.down = False
    guest.accept(dc.hello(guest.hello).body)
    assert dc.frames(early).json == told(stored=1)


def test_collateral_that_expired_is_no_reason_to_accept(dc: Dc, world: World) -> None:
    guest = dc.guest()
    world.source.issued = UnixTime(NOON - 60 * DAY)
    reply = dc.hello(guest.hello)
    assert (reply.status, reply.json["error"]) == (503, "undecidable")
    assert "COLLATERAL_EXPIRED" in reply.json["reasons"]
    world.source.issued = None
    assert dc.hello(guest.hello).status == 200


def test_bad_collateral_is_our_fault_and_not_the_enclaves(
    dc: Dc, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    guest = dc.guest()
    world.source.spoiled = True
    reply = dc.hello(guest.hello)
    assert (reply.status, reply.json) == (503, {"error": "undecidable", "reasons": ["COLLATERAL_MISSING"]})
    assert "collateral is bad" in caplog.text
    assert "TCB_INFO_SIGNATURE" in caplog.text
    world.source.spoiled = False
    assert dc.hello(guest.hello).status == 200


def test_collateral_of_another_root_or_a_revoked_signer_is_our_fault_too(
    dc: Dc, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither says anything about the platform: an honest enclave must not be sent away for good."""
    foreign, revoked = world.source.lab.copy(), world.source.lab.copy()
    foreign.authority = Authority.create(NOON, foreign.authority.quoting_signer)
    revoked.revoke(revoked.authority.tcb_signer.certificate.serial_number)
    guest = dc.guest()
    for lab in (foreign, revoked):
        day = UnixTime(NOON - NOON % DAY)
        world.source._made[day] = DcapCollateral.parse_json(lab.collateral("alpha", day))
        caplog.clear()
        reply = dc.hello(guest.hello)
        assert (reply.status, reply.json) == (503, {"error": "undecidable", "reasons": ["COLLATERAL_MISSING"]})
        assert "reasons=COLLATERAL_SIGNER" in caplog.text
    world.source._made.clear()
    assert dc.hello(guest.hello).status == 200


def test_a_minimum_that_our_own_collateral_does_not_reach_sends_nobody_away(world: World) -> None:
    """A minimum is raised before the caches have what Intel published for it: that is not the enclave's fault."""
    policy = world.settings.policy
    text = policy.read_text()
    line = next(line for line in text.splitlines() if line.startswith("min_tcb_evaluation_number = "))
    policy.write_text(text.replace(line, "min_tcb_evaluation_number = 999"))
    with world.gateway() as dc:
        guest = dc.guest()
        reply = dc.hello(guest.hello)
        assert (reply.status, reply.json) == (503, {"error": "undecidable", "reasons": ["TCB_EVALUATION_TOO_OLD"]})
    policy.write_text(text)
    with world.gateway() as dc:
        assert dc.hello(guest.hello).status == 200


def test_simulated_sessions_end_where_no_lab_is_trusted(world: World) -> None:
    with world.gateway() as dc:
        guest, channel = dc.session()
        assert dc.frames(channel.farewell).json == told(stored=1)
    world.settings = replace(world.settings, lab_roots=())
    with world.gateway() as dc:
        assert dc.hello(guest.hello).json["reasons"] == ["SESSION_ENDED"]
        assert dc.frames(channel.up.protect([HUNDRED])).json == told(stored=1)
        assert [record["status"] for record in dc.api("records").json["records"]] == ["LATE"]


def test_more_hellos_than_may_wait_are_told_to_come_again(dc: Dc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MAX_HELLOS", 0)
    reply = dc.hello(dc.guest().hello)
    assert (reply.status, reply.json["error"], reply.headers["retry-after"]) == (503, "unavailable", "2")


def test_a_session_ends_at_the_collaterals_next_update(dc: Dc, world: World) -> None:
    world.source.issued = UnixTime(NOON - 29 * DAY)
    _, channel = dc.session()
    assert channel.result.expires == NOON + DAY // 2


def test_a_hello_after_the_end_is_told_so(dc: Dc, world: World) -> None:
    guest, channel = dc.session()
    world.clock.now = channel.result.expires - 1
    assert dc.hello(guest.hello).status == 200
    world.clock.now = channel.result.expires
    assert dc.hello(guest.hello).json["reasons"] == ["SESSION_ENDED"]
    world.clock.now = NOON + 3600 + 7 * DAY + 1  # the offer's key is gone, the session's are not
    assert dc.hello(guest.hello).json["reasons"] == ["SESSION_ENDED"]


def test_a_hello_after_the_enclaves_end_is_told_so(dc: Dc) -> None:
    guest, channel = dc.session()
    dc.frames(channel.farewell, channel.up.end())
    assert dc.hello(guest.hello).json["reasons"] == ["SESSION_ENDED"]


def test_an_edited_hello_is_refused_and_the_true_one_still_works(dc: Dc) -> None:
    guest = dc.guest()
    hello = Hello.parse(guest.hello)
    edits = {
        "sealed_evidence": hello.sealed_evidence[:-1] + bytes((hello.sealed_evidence[-1] ^ 1,)),
        "sealed_claims": bytes(len(hello.sealed_claims)),
        "reply_key": bytes((hello.reply_key[0] ^ 1,)) + hello.reply_key[1:],
        "signing_key": bytes(32),
        "kem_ciphertext": bytes(len(hello.kem_ciphertext)),
    }
    for name, value in edits.items():
        reply = dc.hello(replace(hello, **{name: value}).encode())  # type: ignore[arg-type]
        assert (reply.status, reply.json["reasons"]) == (403, ["HELLO_AUTHENTICATION"]), name
    assert dc.hello(guest.hello).status == 200


def test_a_hello_cut_anywhere_is_malformed(dc: Dc) -> None:
    hello = dc.guest().hello
    cuts = [*range(60), *range(60, len(hello), 97), len(hello) - 1]
    for cut in cuts:
        reply = dc.hello(hello[:cut])
        assert (reply.status, reply.json["error"], reply.json["reason"]) == (400, "malformed", "MALFORMED_MESSAGE")
        assert reply.json["field"]
    assert dc.hello(hello + b"\0").status == 400
    assert dc.hello(hello).status == 200
    with Reader(dc.world.settings.database) as reader:
        assert reader.status(NOON).quarantined["MALFORMED_MESSAGE"] == len(cuts) + 1


def test_garbage_is_malformed(dc: Dc) -> None:
    for garbage in (b"", b"\x00", b"\xff" * 1000, b"\x9f" * 1000, b"\x5b" + b"\xff" * 8, b"{}"):
        assert dc.hello(garbage).status == 400


def test_a_hello_of_any_size_up_to_the_limit_is_read(dc: Dc) -> None:
    assert dc.hello(bytes(MAX_HELLO)).status == 400
    reply = dc.hello(bytes(MAX_HELLO + 1))
    assert (reply.status, reply.json) == (413, {"error": "too large", "limit": MAX_HELLO})


def test_every_session_is_marked_as_simulated(dc: Dc) -> None:
    guest, _ = dc.session()
    session = dc.api(f"sessions/{guest.session.hex()}").json
    assert session["simulated"] is True
    assert session["verdict"]["simulated"] is True
    assert dc.api("status").json["simulated"] is True
