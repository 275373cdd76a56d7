"""An SGX application that speaks Intel's Sigma (`sgx_ra_*`), on a simulated platform, and its records.

    python sigma_meter.py URL --lab lab

URL is a gateway that was started with ``--sigma sp.key``. `Meter` is what runs in the enclave: here in one process with
its host, which only carries bytes. A real application has this half in C, with the SDK's trusted library; docs/sigma.md
shows which call stands where. The provider's key is a measured file, ``g_sp_pub_key.h`` from ``intaglio sigma show``.
"""

import argparse
import os
import re
import time
from pathlib import Path
from urllib.request import Request, urlopen

from intaglio.sigma.enclave import EnclaveSigma, SigmaChannel
from intaglio.sim.attester import SimulatedAttester
from intaglio.sim.run import load
from intaglio.types import UnixTime
from intaglio.wire.content import Record

KEY = "g_sp_pub_key.h"


class Meter:
    """The enclave: pins the provider, proves itself, and then has one thing to say."""

    def __init__(self, attester: SimulatedAttester) -> None:
        header = attester.trusted_file(KEY).decode()
        self._handshake = EnclaveSigma(bytes.fromhex("".join(re.findall(r"0x(\w\w)", header))), os.urandom)
        self._attester = attester
        self._channel: SigmaChannel | None = None

    def msg1(self) -> bytes:
        return self._handshake.msg1()

    def msg3(self, msg2: bytes) -> bytes:
        return self._handshake.msg3(msg2, self._attester.evidence)

    def msg4(self, msg4: bytes) -> None:
        self._channel = self._handshake.msg4(msg4)

    def get_size(self) -> bytes:
        """A frame that only the data centre can open. Before msg4 there is no key to make one with."""
        if self._channel is None:
            raise RuntimeError("nobody has accepted this enclave yet")
        return self._channel.up.protect([Record("get_size", "application/cbor", b"\x18\x64")])


def post(url: str, body: bytes) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise SystemExit(f"{url}: need an http or https URL")
    with urlopen(Request(url, body, {"Content-Type": "application/octet-stream"}), timeout=30) as answer:  # noqa: S310
        received: bytes = answer.read()
        return received


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="the gateway")
    parser.add_argument("--lab", type=Path, required=True, help="the laboratory's folder")
    options = parser.parse_args()
    here = Path(__file__)
    now = UnixTime(int(time.time()))
    meter = Meter(load(here, lab=options.lab, platform="alpha", now=now, trusted=[here.with_name(KEY)]))

    sigma = f"{options.url}/v1/sigma"
    msg2 = post(f"{sigma}/msg1", bytes(4) + meter.msg1())  # msg0 in front of it: extended EPID group 0
    msg3 = meter.msg3(msg2)
    meter.msg4(post(f"{sigma}/msg3", msg3))
    frame = meter.get_size()  # bytes; not 100
    print(f"msg3 {len(msg3)} bytes, get_size {len(frame)} bytes: {post(f'{sigma}/frames', frame).decode()}")


if __name__ == "__main__":
    main()
