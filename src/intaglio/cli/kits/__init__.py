"""Kits: the files that pack an enclave's script for a real TEE. Beside the code lie their templates, in which
`@NAME@` and the like are filled in."""
