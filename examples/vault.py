"""Runs inside the enclave: signs with a key that only the data centre and this enclave have, and changes its rate when
the data centre says so. Its host carries both and can read neither.
"""

import hashlib
import hmac

from intaglio.enclave import CallError, Enclave

enclave = Enclave(data_centre="dc.pub")
enclave.secrets.declare("signing-key", str)
tariff = {"cents": 1}


@enclave.call
def bill(kwh: int) -> dict[str, object]:
    if "signing-key" not in enclave.secrets:
        raise CallError("no signing key yet")
    amount = kwh * tariff["cents"]
    key = enclave.secrets.get_as("signing-key", str).encode()
    tag = hmac.digest(key, str(amount).encode(), hashlib.sha256)
    return {"amount": amount, "tag": tag, "key": enclave.secrets.version("signing-key")}


@enclave.command
def set_rate(cents: int) -> int:
    tariff["cents"] = cents
    return cents
