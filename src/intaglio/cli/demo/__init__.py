"""`intaglio demo`: the whole story in one terminal, with everything real but the platform, which is simulated.

A lab, its PCS, gateways with their stores, and enclave processes are started; then a hostile host tries what a hostile
host can try. What is printed of an attack is read from the data centre's own records and compared with what must be
there: a demonstration that can't fail would show nothing.
"""
