"""The untrusted application: starts the enclave and carries its messages. It can't read them.

    python app.py URL [SERIAL ...] [-- RUNNER ...]

RUNNER is the command that runs an enclave, for instance the simulator's: ``python -m intaglio.sim.run --lab lab
--platform alpha``. Without it the SDK's own is used, which needs a real TEE.
"""

import sys
from pathlib import Path

from intaglio.host import Relay, launch


def main(arguments: list[str]) -> None:
    at = arguments.index("--") if "--" in arguments else len(arguments)
    (url, *serials), runner = arguments[:at], arguments[at + 1 :]
    with launch(Path(__file__).with_name("meter.py"), command=runner or None) as meter, Relay(meter, url) as relay:
        message = meter.call("get_size")  # bytes; not 100
        print("get_size:", len(message), "bytes,", relay.send(message).fate.value)
        for serial in serials:
            print(f"read_meter {serial}:", relay.call("read_meter", serial).fate.value)


if __name__ == "__main__":
    main(sys.argv[1:])
