"""`intaglio token`: who may read the gateway's API, and as what."""

import re
import time
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.console import examples, line, moment, note, print_json, table
from intaglio.cli.durations import parse_duration
from intaglio.cli.failure import Commands, Usage
from intaglio.cli.store import Store, who, writing

if TYPE_CHECKING:
    from intaglio.gateway.store.tokens import NamedToken

__all__ = ["add_to"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_BYTES = 32


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(
        cls=Commands, no_args_is_help=True, rich_markup_mode=None, help="Say who may read the gateway's API."
    )
    group.command(
        epilog=examples(
            "intaglio token add prometheus --role metrics > prometheus.token",
            "intaglio token add alice --role auditor --expires 90d",
        )
    )(add)
    group.command("list", epilog=examples("intaglio token list"))(listed)
    group.command(epilog=examples("intaglio token revoke alice"))(revoke)
    app.add_typer(group, name="token")


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is; never given to another token again.")],
    role: Annotated[str, typer.Option(metavar="ROLE", help="operator, auditor, reader or metrics.")],
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="For how long, as in 90d. [default: for ever]")
    ] = None,
    store: Store = None,
) -> None:
    """Draw a token and print it, once: the store keeps its hash only. The gateway may be running.

    metrics opens /metrics alone; reader the records, sessions and totals; auditor also verdicts, evidence and
    quarantine; operator everything.
    """
    from intaglio.gateway.access import Role, token_hash  # noqa: PLC0415
    from intaglio.gateway.store import tokens  # noqa: PLC0415
    from intaglio.types import UnixTime  # noqa: PLC0415

    if not _NAME.fullmatch(name):
        raise Usage(f"{name!r}: a name has 1 to 64 letters, digits and . _ @ -")
    if role not in tuple(Role):
        raise Usage(f"--role: {role!r} is none of {', '.join(Role)}")
    at = UnixTime(int(time.time()))
    end = None if expires is None else UnixTime(at + parse_duration(expires))
    token = token_urlsafe(_BYTES)
    with writing(store) as connection:
        made = tokens.NamedToken(name, role, who(), at, end, None)
        if not tokens.add(connection, token_hash(token), made):
            raise Usage(f"{name}: there was a token of that name; take another, as alice-2")
    line(token)
    note(f"{name} is {role}" + (f" until {moment(end)}" if end else "") + "; this is shown once")


def listed(store: Store = None, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show all tokens that there ever were, by name; never the tokens themselves.

    The one in api.token, drawn at the gateway's first start, has no name and is an operator's.
    """
    from intaglio.gateway.store import tokens  # noqa: PLC0415

    with writing(store) as connection:
        found = tokens.listed(connection)
    if json:
        print_json([_fields(each) for each in found])
    elif not found:
        note("no token has a name yet; api.token in the store's folder is the operator's")
    else:
        table(("NAME", "ROLE", "STATE", "MADE (UTC)", "BY", "EXPIRES (UTC)"), [_row(each) for each in found])


def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `list` shows it.")],
    store: Store = None,
) -> None:
    """Revoke a token: from now on it opens nothing. A stream that it opened ends within the hour."""
    from intaglio.gateway.store import tokens  # noqa: PLC0415
    from intaglio.types import UnixTime  # noqa: PLC0415

    with writing(store) as connection:
        if not tokens.revoke(connection, name, UnixTime(int(time.time()))):
            raise Usage(f"{name}: no token of that name is in force")
    line(f"{name}: revoked")


def _state(token: "NamedToken") -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "expired" if token.expires_at is not None and token.expires_at <= time.time() else "in force"


def _row(token: "NamedToken") -> tuple[str, ...]:
    end = "never" if token.expires_at is None else moment(token.expires_at)[:19]
    return token.name, token.role, _state(token), moment(token.made_at)[:19], token.made_by, end


def _fields(token: "NamedToken") -> dict[str, object]:
    return {
        "name": token.name,
        "role": token.role,
        "state": _state(token),
        "made_by": token.made_by,
        "made_at": token.made_at,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
    }
