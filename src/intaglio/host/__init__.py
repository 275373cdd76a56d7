"""The untrusted side: starts an enclave and carries its messages. It can't open a message, and neither can this code.

Names are resolved when they are used: `Relay` and the spool need nothing beyond the standard library.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intaglio.host.aio import AsyncRelay
    from intaglio.host.connection import EnclaveConnection, connect
    from intaglio.host.errors import EnclaveDied, EnclaveRefused, EnclaveTimeout, HelloRejected, SpoolFull
    from intaglio.host.process import EnclaveProcess, launch
    from intaglio.host.relay import Receipt, Relay

__all__ = [
    "AsyncRelay",
    "EnclaveConnection",
    "EnclaveDied",
    "EnclaveProcess",
    "EnclaveRefused",
    "EnclaveTimeout",
    "HelloRejected",
    "Receipt",
    "Relay",
    "SpoolFull",
    "connect",
    "launch",
]

_HOMES = {
    "AsyncRelay": "aio",
    "EnclaveConnection": "connection",
    "EnclaveProcess": "process",
    "connect": "connection",
    "launch": "process",
    "Receipt": "relay",
    "Relay": "relay",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - only where a name is asked for

    return getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
