"""Linux's common interface to the evidence of confidential VMs, from 6.7 on: configfs-tsm (kernel documentation,
ABI/testing/configfs-tsm-report).

A folder made below `tsm/report` is one request: 64 bytes go into `inblob`, `outblob` is the evidence. Anybody who may
can write into the folder of another; `generation` counts the writes, so it must be what our own writes make it. The
kernel takes `inblob` when the file is closed and tells nobody whether it did: the count shows that, too. No service
provider (SVSM) is asked for: its reports are about a hash of what it adds, so they can't bind a session.
"""

import errno
import os
from dataclasses import dataclass
from typing import Final

from intaglio.attest.errors import CannotAttest, Problem, Remedies, WrongEvidence, from_os
from intaglio.attest.system import KERNEL, System, read_all, write_once
from intaglio.types import ReportData, Tee
from intaglio.wire.dcap import MAX_QUOTE_SIZE
from intaglio.wire.snp_certs import MAX_TABLE

__all__ = ["FOLDER", "ConfigfsTsm", "TsmReport"]

FOLDER: Final = "/sys/kernel/config/tsm/report"
PRIVLEVELS = range(4)
"""TSM_REPORT_PRIVLEVEL_MAX is 3: the VMPLs of SEV-SNP."""
_TEES = {"tdx_guest": Tee.TDX, "sev_guest": Tee.SNP}
_MAX_TEXT = 4096
_TRIES = 5
_PAUSE = 1.0
"""Seconds between tries where the interface is busy: a quote in flight takes about one."""

_GUEST = "load the driver of the guest: modprobe tdx_guest, or modprobe sev-guest"
_MAKING: Remedies = {
    errno.ENOENT: (Problem.MISSING, "no such interface", f"mount -t configfs none /sys/kernel/config; {_GUEST}"),
    errno.ENXIO: (Problem.UNCONFIGURED, "no provider of reports is registered", _GUEST),
    errno.EACCES: (Problem.FORBIDDEN, "permission denied", f"let this user make folders in {FOLDER}, or run as root"),
    errno.EPERM: (Problem.FORBIDDEN, "not permitted", f"mount configfs writable: in a container, -v {FOLDER}:{FOLDER}"),
}
_READING: Remedies = {
    errno.EINVAL: (
        Problem.REFUSED, "the provider refused the request",
        "see that the privilege level is one this guest may ask for; the kernel's log (dmesg) says more",
    ),
    errno.EIO: (
        Problem.REFUSED, "the host refused to make evidence",
        "on the host, for TDX: run Intel's quote generation service (qgsd) and start the VM with its socket",
    ),
    errno.ENOENT: (Problem.BUSY, "the request vanished while it ran", "find out what else removes folders there"),
    errno.ENXIO: (Problem.REFUSED, "the provider can't make evidence now", "see the kernel's log (dmesg)"),
    errno.EFBIG: (
        Problem.TOO_LARGE, "the evidence is larger than this kernel passes on",
        "run a newer kernel; for TDX, configure the host for ordinary quotes rather than DICE ones",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TsmReport:
    """`outblob` is the evidence. `auxblob` is what the host added, for SEV-SNP a table of certificates, or empty."""

    tee: Tee
    outblob: bytes
    auxblob: bytes


class ConfigfsTsm:
    """The interface. Safe for several threads: each report has a folder of its own."""

    def __init__(self, system: System = KERNEL, privlevel: int | None = None) -> None:
        """`privlevel`: the VMPL that an SEV-SNP report shall state; None for the lowest that the guest may ask for."""
        self._system = system
        self._privlevel = privlevel

    def provider(self) -> Tee:
        """Whose evidence this is. Raises `CannotAttest`."""
        entry = self._make()
        try:
            return self._tee(entry)
        finally:
            self._remove(entry)

    def report(self, report_data: ReportData) -> TsmReport:
        """Evidence over these 64 bytes, tried a few times where the interface is busy.

        Raises `CannotAttest`, and `WrongEvidence` where somebody else wrote into our request.
        """
        for _ in range(_TRIES - 1):
            try:
                return self._attempt(report_data)
            except CannotAttest as error:
                if error.problem is not Problem.BUSY:
                    raise
            self._system.sleep(_PAUSE)
        return self._attempt(report_data)

    def _attempt(self, report_data: ReportData) -> TsmReport:
        entry = self._make()
        try:
            tee = self._tee(entry)
            before = self._number(entry, "generation")
            writes = self._ask(entry, tee, report_data)
            outblob = self._read(entry, "outblob", MAX_QUOTE_SIZE)
            auxblob = self._read(entry, "auxblob", MAX_TABLE) if tee is Tee.SNP else b""
            after = self._number(entry, "generation")
        finally:
            self._remove(entry)
        if after != before + writes:
            raise WrongEvidence(
                f"{entry}: generation {after} after {writes} writes from {before}; something else writes into "
                "requests that are not its own: find it, or let only this user write there"
            )
        if not outblob:
            raise CannotAttest(
                f"{entry}/outblob", Problem.REFUSED, "empty: the host's quoting service failed",
                "see the log of Intel's quote generation service (qgsd) on the host",
            )  # fmt: skip
        return TsmReport(tee, outblob, auxblob)

    def _ask(self, entry: str, tee: Tee, report_data: ReportData) -> int:
        """Writes the request; gives the number of writes."""
        writes = 1
        if tee is Tee.SNP:
            level = self._level(entry)
            if level:  # zero is what the kernel assumes
                self._write(entry, "privlevel", str(level).encode("ascii"))
                writes += 1
        self._write(entry, "inblob", report_data)
        return writes

    def _level(self, entry: str) -> int:
        floor = self._number(entry, "privlevel_floor")
        level = floor if self._privlevel is None else self._privlevel
        if level not in PRIVLEVELS or level < floor:
            raise CannotAttest(
                f"{entry}/privlevel", Problem.UNCONFIGURED, f"level {level} can't be asked for by this guest",
                f"ask for a level from {floor} to {PRIVLEVELS[-1]}",
            )  # fmt: skip
        return level

    def _tee(self, entry: str) -> Tee:
        name = self._read(entry, "provider", _MAX_TEXT).decode("ascii", "replace").strip()
        tee = _TEES.get(name)
        if tee is None:
            raise CannotAttest(
                f"{entry}/provider",
                Problem.UNCONFIGURED,
                f"provider {name[:64]!r} makes no evidence known here",
                _GUEST,
            )
        return tee

    def _make(self) -> str:
        entry = f"{FOLDER}/intaglio-{os.getpid()}-{os.urandom(8).hex()}"
        try:
            self._system.mkdir(entry)
        except OSError as error:
            raise from_os(error, FOLDER, _MAKING) from error
        return entry

    def _remove(self, entry: str) -> None:
        """A folder that stays keeps the driver from being unloaded and nothing else: no reason to lose evidence."""
        try:
            self._system.rmdir(entry)
        except OSError:
            return

    def _number(self, entry: str, name: str) -> int:
        text = self._read(entry, name, _MAX_TEXT).strip()
        if not text.isdigit() or len(text) > 20:
            raise WrongEvidence(f"{entry}/{name}: need a number, found {text[:32]!r}; run a current kernel")
        return int(text)

    def _read(self, entry: str, name: str, limit: int) -> bytes:
        path = f"{entry}/{name}"
        try:
            return read_all(self._system, path, limit)
        except OSError as error:
            raise from_os(error, path, _READING) from error

    def _write(self, entry: str, name: str, data: bytes) -> None:
        path = f"{entry}/{name}"
        try:
            write_once(self._system, path, data)
        except OSError as error:
            raise from_os(error, path, _READING) from error
