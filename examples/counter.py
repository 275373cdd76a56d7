"""Runs inside the enclave: counts, and goes on where it stopped, however often its host starts it anew.

The state is sealed and lies with the host; the data centre knows its newest number, so no older one is ever used.
"""

from intaglio.enclave import Enclave

enclave = Enclave(data_centre="dc.pub")
state = enclave.sealed_state()


@enclave.call
def count() -> int:
    number = int.from_bytes(state.value, "big") + 1
    state.update(number.to_bytes(8, "big"))
    return number
