"""The error codes of Intel's attestation libraries, explained: what each means, what usually causes it, what to do.

Names and values are those of Intel's public headers (`sgx_ql_lib_common.h`, `sgx_default_qcnl_wrapper.h`, `sgx_pce.h`,
`qgs_msg_lib.h`, `tdx_attest.h`); the explanations are ours.
"""
