"""The untrusted application of an enclave that lies in an image of its own, as the kits make them.

    python packed.py URL vsock:16:5005            an AWS Nitro enclave or a confidential VM that listens there
    python packed.py URL -- gramine-sgx meter     a command that is the enclave: its stdio is the way in

What comes out of the enclave is the same by every way, and as opaque.
"""

import sys

from intaglio.host import EnclaveConnection, Relay, connect, launch


def reach(arguments: list[str]) -> EnclaveConnection:
    if arguments[0] == "--":
        return launch(arguments[1], command=arguments[1:], stdio=True)
    return connect(arguments[0], wait=60)


def main(arguments: list[str]) -> None:
    with reach(arguments[1:]) as meter, Relay(meter, arguments[0]) as relay:
        print("get_size:", relay.call("get_size").fate.value)


if __name__ == "__main__":
    main(sys.argv[1:])
