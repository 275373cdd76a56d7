"""`intaglio ear show`, and the signing of attestation results for `intaglio verify --ear`."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import intaglio
from intaglio.cli.console import examples, note, print_json, warn
from intaglio.cli.failure import Commands, Exit, Usage
from intaglio.cli.reading import dearmoured, read_bytes

if TYPE_CHECKING:
    from intaglio.session.results import Token
    from intaglio.verify.verdict import Verdict
    from intaglio.wire.identity import Pin

__all__ = ["add_to", "signing"]

_DEVELOPER = "Intaglio"


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(
        cls=Commands, no_args_is_help=True, rich_markup_mode=None, help="Read attestation results (EAR) of others."
    )
    group.callback()(_group)
    group.command(
        epilog=examples(
            "intaglio ear show ear.jwt --pin dc.pub",
            "intaglio ear show ear.cwt --pin dc.pub --json | jq .status",
        )
    )(show)
    app.add_typer(group, name="ear")


def _group() -> None:
    """Read attestation results (EAR).

    `intaglio verify --ear` writes them: a verdict as a signed token, in the terms of draft-ietf-rats-ear, for parties
    that can't judge evidence themselves.
    """


def show(
    file: Annotated[Path, typer.Argument(metavar="TOKEN", help="A JWT, or a CWT in any armour; - for standard input.")],
    pin: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Check that the data centre of this NAME.pub signed it.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show an attestation result, and check who made it.

    With --pin the signature must be that of the pinned data centre, and the token must not have expired. Without it
    nothing is checked but the form, and anybody may have written it.

    Exit status: 0 if it is a result (of the pinned data centre, in its time), 1 if not.
    """
    from intaglio.cli.ear_text import show_refusal, show_token  # noqa: PLC0415
    from intaglio.cli.inputs import read_pin  # noqa: PLC0415
    from intaglio.errors import Malformed, Rejected  # noqa: PLC0415
    from intaglio.session.results import read_token  # noqa: PLC0415

    pinned = None if pin is None else read_pin(pin)
    data = dearmoured(read_bytes(file))[0]
    try:
        token = read_token(data)
    except Malformed as error:
        raise Malformed(str(file), f"no attestation result: {error}") from error
    now, reason = int(time.time()), None
    try:
        if pinned is not None:
            _check(token, pinned, now)
    except Rejected as error:
        reason = error.reason
    checked = pinned is not None
    if json:
        facts = {"form": token.form.value, "checked": checked, "reason": reason.name if reason else None}
        facts |= {"algorithm": token.algorithm, "key": token.key, "status": token.ear.status.label}
        print_json({**facts, "claims": token.ear.to_claims()})
    elif reason is not None:
        show_refusal(str(file), reason)
    else:
        show_token(str(file), token, checked=checked, now=now)
    raise typer.Exit(Exit.OK if reason is None else Exit.FAILED)


def _check(token: "Token", pin: "Pin", now: int) -> None:
    """Raises `Rejected`."""
    from intaglio.errors import Rejected  # noqa: PLC0415
    from intaglio.reasons import Reason  # noqa: PLC0415
    from intaglio.session.results import check_token  # noqa: PLC0415

    check_token(token, pin)
    if token.ear.expires is not None and token.ear.expires <= now:
        raise Rejected(Reason.RESULT_EXPIRED, expected=f"until {token.ear.expires}", found=now)


def signing(form: str, keystore: Path, key_file: Path | None, *, anonymous: bool) -> "Callable[[Verdict], None]":
    """What writes a verdict to stdout as a token of this keystore's identity. Raises `Usage` for a form that does not
    exist, and whatever keeps the keystore from opening."""
    from intaglio.cli.secrets import keystore_secret  # noqa: PLC0415
    from intaglio.gateway.keystore import Keystore  # noqa: PLC0415
    from intaglio.session.results import Form  # noqa: PLC0415
    from intaglio.types import UnixTime  # noqa: PLC0415
    from intaglio.verify.ear import attestation_result  # noqa: PLC0415
    from intaglio.wire.ear import VerifierId  # noqa: PLC0415

    if form not in {each.value for each in Form}:
        raise Usage(f"--ear {form}: need jwt or cwt")
    opened = Keystore.open(keystore, keystore_secret(key_file))
    verifier = VerifierId(_DEVELOPER, f"intaglio {intaglio.__version__}")

    def write(verdict: "Verdict") -> None:
        at = UnixTime(int(time.time()))
        ear = attestation_result(verdict, verifier, at, issuer=opened.pin.audience, anonymous=anonymous)
        token = opened.sign_result(ear, Form(form))
        sys.stdout.buffer.write(token + (b"\n" if form == Form.JWT.value else b""))
        sys.stdout.buffer.flush()
        note(f"{ear.status.label}; intaglio ear show TOKEN --pin NAME.pub says why")
        if ear.expires is not None and ear.expires <= at:
            warn("it has expired already: what it was judged by is out of date by now")

    return write
