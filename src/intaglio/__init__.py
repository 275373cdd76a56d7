"""Intaglio gives every value that leaves an enclave a proof of origin that survives an untrusted host."""

__version__ = "0.1.0.dev0"
