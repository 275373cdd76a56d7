"""Runs inside the enclave: two calls, whose results only the data centre can read."""

from intaglio.enclave import CallError, Enclave

enclave = Enclave(data_centre="dc.pub")  # pinned: part of the measurement

READINGS = {"A-1001": 48_213.5, "A-1002": 7_120.0}
"""Kilowatt hours by serial number. A real enclave would get them from meters that sign what they send."""


@enclave.call
def get_size() -> int:
    return 100


@enclave.call
def read_meter(serial: str) -> dict[str, str | float]:
    if serial not in READINGS:
        raise CallError(f"no meter {serial}")  # the data centre reads this; the host sees one more message
    return {"serial": serial, "kwh": READINGS[serial]}
