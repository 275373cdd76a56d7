"""`POST /v1/statement`: what a data centre says of time and collateral, to whom it says nothing, and what it costs."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from intaglio.collateral.source import DirectorySource
from intaglio.errors import Unavailable
from intaglio.gateway import app, statements
from intaglio.gateway.keystore import Keystore
from intaglio.host.data_centre import DataCentre
from intaglio.host.errors import StatementRefused
from intaglio.session.statements import check_statement
from intaglio.sim.attester import SimulatedAttester
from intaglio.sim.draft import launch
from intaglio.sim.world import Lab
from intaglio.types import ReportData
from intaglio.verify.dcap import DcapVerifier
from intaglio.verify.roots import Roots
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.identity import Suite
from intaglio.wire.statement import MAX_QUESTION, Question, Statement
from tests.gateway.world import IMAGE, NOON, Dc, Reply, World

CBOR = {"Content-Type": "application/cbor"}
NONCE = bytes(range(32))


def quote_of(lab: Lab) -> bytes:
    machine = lab.machine()
    return SimulatedAttester(machine, launch(lab, machine, IMAGE, NOON, None)).evidence(ReportData(bytes(64)))


def asked(dc: Dc, evidence: bytes | None) -> Reply:
    return dc.ask("POST", "/v1/statement", Question(NONCE, evidence).encode(), CBOR)


@pytest.mark.parametrize("suite", Suite, ids=str)
def test_the_collateral_of_evidence_is_stated(tmp_path: Path, drawn_lab: Lab, suite: Suite) -> None:
    world, evidence = World.make(tmp_path, drawn_lab.copy(), suite), quote_of(drawn_lab)
    with world.gateway() as dc:
        reply = asked(dc, evidence)
        newest = dc.gateway.clock()
    assert (reply.status, reply.headers["content-type"]) == (200, "application/cbor")
    checked = check_statement(world.pin, reply.body, NONCE)
    assert (checked.at, checked.epoch, checked.minimum_epoch) == (newest, NOON, 0)
    collateral = DcapCollateral.parse_json(checked.collateral or b"")
    roots = Roots.lab(drawn_lab.root_pem.encode())
    assert DcapVerifier(roots).verify(evidence, collateral, checked.at).genuine is True


def test_the_time_alone_needs_no_source(dc: Dc) -> None:
    dc.world.source.down = True
    checked = check_statement(dc.world.pin, asked(dc, None).body, NONCE)
    assert (checked.at, checked.collateral, dc.world.source.asked) == (NOON, None, 0)


def test_nothing_is_kept(dc: Dc) -> None:
    assert asked(dc, quote_of(dc.world.lab)).status == 200
    with dc.world.reader() as reader:
        assert (list(reader.sessions()), list(reader.quarantine())) == ([], [])


def test_evidence_of_an_unknown_root_makes_us_ask_nobody(dc: Dc) -> None:
    reply = asked(dc, quote_of(Lab.create(None, NOON, vendor=dc.world.lab.vendor)))
    assert (reply.status, reply.json) == (403, {"error": "rejected", "reasons": ["ROOT_UNTRUSTED"]})
    assert dc.world.source.asked == 0


def test_edited_evidence_makes_us_ask_nobody(dc: Dc) -> None:
    quote = bytearray(quote_of(dc.world.lab))
    quote[200] ^= 1
    reply = asked(dc, bytes(quote))
    assert (reply.status, reply.json["reasons"]) == (403, ["QUOTE_SIGNATURE"])
    assert dc.world.source.asked == 0


def test_without_collateral_there_is_no_statement(dc: Dc) -> None:
    dc.world.source.down = True
    reply = asked(dc, quote_of(dc.world.lab))
    assert (reply.status, reply.headers["retry-after"]) == (503, "7")
    assert reply.json == {"error": "undecidable", "reasons": ["COLLATERAL_MISSING"]}


def test_collateral_that_nobody_has_is_not_found(tmp_path: Path, drawn_lab: Lab) -> None:
    (tmp_path / "none").mkdir()
    world = World.make(tmp_path, drawn_lab.copy(), collateral=(DirectorySource(tmp_path / "none"),))
    with world.gateway() as dc:
        reply = asked(dc, quote_of(drawn_lab))
    assert (reply.status, reply.json["reasons"]) == (404, ["COLLATERAL_MISSING"])


def test_without_a_source_nothing_is_decided(tmp_path: Path, drawn_lab: Lab) -> None:
    with World.make(tmp_path, drawn_lab.copy(), collateral=()).gateway() as dc:
        assert asked(dc, quote_of(drawn_lab)).status == 503


@pytest.mark.parametrize("suite", Suite, ids=str)
def test_a_gateway_without_the_identity_states_as_well(tmp_path: Path, drawn_lab: Lab, suite: Suite) -> None:
    world = World.make(tmp_path, drawn_lab.copy(), suite)
    home, away = Keystore.open(world.settings.keystore, world.settings.secret), tmp_path / "away"
    home.delegate(away, world.settings.secret, epoch_from=NOON, epoch_to=NOON + 10)
    world.settings = replace(world.settings, keystore=away)
    with world.gateway() as dc:
        reply = asked(dc, None)
    assert Statement.parse(reply.body).certificate is not None
    checked = check_statement(world.pin, reply.body, NONCE, highest_epoch=NOON)
    assert (checked.at, checked.epoch) == (NOON, NOON)


def test_what_does_not_fit_into_a_statement_is_not_sent(dc: Dc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "MAX_STATEMENT", 4096)
    assert asked(dc, quote_of(dc.world.lab)).status == 503
    assert asked(dc, None).status == 200


@pytest.mark.parametrize("body", [b"", b"\x80", b"\x82\x41\x00\xf6", Question(NONCE, b"").encode()[:-1]])
def test_what_is_no_question_is_malformed(dc: Dc, body: bytes) -> None:
    reply = dc.ask("POST", "/v1/statement", body, CBOR)
    assert (reply.status, reply.json["reason"]) == (400, "MALFORMED_MESSAGE")


def test_bytes_that_are_no_evidence_are_malformed(dc: Dc) -> None:
    assert asked(dc, b"no evidence").json["field"] == "evidence"


def test_limits(dc: Dc, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dc.ask("POST", "/v1/statement", bytes(MAX_QUESTION + 1), CBOR).status == 413
    assert dc.ask("GET", "/v1/statement").status == 405
    monkeypatch.setattr(app, "MAX_STATEMENTS", 0)
    reply = asked(dc, None)
    assert (reply.status, reply.headers["retry-after"]) == (503, "2")
    assert dc.ask("GET", "/v1/offer").status == 200


def test_a_host_fetches_statements(dc: Dc) -> None:
    host, nonce = DataCentre(dc.url), os.urandom(32)
    assert check_statement(dc.world.pin, host.statement(nonce, None), nonce).at == NOON
    with pytest.raises(StatementRefused, match="ROOT_UNTRUSTED"):
        host.statement(nonce, quote_of(Lab.create(None, NOON, vendor=dc.world.lab.vendor)))
    dc.world.source.down = True
    with pytest.raises(Unavailable, match="503 undecidable"):
        host.statement(nonce, quote_of(dc.world.lab))
    host.close()
