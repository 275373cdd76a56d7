"""What booted in a TD, beside its verdict: event logs that people give to `intaglio verify`."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from intaglio.cli.console import clean, field, line
from intaglio.cli.failure import Usage
from intaglio.cli.formats.boot import read_log
from intaglio.cli.reading import read_bytes
from intaglio.errors import Malformed, Rejected
from intaglio.verify.event_log import ALL_REGISTERS, Boot, read_boot
from intaglio.verify.verdict import Verdict
from intaglio.wire.boot_events import Proof, Words
from intaglio.wire.ccel import EventLog
from intaglio.wire.tdx import TdReport

__all__ = ["Booted", "judge_boot", "read_event_logs"]


class Booted:
    """The boot that the logs tell, or why they do not fit; and the registers that no log says anything about."""

    def __init__(self, boot: Boot | None, problem: Rejected | None, silent: tuple[int, ...]) -> None:
        self.boot = boot
        self.problem = problem
        self.silent = silent

    def to_json(self) -> dict[str, object]:
        told: dict[str, object] = self.boot.to_json() if self.boot else {}
        reason = self.problem.reason.name if self.problem else None
        return {"reason": reason, "found": str(self.problem) if self.problem else None, "silent": self.silent, **told}

    def show(self) -> None:
        line()
        if self.problem is not None:
            line(f"BOOT: {clean(str(self.problem))}", style="bold red")
        if self.boot is not None:
            line("BOOT: the event log gives the report's registers", style="bold")
            secure = {True: "on", False: "off", None: "not told"}[self.boot.secure_boot]
            field("secure boot", secure, indent=2)
            for text in self.boot.command_lines:
                field("command line", text, indent=2)
            for path, digest in self.boot.images:
                field("image", f"{digest.hex()} {path}", indent=2)
            for event in self.boot.events:
                if isinstance(event.fact, Words) and event.fact.label and event.proof is Proof.ALL:
                    field("event", f"RTMR{event.rtmr} {event.fact}", indent=2)
            field("events", f"{len(self.boot.events)}; --json lists them, with how much of each is proven", indent=2)
        if self.silent:
            field("no log for", ", ".join(f"RTMR{number}" for number in self.silent), indent=2)


def read_event_logs(paths: Iterable[Path]) -> list[EventLog]:
    """Raises `Usage` for a file that is no event log."""
    logs = []
    for path in paths:
        try:
            logs.append(read_log(read_bytes(path)))
        except Malformed as error:
            raise Usage(f"{path}: not an event log: {error}") from error
    return logs


def judge_boot(verdict: Verdict, logs: Sequence[EventLog]) -> Booted:
    """A register that holds something and that no log mentions is told as such: nothing is known of it."""
    mentioned = {event.rtmr for log in logs for event in log.events if event.extends}
    report = verdict.identity
    silent: tuple[int, ...] = ()
    if isinstance(report, TdReport):
        silent = tuple(n for n in ALL_REGISTERS if n not in mentioned and any(report.rtmrs[n]))
    try:
        boot = read_boot(verdict, *logs, registers=set(ALL_REGISTERS) - set(silent))
    except Rejected as rejected:
        return Booted(None, rejected, silent)
    return Booted(boot, None, silent)
