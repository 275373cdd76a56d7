"""The untrusted application of counter.py: keeps its sealed state in a file, and can't use an older one.

python count.py URL [-- RUNNER ...]
"""

import sys
from pathlib import Path

from intaglio.host import HelloRejected, Relay, launch

HERE = Path(__file__).parent
STATE = HERE / "counter.sealed"
SPOOL = HERE / "counter.spool"


def count(url: str, runner: list[str]) -> None:
    enclave = launch(HERE / "counter.py", command=runner or None, state=STATE)
    with enclave as counter, Relay(counter, url, spool=SPOOL) as relay:
        print("count:", relay.call("count").fate.value)


def main(arguments: list[str]) -> None:
    url, runner = arguments[0], arguments[2:]
    count(url, runner)
    older = STATE.read_bytes()
    count(url, runner)
    newest = STATE.read_bytes()
    STATE.write_bytes(older)  # what a host may try
    try:
        count(url, runner)
    except HelloRejected as error:
        print("an older state:", ", ".join(error.reasons))
    STATE.write_bytes(newest)
    count(url, runner)


if __name__ == "__main__":
    main(sys.argv[1:])
