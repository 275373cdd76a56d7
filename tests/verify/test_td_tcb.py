"""Checks 25 to 28 for trust domains, over documents made for each question."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from intaglio.errors import Malformed, Rejected
from intaglio.reasons import Reason
from intaglio.types import UnixTime
from intaglio.verify.tcb import check_module, evaluate_td, module_of, platform_level, relaunch
from intaglio.verify.verdict import TcbEvaluation
from intaglio.wire.collateral import EnclaveTcbLevel, TcbInfo, TcbStatus
from intaglio.wire.pck import PckExtension
from tests.wire.test_tdx import FIRST

EXTENSION = PckExtension(
    ppid=bytes(16), components=bytes((5,) * 16), pce_svn=11, cpu_svn=bytes(16), pce_id=bytes(2), fmspc=bytes(6),
    sgx_type=1, platform_instance_id=None, dynamic=None, cached_keys=None, smt=None,
)  # fmt: skip
QE = EnclaveTcbLevel(4, UnixTime(2_000_000_000), TcbStatus.UP_TO_DATE, ())
Status = TcbStatus
SEVERITY = [
    Status.UP_TO_DATE, Status.SW_HARDENING_NEEDED, Status.CONFIGURATION_NEEDED,
    Status.CONFIGURATION_AND_SW_HARDENING_NEEDED, Status.OUT_OF_DATE, Status.OUT_OF_DATE_CONFIGURATION_NEEDED,
    Status.NOT_SUPPORTED, Status.REVOKED,
]  # fmt: skip


def level(tdx: tuple[int, ...], status: str, *advisories: str) -> dict[str, object]:
    components = [{"svn": svn} for svn in (*tdx, *[0] * (16 - len(tdx)))]
    return {
        "tcb": {"sgxtcbcomponents": [{"svn": 5}] * 16, "pcesvn": 11, "tdxtcbcomponents": components},
        "tcbDate": "2026-01-01T00:00:00Z", "tcbStatus": status, "advisoryIDs": list(advisories),
    }  # fmt: skip


def module(name: str, *levels: tuple[int, str, str], signer: str = "00" * 48) -> dict[str, object]:
    return {
        "id": name, "mrsigner": signer, "attributes": "00" * 8, "attributesMask": "FF" * 8,
        "tcbLevels": [
            {"tcb": {"isvsvn": svn}, "tcbDate": "2025-01-01T00:00:00Z", "tcbStatus": status, "advisoryIDs": [advisory]}
            for svn, status, advisory in levels
        ],
    }  # fmt: skip


def document() -> dict[str, Any]:
    return {
        "id": "TDX", "version": 3, "issueDate": "2026-01-01T00:00:00Z", "nextUpdate": "2026-02-01T00:00:00Z",
        "fmspc": "00" * 6, "pceId": "0000", "tcbType": 0, "tcbEvaluationDataNumber": 21,
        "tdxModule": {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8},
        "tdxModuleIdentities": [
            module("TDX_03", (3, "UpToDate", "M-0"), (1, "Revoked", "M-9")),
            module("tdx_01", (2, "OutOfDate", "M-2"), (4, "UpToDate", "M-4")),
        ],
        "tcbLevels": [level((3, 0, 6), "UpToDate", "P-1"), level((5, 0, 7), "SWHardeningNeeded", "P-2")],
    }  # fmt: skip


def parse(content: dict[str, Any]) -> TcbInfo:
    return TcbInfo.parse(json.dumps(content).encode())


def svn(*first: int) -> bytes:
    return bytes(first) + bytes(16 - len(first))


@pytest.mark.parametrize(
    ("tee_tcb_svn", "status"),
    [
        (svn(5, 0, 7), "SWHardeningNeeded"),  # the highest level that is reached, wherever it stands in the document
        (svn(4, 0, 7), "UpToDate"),  # without a module version all sixteen bytes count
        (svn(2, 0, 7), None),
        (svn(0, 1, 7), "SWHardeningNeeded"),  # with one the first two are the module's
        (svn(255, 3, 5), None),
        (svn(9, 0, 6), "UpToDate"),
    ],
)
def test_td_levels(tee_tcb_svn: bytes, status: str | None) -> None:
    found = platform_level(EXTENSION, parse(document()), tee_tcb_svn)
    assert (found.status.value if found else None) == status
    weaker = replace(EXTENSION, components=bytes((4,) + (5,) * 15))
    assert platform_level(weaker, parse(document()), tee_tcb_svn) is None
    assert platform_level(replace(EXTENSION, pce_svn=10), parse(document()), tee_tcb_svn) is None


@pytest.mark.parametrize(
    ("tee_tcb_svn", "module_status", "status", "advisories"),
    [
        (svn(4, 1, 7), "UpToDate", "SWHardeningNeeded", ("P-2", "M-4")),
        (svn(3, 1, 7), "OutOfDate", "OutOfDate", ("P-2", "M-2")),
        (svn(1, 1, 7), "NotSupported", "NotSupported", ("P-2",)),
        (svn(2, 3, 7), "Revoked", "Revoked", ("P-2", "M-9")),
        (svn(3, 3, 6), "UpToDate", "UpToDate", ("P-1", "M-0")),
        (svn(9, 2, 7), "NotSupported", "NotSupported", ("P-2",)),  # no identity for TDX_02
        (svn(5, 0, 7), None, "SWHardeningNeeded", ("P-2",)),
        (svn(1, 0, 7), None, "NotSupported", ()),
    ],
)
def test_one_state_of_a_module(
    tee_tcb_svn: bytes, module_status: str | None, status: str, advisories: tuple[str, ...]
) -> None:
    found = evaluate_td("launch", tee_tcb_svn, EXTENSION, parse(document()), QE)
    assert found.status.value == status
    assert found.advisory_ids == advisories
    assert (found.module.value if found.module else None) == module_status
    assert found.enclave is Status.UP_TO_DATE
    assert evaluate_td("launch", tee_tcb_svn, EXTENSION, parse(document()), None).status.value in (
        "NotSupported", "Revoked",
    )  # fmt: skip


def evaluation(of: str, status: TcbStatus, *advisories: str, date: int = 1) -> TcbEvaluation:
    return TcbEvaluation(of, status, UnixTime(date), advisories, status, Status.UP_TO_DATE, None)


def test_a_relaunch_is_advised_only_where_it_helps() -> None:
    """Check 28, over all pairs: the worse state counts, unless it is an outdated launch under a module that is not."""
    outdated = {Status.OUT_OF_DATE, Status.OUT_OF_DATE_CONFIGURATION_NEEDED}
    configuration = {status for status in SEVERITY if "Configuration" in status.value}
    for launch, current in product(SEVERITY, SEVERITY):
        found = relaunch(evaluation("launch", launch), evaluation("current", current)).status
        if launch in outdated and SEVERITY.index(current) < SEVERITY.index(Status.OUT_OF_DATE):
            needed = {launch, current} & configuration
            assert found is (Status.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED if needed else Status.TD_RELAUNCH_ADVISED)
        else:
            assert found is max(launch, current, key=SEVERITY.index)


def test_a_revoked_module_does_not_hide_behind_a_good_launch() -> None:
    found = relaunch(evaluation("launch", Status.UP_TO_DATE), evaluation("current", Status.REVOKED))
    assert found.status is Status.REVOKED


def test_both_states_are_in_the_result() -> None:
    launch, current = (
        evaluation("launch", Status.OUT_OF_DATE, "A", "B", date=5),
        evaluation("current", Status.UP_TO_DATE, "B", "C"),
    )
    found = relaunch(launch, current)
    assert found.advisory_ids == ("A", "B", "C")
    assert found.date == 1
    assert found.evaluations == (launch, current)
    alone = relaunch(launch, None)
    assert (alone.status, alone.date, alone.evaluations) == (Status.OUT_OF_DATE, 5, (launch,))


def test_the_module_is_intels() -> None:
    info = parse(document())
    report = replace(FIRST, tee_tcb_svn=svn(4, 1, 7), mr_signer_seam=type(FIRST.mr_td)(bytes(48)), seam_attributes=0)
    assert check_module(report, module_of(info, report.tee_tcb_svn)) == "TDX_01, SVN 4"
    old = replace(report, tee_tcb_svn=svn(4, 0, 7))
    assert "TDX 1.0" in check_module(old, module_of(info, old.tee_tcb_svn))
    for wrong, expected in (
        (replace(report, tee_tcb_svn=svn(4, 2, 7)), "TDX_02"),
        (replace(report, mr_signer_seam=type(FIRST.mr_td)(bytes(47) + b"\x01")), "MRSIGNERSEAM"),
        (replace(report, seam_attributes=1 << 63), "SEAMATTRIBUTES"),
    ):
        with pytest.raises(Rejected, match=expected) as caught:
            check_module(wrong, module_of(info, wrong.tee_tcb_svn))
        assert caught.value.reason is Reason.TDX_MODULE_MISMATCH


def test_a_module_with_attributes_is_refused_even_if_the_tcb_info_lists_them() -> None:
    content = document()
    content["tdxModuleIdentities"][1] |= {"attributes": "01" + "00" * 7, "attributesMask": "00" * 8}
    report = replace(FIRST, tee_tcb_svn=svn(4, 1, 7), mr_signer_seam=type(FIRST.mr_td)(bytes(48)), seam_attributes=1)
    for each in (report, replace(report, seam_attributes=0)):
        with pytest.raises(Rejected, match="TDX_MODULE_MISMATCH"):
            check_module(each, module_of(parse(content), each.tee_tcb_svn))


def edit(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    content = document()
    change(content)
    return content


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("tdxModule"),
        lambda d: d["tdxModule"].pop("mrsigner"),
        lambda d: d["tdxModule"].update(mrsigner="00" * 47),
        lambda d: d["tdxModule"].update(attributes="00" * 7),
        lambda d: d["tdxModule"].update(attributesMask=7),
        lambda d: d.update(tdxModuleIdentities={}),
        lambda d: d["tdxModuleIdentities"][0].pop("id"),
        lambda d: d["tdxModuleIdentities"][0].update(tcbLevels=[]),
        lambda d: d["tdxModuleIdentities"][0]["tcbLevels"][0].update(tcbStatus="Fine"),
        lambda d: d["tcbLevels"][0].update(tcbStatus="TDRelaunchAdvised"),
        lambda d: d["tdxModuleIdentities"][0]["tcbLevels"][0].update(tcbStatus="TDRelaunchAdvisedConfigurationNeeded"),
        lambda d: d["tdxModuleIdentities"].append(module("TDX_01", (1, "UpToDate", "M"))),
        lambda d: d["tdxModuleIdentities"][0]["tcbLevels"].append(d["tdxModuleIdentities"][0]["tcbLevels"][0]),
        lambda d: d["tcbLevels"][0]["tcb"].pop("tdxtcbcomponents"),
        lambda d: d["tcbLevels"][0]["tcb"]["tdxtcbcomponents"].pop(),
        lambda d: d["tcbLevels"].append(d["tcbLevels"][0]),
    ],
)  # fmt: skip
def test_documents_that_lack_something_are_malformed(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(Malformed):
        parse(edit(change))


def test_module_identities_may_be_missing() -> None:
    assert parse(edit(lambda d: d.pop("tdxModuleIdentities"))).tdx_module_identities == ()
