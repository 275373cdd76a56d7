"""The SDK inside an enclave.

from intaglio.enclave import Enclave
enclave = Enclave(data_centre="dc.pub")

@enclave.call
def get_size() -> int:
    return 100
"""

from intaglio.attest.base import SealPolicy
from intaglio.enclave.calls import CallError, Enclave
from intaglio.enclave.state import SealedState, StateUnconfirmed

__all__ = ["CallError", "Enclave", "SealPolicy", "SealedState", "StateUnconfirmed"]
