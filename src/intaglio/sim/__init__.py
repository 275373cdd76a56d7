"""A simulated SGX world: CPUs, platforms, their certificates, and the service that vouches for them.

Byte-exact where a verifier looks, under a root of each lab's own that no production data centre trusts. It
judges nothing and knows nothing of `intaglio.verify`. It protects nothing, either: see docs/simulator.md.
"""
