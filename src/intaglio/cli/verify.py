"""`intaglio verify`: is this evidence genuine, and does this policy want it?"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.console import examples, note, print_json
from intaglio.cli.durations import at_option
from intaglio.cli.failure import Exit, Usage
from intaglio.cli.reading import dearmoured, read_bytes

if TYPE_CHECKING:
    from intaglio.cli.boot import Booted
    from intaglio.types import UnixTime
    from intaglio.verify.roots import Roots
    from intaglio.verify.verdict import Verdict
    from intaglio.wire.endorsement import Collateral

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "intaglio verify quote.bin --collateral collateral.json",
            "intaglio verify quote.hex --collateral coll.json --at 1751624924     as of July 2025",
            "intaglio verify quote.bin --collateral coll.json --policy policy.toml --explain",
            "intaglio verify quote.bin --collateral a.json --collateral b.json --json | jq .tcb_status",
            "intaglio verify report.bin --collateral vcek.der --collateral cert_chain.pem",
            "intaglio verify peer.pem --collateral c.json --policy policy.toml   an RA-TLS certificate",
            "intaglio verify quote.bin --collateral c.json --event-log ccel.bin     what booted in the TD",
            "intaglio verify quote.bin --collateral c.json --policy policy.toml --ear jwt --sign-with dc.key > ear.jwt",
        )
    )(verify)


def verify(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Evidence: raw bytes, hexadecimal or base64; - for standard input.")
    ],
    collateral: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="What it is judged by: JSON, of several the one that fits the platform and the time; "
            "or AMD's certificates, as many files as there are.",
        ),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also say whether this policy (TOML) accepts it.")
    ] = None,
    pin: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The data centre's NAME.pub, for policies with a config_id pin.")
    ] = None,
    at: Annotated[
        int | None,
        at_option("Judge as of this Unix time."),
    ] = None,
    lab: Annotated[
        list[Path] | None, typer.Option(metavar="ROOT.pem", help="Also trust the root of this simulated platform.")
    ] = None,
    event_log: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="What booted in a TD: its firmware's log (CCEL), its application's (JSON)."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show every check as a tree: what was expected, what was found.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON: the whole verdict.")] = False,
    ear: Annotated[
        str | None,
        typer.Option(metavar="jwt|cwt", help="Write an attestation result for others (EAR) to stdout instead."),
    ] = None,
    sign_with: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --ear: the keystore whose identity signs it.")
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Opens that keystore; otherwise INTAGLIO_PASSPHRASE or a prompt does."),
    ] = None,
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="With --ear: without what tells which machine and session it was.")
    ] = False,
) -> None:
    """Judge evidence: genuine, accepted, or neither?

    Did real hardware make it, what does it run, and how current is the platform?

    FILE may be an SGX or TDX quote, a SEV-SNP report, a Nitro attestation document, a report of Intel's old attestation
    service, a local report of SGX, or an RA-TLS certificate that carries a quote; what it is, is found out. --explain
    shows why it is or is not acceptable.

    Without --policy this says whether the evidence is genuine, not whether you should trust what runs. Nothing is
    fetched: a verdict depends on the files you give and on the time, so it is the same on every machine.

    Exit status: 0 genuine (and accepted, with --policy), 1 not, 3 undecidable, 2 something you gave can't be read.
    """
    from intaglio.cli.collateral_files import choose, read_collateral_files  # noqa: PLC0415
    from intaglio.cli.inputs import read_pin, read_policy, read_roots  # noqa: PLC0415
    from intaglio.cli.ratls import carries_evidence, verify_certificate  # noqa: PLC0415
    from intaglio.cli.verdict_facts import format_of  # noqa: PLC0415
    from intaglio.cli.verdict_text import show_verdict  # noqa: PLC0415
    from intaglio.types import UnixTime  # noqa: PLC0415
    from intaglio.wire.snp_parts import split_extended_report  # noqa: PLC0415

    sign = _signing(ear, sign_with, key_file, anonymous=anonymous, json=json)
    data = read_bytes(file)
    rules = None if policy is None else read_policy(policy)
    pin_hash = None if pin is None else read_pin(pin).hash
    roots = read_roots(lab or [])
    whole, written = dearmoured(data)
    moment = UnixTime(int(time.time()) if at is None else at)
    if carries_evidence(whole):
        if sign is not None or event_log:
            raise Usage("--ear and --event-log: a certificate has neither; give the evidence in it")
        given = collateral or []
        raise typer.Exit(
            verify_certificate(file, whole, given, rules, pin_hash, roots, moment, explain=explain, json=json)
        )
    evidence, table = split_extended_report(whole)
    files = read_collateral_files(collateral or [], file, table)
    chosen = choose(files, evidence, moment)
    verdict, kind = _judge(evidence, chosen.collateral if chosen else None, moment, roots)
    if rules is not None:
        verdict = rules.appraise(verdict, report_data=None, pin_hash=pin_hash)
    booted = _booted(verdict, event_log) if event_log else None
    if sign is not None:
        sign(verdict)
    elif json:
        known = {} if kind else {"tee": None}
        source = str(chosen.path) if chosen else None
        boot = {"boot": booted.to_json()} if booted else {}
        print_json({**verdict.to_json(), **known, "kind": kind, "encoding": written, "collateral": source, **boot})
    else:
        if kind is None:
            _say_what_it_is(file, data)
        what = None if kind is None else format_of(kind, evidence)
        show_verdict(verdict, what=what, source=f"{file} ({written}, {len(evidence):,} bytes)", explain=explain)
        if booted is not None:
            booted.show()
    status = _status(verdict)
    raise typer.Exit(Exit.FAILED if status is Exit.OK and booted and booted.problem else status)


def _booted(verdict: "Verdict", paths: list[Path]) -> "Booted":
    from intaglio.cli.boot import judge_boot, read_event_logs  # noqa: PLC0415

    return judge_boot(verdict, read_event_logs(paths))


def _signing(
    form: str | None, keystore: Path | None, key_file: Path | None, *, anonymous: bool, json: bool
) -> "Callable[[Verdict], None] | None":
    """What writes the token, with the keystore already open: a wrong passphrase is found before anything is judged."""
    if form is None:
        if keystore is not None or anonymous:
            raise Usage("--sign-with and --anonymous belong to --ear")
        return None
    if keystore is None or json:
        raise Usage("--ear needs --sign-with, and does not go with --json")
    from intaglio.cli.ear import signing  # noqa: PLC0415

    return signing(form, keystore, key_file, anonymous=anonymous)


def _judge(
    evidence: bytes, collateral: "Collateral | None", at: "UnixTime", roots: "Roots"
) -> "tuple[Verdict, str | None]":
    """The verdict, and the kind of evidence; None for bytes that are no evidence at all, which get a verdict too."""
    from intaglio.errors import Malformed  # noqa: PLC0415
    from intaglio.verify.dcap import DcapVerifier  # noqa: PLC0415
    from intaglio.verify.evidence import Verifier, classify  # noqa: PLC0415

    try:
        kind = classify(evidence)[1].value
    except Malformed:
        return DcapVerifier(roots).verify(evidence, collateral, at), None
    return Verifier(roots).verify(evidence, collateral, at), kind


def _say_what_it_is(file: Path, data: bytes) -> None:
    """Whoever took the wrong file is told so."""
    from intaglio.cli.formats import guess, identify  # noqa: PLC0415
    from intaglio.errors import Malformed  # noqa: PLC0415

    try:
        note(f"{file}: {identify(data).kind}, which is no evidence; intaglio inspect shows it")
    except Malformed:
        note(f"{file}: {guess(data)}, which is no evidence")


def _status(verdict: "Verdict") -> Exit:
    from intaglio.verify.verdict import Decision  # noqa: PLC0415

    if verdict.genuine is None:
        return Exit.UNDECIDABLE
    if not verdict.genuine or verdict.decision is Decision.REJECTED:
        return Exit.FAILED
    return Exit.UNDECIDABLE if verdict.decision is Decision.UNDECIDABLE else Exit.OK
