"""Loading an enclave's script: from the measured bytes, never from the disk that the host can change meanwhile.

While the script runs, an import of a module that is part of the image (`tariff.py` for `import tariff`) is answered
from there, and the folders from which Python would import what lies beside the script, or where the process was
started, are taken off the path: what is not measured is not found.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType

from intaglio.attest.base import Attester
from intaglio.enclave.calls import Enclave
from intaglio.enclave.inside import INSIDE, Inside
from intaglio.errors import IntaglioError

__all__ = ["SCRIPT_MODULE", "ScriptFailed", "loaded"]

SCRIPT_MODULE = "__enclave__"
"""`__name__` of the script: not "__main__", which is the runner."""


class ScriptFailed(IntaglioError):
    """The script can't be run. The text names the kind of error and the line, not what the error said."""


@contextmanager
def loaded(script: Path, attester: Attester) -> Iterator[Enclave]:
    """The script's one `Enclave`, and the measured modules importable until the end of the block.

    Raises `ScriptFailed` where the script is not measured, does not load, or makes no or several `Enclave`s.
    """
    inside = Inside(attester)
    finder = _MeasuredFinder(attester)
    path, token = sys.path[:], INSIDE.set(inside)
    unmeasured = {Path.cwd().resolve(), script.parent.resolve()}
    sys.path[:] = [entry for entry in path if entry and Path(entry).resolve() not in unmeasured]
    sys.meta_path.insert(0, finder)
    try:
        _execute(script.name, attester)
        if len(inside.enclaves) != 1:
            raise ScriptFailed(f"{script.name}: need exactly one Enclave(...), found {len(inside.enclaves)}")
        yield inside.enclaves[0]
    finally:
        sys.meta_path.remove(finder)
        sys.path[:] = path
        INSIDE.reset(token)
        for name in (SCRIPT_MODULE, *finder.names):
            sys.modules.pop(name, None)


def _execute(name: str, attester: Attester) -> None:
    try:
        code = _compiled(attester.trusted_file(name), name)
    except FileNotFoundError as error:
        raise ScriptFailed(f"{name}: not part of the measured image") from error
    except (SyntaxError, ValueError) as error:
        raise ScriptFailed(f"{name}: not a Python script ({type(error).__name__})") from error
    module = ModuleType(SCRIPT_MODULE)
    module.__file__ = name
    sys.modules[SCRIPT_MODULE] = module
    try:
        exec(code, module.__dict__)  # noqa: S102 - this is what the runner is for; the bytes are the measured ones
    except BaseException as error:  # the script is anybody's: whatever it raises (SystemExit, too) ends it
        raise ScriptFailed(f"{name}{_line(error, name)}: {type(error).__name__}") from error


def _compiled(source: bytes, name: str) -> CodeType:
    return compile(source, name, "exec", dont_inherit=True)


def _line(error: BaseException, name: str) -> str:
    """Where in the script: the deepest of its own lines."""
    at, trace = "", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == name:
            at = f", line {trace.tb_lineno}"
        trace = trace.tb_next
    return at


class _MeasuredFinder(MetaPathFinder, Loader):
    """Imports modules of the image by name. The standard library's and our own names are left to Python."""

    def __init__(self, attester: Attester) -> None:
        self._attester = attester
        self.names: list[str] = []

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,  # noqa: ARG002 - Python's
    ) -> ModuleSpec | None:
        if path is not None or fullname == "intaglio" or fullname in sys.stdlib_module_names:
            return None
        try:
            self._attester.trusted_file(f"{fullname}.py")
        except FileNotFoundError:
            return None
        self.names.append(fullname)
        return spec_from_loader(fullname, self, origin=f"{fullname}.py")

    def exec_module(self, module: ModuleType) -> None:
        name = f"{module.__name__}.py"
        exec(_compiled(self._attester.trusted_file(name), name), module.__dict__)  # noqa: S102 - measured, as above
