"""The devices and pseudo-files of real TEEs, in software: kernels' and Gramine's semantics around simulated evidence.

They stand in at the boundary of `intaglio.attest.system`, so that the attesters that run are the real ones, call for
call; layouts and numbers are written down here a second time, from the kernels' headers. What stands behind a device is
a function that makes evidence; tests put real evidence there as well.
"""
