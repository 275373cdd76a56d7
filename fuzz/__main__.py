"""Runs targets under atheris, each in a process of its own, and says what each of them found.

    python -m fuzz                          every target for 30 seconds
    python -m fuzz --seconds 600 quote      one of them for ten minutes
    python -m fuzz --replay FILE quote      one input, without atheris

Corpora and inputs that broke an invariant are kept under artifacts/fuzz/NAME, which no commit takes.
"""

import argparse
import re
import subprocess
import sys
import warnings
from pathlib import Path

FOLDER = Path("artifacts") / "fuzz"
SLOW = 10
"""Seconds for one input of at most 64 kB: a thousand times what any of them should take."""
MEMORY = 2048
"""MiB for the whole process, most of which are the corpus and the interpreter."""
MAX_LENGTH = 1 << 16


def main() -> int:
    arguments = _arguments()
    if arguments.child:
        return _fuzz(arguments.targets[0], arguments.seconds)
    # A reader that only warns of something would fail where warnings are errors.
    warnings.simplefilter("error")
    from fuzz.registry import ALL  # noqa: PLC0415

    unknown = sorted(set(arguments.targets) - ALL.keys())
    if unknown:
        sys.exit(f"fuzz: no target named {', '.join(unknown)}; there are: {', '.join(sorted(ALL))}")
    if arguments.list:
        for target in ALL.values():
            print(f"{target.name:30} {target.invariant}")
        return 0
    if arguments.replay:
        ALL[arguments.targets[0]].run(arguments.replay.read_bytes())
        return 0
    print(f"{'target':30} {'executions':>12} {'edges':>7} {'corpus':>7}  result", flush=True)
    results = [_run(name, arguments.seconds) for name in arguments.targets or ALL]
    return 0 if all(results) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="which; all of them by default")
    parser.add_argument("--seconds", type=int, default=30, help="for each target")
    parser.add_argument("--list", action="store_true", help="name every target with its invariant")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="feed this input to one target")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if (arguments.replay or arguments.child) and len(arguments.targets) != 1:
        parser.error("name one target")
    return arguments


def _run(name: str, seconds: int) -> bool:
    """One target in a process of its own, because libFuzzer ends the process. Returns whether nothing was found."""
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-W", "error::UserWarning", "-m", "fuzz", "--child", "--seconds", str(seconds), name]
    with (folder / "log").open("w+", encoding="utf-8", errors="replace") as log:
        status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
        log.seek(0)
        text = log.read()
    runs = re.findall(r"stat::number_of_executed_units:\s+(\d+)", text) or re.findall(r"^#(\d+)", text, re.MULTILINE)
    edges = re.findall(r"cov: (\d+) ft: \d+ corp: (\d+)", text) or [("?", "?")]
    executions = f"{int(runs[-1]):,}" if runs else "?"
    result = "ok" if status == 0 else f"FOUND SOMETHING: {folder}/log"
    print(f"{name:30} {executions:>12} {edges[-1][0]:>7} {edges[-1][1]:>7}  {result}", flush=True)
    return status == 0


def _fuzz(name: str, seconds: int) -> int:
    """In the child: instruments the package, and hands over to libFuzzer, which does not return."""
    import atheris  # noqa: PLC0415

    with atheris.instrument_imports(include=["intaglio"], enable_loader_override=False):
        from fuzz.registry import ALL  # noqa: PLC0415

    target = ALL[name]
    folder = FOLDER / name
    for kind in ("corpus", "seeds"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for stale in (folder / "seeds").iterdir():
        stale.unlink()
    for number, seed in enumerate(target.seeds()):
        (folder / "seeds" / str(number)).write_bytes(seed)
        target.run(seed)
    options = [
        f"-max_total_time={seconds}", f"-timeout={SLOW}", f"-rss_limit_mb={MEMORY}", f"-max_len={MAX_LENGTH}",
        f"-artifact_prefix={folder}/", "-print_final_stats=1", str(folder / "corpus"), str(folder / "seeds"),
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options], target.run)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
