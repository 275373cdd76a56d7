"""The untrusted application of vault.py: bills once what the data centre has sent is there, and again after a line on
its standard input.

python billing.py URL [-- RUNNER ...]
"""

import sys
from pathlib import Path

from intaglio.host import Relay, launch

HERE = Path(__file__).parent


def main(arguments: list[str]) -> None:
    url, runner = arguments[0], arguments[2:]
    enclave = launch(HERE / "vault.py", command=runner or None)
    with enclave as vault, Relay(vault, url, down_every=0.2) as relay:
        print("bill:", relay.call("bill", 100).fate.value, flush=True)
        for _ in sys.stdin:
            print("bill:", relay.call("bill", 100).fate.value, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
