"""The lab's service for TDX, as Intel's API has it."""

import json
from dataclasses import replace

import pytest

from intaglio.sim.publication import Edition, Module, QeLevel
from intaglio.sim.world import Lab
from intaglio.types import Tee
from intaglio.wire.collateral import DcapCollateral, EnclaveIdentity, TcbInfo, TcbStatus, signed_body
from tests.sim.conftest import NOON


def test_tcb_info_and_identity_of_tdx_are_served(lab: Lab) -> None:
    record = lab.records["alpha"]
    answer = lab.pcs.respond(f"/tdx/certification/v4/tcb?fmspc={record.fmspc}", NOON)
    assert answer.status == 200
    assert "TCB-Info-Issuer-Chain" in answer.headers
    body, _ = signed_body(answer.body, "tcbInfo")
    info = TcbInfo.parse(body)
    assert (info.id, info.fmspc.hex()) == ("TDX", record.fmspc)
    assert [module.id for module in info.tdx_module_identities] == ["TDX_03", "TDX_01"]
    answer = lab.pcs.respond("/tdx/certification/v4/qe/identity", NOON)
    identity = EnclaveIdentity.parse(signed_body(answer.body, "enclaveIdentity")[0])
    assert (identity.id, identity.isv_prod_id) == ("TD_QE", 2)
    collateral = DcapCollateral.parse_json(lab.collateral("alpha", NOON, tee=Tee.TDX))
    assert collateral.tcb_info == body


@pytest.mark.parametrize(
    "path", ["v3/tcb?fmspc=00a0dedede00", "v4/qve/identity", "v4/pckcrl?ca=platform", "v3/qe/identity", "v4/rootcacrl"]
)
def test_what_intel_does_not_serve_for_tdx_is_not_found(lab: Lab, path: str) -> None:
    assert lab.pcs.respond(f"/tdx/certification/{path}", NOON).status == 404


def test_modules_are_published_and_kept(lab: Lab) -> None:
    modules = (
        Module(1, (QeLevel(6), QeLevel(5, "Revoked", ("INTEL-SA-00003",)))),
        Module(5, (QeLevel(1),), b"\1" * 48),
    )
    (old,) = lab.published.editions
    edition = replace(old, modules=modules)
    assert Edition.from_json(json.loads(json.dumps(edition.to_json()))) == edition
    lab.publish(replace(lab.published, editions=(edition,)))
    info = TcbInfo.parse(DcapCollateral.parse_json(lab.collateral("alpha", NOON, tee=Tee.TDX)).tcb_info)
    first, second = info.tdx_module_identities
    assert [level.status for level in first.levels] == [TcbStatus.UP_TO_DATE, TcbStatus.REVOKED]
    assert (second.id, second.mr_signer) == ("TDX_05", b"\1" * 48)
