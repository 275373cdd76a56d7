"""Two enclaves on one machine attest each other and talk, through a host that carries every byte.

    python neighbours.py

A meter and a tariff of one vendor run on one simulated CPU. Each pins the vendor, the other's product number and a
least security version; neither needs a quote, a server or a network. Then the host tries what hosts try.
"""

import time
from os import urandom

from intaglio.errors import Rejected
from intaglio.session.local import Initiator, Responder
from intaglio.sim.cpu import Enclave, LaunchOptions, Processor
from intaglio.sim.measure import Image, TrustedFile
from intaglio.sim.signing import EnclaveTerms, generate_vendor_key, sign_enclave
from intaglio.types import UnixTime
from intaglio.verify.local_peer import PeerPolicy

VENDOR = generate_vendor_key()
CPU = Processor(fuses=urandom(32), cpu_svn=bytes(16))
METER, TARIFF = 1, 2


def launch(name: str, product: int, *, debug: bool = False) -> Enclave:
    image = Image((TrustedFile(f"{name}.py", b"# the measured script\n"),))
    terms = EnclaveTerms(isv_prod_id=product, isv_svn=3)
    signed = sign_enclave(VENDOR, image.mr_enclave(), terms, now=UnixTime(int(time.time())))
    return CPU.launch(image, signed.encode(), LaunchOptions(debug=debug))


def main() -> None:
    meter, tariff = launch("meter", METER), launch("tariff", TARIFF)
    vendor = meter.identity.mr_signer
    wants_tariff = PeerPolicy.signer(vendor, isv_prod_id=TARIFF, min_isv_svn=3)
    wants_meter = PeerPolicy.signer(vendor, isv_prod_id=METER, min_isv_svn=3)

    # Each line is inside one enclave; what it returns, the host carries to the other.
    called = Responder(tariff, wants_meter, urandom)
    first = called.message1()
    caller = Initiator(meter, wants_tariff, urandom)
    second = caller.message1(first)
    third = called.message2(second)
    ours, theirs = caller.message3(third), called.session
    print(f"meter talks to product {ours.peer.isv_prod_id}, tariff to product {theirs.peer.isv_prod_id}")

    message = ours.channel.protect(b"100 kWh")
    print(f"the host sees {len(message)} bytes; the tariff reads {theirs.channel.open(message).decode()}")
    answer = theirs.channel.protect(b"31.00 EUR")
    print(f"the meter reads {ours.channel.open(answer).decode()}")

    try:
        theirs.channel.open(message)
    except Rejected as error:
        print(f"the same message again: {error.reason.name}")
    try:
        spy = Initiator(launch("meter", METER, debug=True), wants_tariff, urandom)
        called = Responder(tariff, wants_meter, urandom)
        called.message2(spy.message1(called.message1()))
    except Rejected as error:
        print(f"a meter that the host can look into: {error.reason.name}")


if __name__ == "__main__":
    main()
