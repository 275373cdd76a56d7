"""`intaglio offer`: what a data centre says it is, and whether an enclave would believe it."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.addresses import check_url
from intaglio.cli.console import clean, examples, line, print_json, warn
from intaglio.cli.failure import Exit
from intaglio.cli.inspect import show_facts
from intaglio.cli.reading import dearmoured, read_bytes

if TYPE_CHECKING:
    from intaglio.errors import Malformed, Rejected
    from intaglio.wire.identity import Pin

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "intaglio offer http://127.0.0.1:8080 --pin dc.pub",
            "intaglio offer http://dc.example --raw > offer.cbor",
            "intaglio offer offer.cbor --pin dc.pub --json",
        )
    )(offer)


def offer(
    source: Annotated[str, typer.Argument(metavar="URL|FILE", help="A data centre, or an offer in a file.")],
    pin: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Check it as an enclave that pins this NAME.pub would.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Write the offer's bytes to stdout.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fetch or read an offer, and check it against a pin.

    An offer is what a data centre publishes so that enclaves can begin sessions with it. With --pin the checks are
    those that run inside the enclave: signature, audience, suite. Without it nothing is checked but the format.

    Exit status: 0 if it is an offer (that the pinned data centre made), 1 if not.
    """
    from intaglio.cli.formats.facts import to_json  # noqa: PLC0415
    from intaglio.cli.formats.messages import offer_facts  # noqa: PLC0415
    from intaglio.errors import Malformed, Rejected  # noqa: PLC0415

    pinned = _read_pin(pin)
    data = _fetch(source)
    try:
        facts = offer_facts(data)
        if pinned is not None:
            _check(data, pinned)
    except (Malformed, Rejected) as error:
        _refuse(source, error, json=json)
        raise typer.Exit(Exit.FAILED) from error
    if raw:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    elif json:
        print_json({"reason": None, "checked": pinned is not None, "offer": to_json(facts)})
    else:
        checked = "made by the pinned data centre" if pinned else "not checked: nothing says who made it; --pin does"
        line(f"{clean(source)}: an offer, {checked}", style="bold green" if pinned else "bold yellow")
        show_facts(facts)
        if time.time() > int(str(facts["not_after"])):
            warn("its last use has passed: a session under it would be refused as OFFER_EXPIRED")


def _read_pin(path: Path | None) -> "Pin | None":
    from intaglio.cli.inputs import read_pin  # noqa: PLC0415

    return None if path is None else read_pin(path)


def _check(data: bytes, pin: "Pin") -> None:
    from intaglio.session.offers import check_offer  # noqa: PLC0415

    check_offer(pin, data)


def _fetch(source: str) -> bytes:
    if source.startswith(("http://", "https://")):
        from intaglio.errors import Unavailable  # noqa: PLC0415
        from intaglio.host.data_centre import DataCentre  # noqa: PLC0415

        check_url(source)
        data_centre = DataCentre(source, timeout=10)
        try:
            return data_centre.offer()
        except Unavailable as error:
            raise Unavailable(f"{source}: {error}", retry_after=error.retry_after) from error
        finally:
            data_centre.close()
    return dearmoured(read_bytes(Path(source)))[0]


def _refuse(source: str, error: "Malformed | Rejected", *, json: bool) -> None:
    from intaglio.cli.verdict_text import show_reason  # noqa: PLC0415
    from intaglio.errors import Rejected  # noqa: PLC0415

    reason = error.reason if isinstance(error, Rejected) else None
    if json:
        name = reason.name if reason else "MALFORMED_MESSAGE"
        print_json({"reason": name, "checked": reason is not None, "offer": None, "problem": str(error)})
        return
    typer.echo(f"intaglio: {clean(source)}: {clean(str(error))}", err=True)
    if reason is not None:
        show_reason(reason)
