"""Files given by hand: the newest that fits, and one clear sentence where none does."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from intaglio.collateral.freshness import freshness, issuing_ca
from intaglio.collateral.source import DirectorySource, fits
from intaglio.errors import Unavailable
from intaglio.sim.pki import DAY
from intaglio.sim.world import DEFAULT_FMSPC, Lab, PlatformPlan
from intaglio.types import Tee, UnixTime
from intaglio.wire.collateral import DcapCollateral
from intaglio.wire.collateral_request import DcapRequest, TcbUpdate
from tests.collateral.conftest import NOON, REQUEST

BETA = DcapRequest(Tee.SGX, "00b0dedede00", "processor")


def test_files_given_by_hand(lab: Lab, tmp_path: Path) -> None:
    lab.add_platform(PlatformPlan("beta", fmspc="00b0dedede00", ca="processor"), NOON)
    source = DirectorySource(tmp_path)
    with pytest.raises(Unavailable, match=f"no collateral for SGX FMSPC {DEFAULT_FMSPC}"):
        source.get(REQUEST, NOON)
    (tmp_path / "collateral-old.json").write_bytes(lab.collateral("alpha", UnixTime(NOON - 3 * DAY)))
    (tmp_path / "collateral-new.json").write_bytes(lab.collateral("alpha", NOON))
    (tmp_path / "collateral-beta.json").write_bytes(lab.collateral("beta", NOON))
    (tmp_path / "broken.json").write_bytes(b"{")
    assert freshness(source.get(REQUEST, NOON)).issued == NOON - NOON % DAY
    beta = source.get(BETA, NOON)
    assert isinstance(beta, DcapCollateral)
    assert issuing_ca(beta) == "processor"
    with pytest.raises(Unavailable, match=r"broken\.json"):
        source.get(replace(BETA, ca="platform"), NOON)


def test_a_number_that_was_asked_for_must_be_that_of_the_file(lab: Lab) -> None:
    collateral = DcapCollateral.parse_json(lab.collateral("alpha", NOON))
    number = freshness(collateral).evaluation_number
    assert fits(collateral, replace(REQUEST, update=TcbUpdate.EARLY))
    assert fits(collateral, replace(REQUEST, update=TcbUpdate(str(number))))
    assert not fits(collateral, replace(REQUEST, update=TcbUpdate("3")))


def test_collateral_of_another_tee_does_not_fit(lab: Lab) -> None:
    collateral = DcapCollateral.parse_json(lab.collateral("alpha", NOON))
    document = json.loads(collateral.tcb_info)
    document["tdxModule"] = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
    for level in document["tcbLevels"]:
        level["tcb"]["tdxtcbcomponents"] = [{"svn": 0}] * 16
    of_tdx = replace(collateral, tcb_info=json.dumps({**document, "id": "TDX"}).encode())
    assert fits(of_tdx, replace(REQUEST, tee=Tee.TDX))
    assert not fits(of_tdx, REQUEST)
    assert not fits(collateral, replace(REQUEST, tee=Tee.TDX))
