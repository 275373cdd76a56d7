"""Measurements as the tools that build real images write them: SIGSTRUCT, Gramine's manifest, `nitro-cli`'s output."""
