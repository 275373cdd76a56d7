"""Intel's modified Sigma handshake (`sgx_ra_*`), both sides, with ECDSA quotes: for SGX applications that exist.

msg1 to msg3 are Intel's byte for byte; msg4 and the frames after it are ours, because SGX defines none. docs/sigma.md
has every structure and what this profile lacks beside the main protocol.
"""
