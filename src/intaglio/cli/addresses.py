"""HOST:PORT as commands take it."""

from typing import NamedTuple

from intaglio.cli.failure import Usage

__all__ = ["Address", "check_url", "parse_listen"]

_PORTS = 65535


class Address(NamedTuple):
    """Where to listen; port 0 means any free one."""

    host: str
    port: int


def parse_listen(text: str) -> Address:
    """``host:port``, ``[v6]:port`` or ``:port`` for the loopback interface. Raises `Usage`."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > _PORTS:
        raise Usage(f"{text!r}: need HOST:PORT, for instance 127.0.0.1:8080")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise Usage(f"{text!r}: an IPv6 address stands in brackets, [::1]:8080")
    return Address(host or "127.0.0.1", int(port))


def check_url(url: str) -> None:
    """Raises `Usage` for what no data centre's address looks like, before anything is started for it."""
    from intaglio.errors import LocalProtocolError  # noqa: PLC0415
    from intaglio.host.data_centre import DataCentre  # noqa: PLC0415

    try:
        DataCentre(url).close()
    except LocalProtocolError as error:
        raise Usage(str(error)) from error
