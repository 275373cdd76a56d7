"""Error codes of Intel's libraries, found in what people paste."""

import re

import pytest

from intaglio.cli.doctor.codes.code import Family
from intaglio.cli.doctor.codes.lookup import ALL, codes_in, family_of
from tests.cli.conftest import run
from tests.test_documents import parse


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0xe019", ["SGX_QL_NETWORK_ERROR"]),
        ("e019", ["SGX_QL_NETWORK_ERROR"]),
        ("0x0000E019", ["SGX_QL_NETWORK_ERROR"]),
        ("57369", ["SGX_QL_NETWORK_ERROR"]),
        ("TEE_NETWORK_ERROR", ["SGX_QL_NETWORK_ERROR"]),
        ("[QPL] Failed to get quote config. Error code is 0xb006", ["SGX_QCNL_NETWORK_COULDNT_CONNECT"]),
        ("[get_platform_quote_cert_data qe_logic.cpp:378] Error returned from the p_sgx_get_quote_config API. 0xe011",
         ["SGX_QL_NO_PLATFORM_CERT_DATA"]),
        ("sgx_qe_get_quote failed: 0xe00d, then 0xf004; retry: 0xe00d",
         ["SGX_QL_INTERFACE_UNAVAILABLE", "SGX_PCE_INTERFACE_UNAVAILABLE"]),
        ("Failed in tdx_att_get_quote: 0x8", ["TDX_ATTEST_ERROR_QUOTE_FAILURE"]),
        ("TDX_ATTEST_ERROR_VSOCK_FAILURE (4)", ["TDX_ATTEST_ERROR_VSOCK_FAILURE"]),
        ("8", ["TDX_ATTEST_ERROR_QUOTE_FAILURE"]),
        ("qgs: 0x12004", ["QGS_MSG_ERROR_INVALID_VERSION"]),
        ("retry 8 of 10 at 12:04:11", []),
        ("0xe0ff", []),
        ("id 7f3ae019-e019-4e0e-8e00-e019aa", []),
        ("", []),
        ("x" * 100_000 + " 0xe019", []),
    ],
)  # fmt: skip
def test_codes_in_what_people_paste(text: str, names: list[str]) -> None:
    assert [code.name for code in codes_in(text)] == names


def test_every_code_is_explained_and_found_by_value_and_by_name() -> None:
    assert len(ALL) > 120
    assert len({code.name for code in ALL}) == len({code.value for code in ALL}) == len(ALL)
    for code in ALL:
        for text in (code.meaning, code.cause, code.remedy):
            assert text
            assert text == text.strip()
            assert not text.endswith(".")
        assert codes_in(code.name) == (code,)
        assert codes_in(f"{code.value:#x}") == (code,)


def test_values_lie_in_the_range_of_their_family() -> None:
    bases = {Family.QUOTE: 0xE000, Family.QCNL: 0xB000, Family.PCE: 0xF000, Family.QGS: 0x12000, Family.TDX_ATTEST: 0}
    for code in ALL:
        assert 0 < code.value - bases[family_of(code)] < 0x100, code.name


def test_every_command_of_ours_that_a_remedy_names_is_real() -> None:
    commands = {found for code in ALL for found in re.findall(r"intaglio ([a-z]+(?: --[a-z-]+)*)", code.remedy)}
    assert commands
    for command in commands:
        problem = parse(command.split())
        assert problem is None or problem.startswith(("MissingParameter", "BadOptionUsage")), command


def test_the_command_explains() -> None:
    ran = run("doctor", "--code", "0xe019 0xe011")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.count("what to do") == 2
    ran = run("doctor", "--code", "-", "--json", stdin=b"Oct 3 aesm_service[812]: \xff error 0xe019\n")
    assert (ran.status, ran.json[0]["name"], ran.json[0]["family"]) == (0, "SGX_QL_NETWORK_ERROR", "quote3_error_t")
    ran = run("doctor", "--code", "nothing \x1b[2J here")
    assert (ran.status, ran.out) == (1, "")
    assert "\x1b" not in ran.err
