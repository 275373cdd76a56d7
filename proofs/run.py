"""`make prove`: runs every ProVerif model of the protocol and compares each result with `expected.toml`.

A model is terms.pv, the rules of rules.pv (some swapped for those of broken.pv), the queries it is asked, and a
process.
Exit status: 0 where all is as expected, 1 where something differs or took too long, 3 where there is no ProVerif.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HERE", "NO_PROVERIF", "Model", "composed", "models", "named", "outcomes", "proverif"]

HERE = Path(__file__).resolve().parent
NO_PROVERIF = 3
SECONDS = 600
"""For one model. The slowest takes a third of it on two busy cores: beyond it, ProVerif does not terminate."""

_PARAGRAPH = re.compile(r"^\(\* (\w+): .*?\*\)\n?(.*?)(?=^\(\* \w+: |\Z)", re.DOTALL | re.MULTILINE)
_RESULT = re.compile(r"^(?: - )?Query .* (is true|is false|cannot be proved)\.$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Model:
    """One entry of expected.toml: which process, which rules are broken, and what each query must give."""

    name: str
    process: str
    swap: Mapping[str, str]
    expect: Mapping[str, str]


def named(file: str) -> dict[str, str]:
    """The paragraphs of a .pv file that begin with a comment `(* name: why *)`, by name."""
    return {name: body.strip() for name, body in _PARAGRAPH.findall((HERE / file).read_text())}


def models() -> list[Model]:
    entries = tomllib.loads((HERE / "expected.toml").read_text())
    return [Model(name, e["process"], e.get("swap", {}), e["expect"]) for name, e in entries.items()]


def composed(model: Model) -> str:
    """The model as ProVerif reads it."""
    rules, broken, queries = named("rules.pv"), named("broken.pv"), named("queries.pv")
    unknown = model.swap.keys() - rules.keys()
    if unknown:
        raise KeyError(f"{model.name}: no such rule: {sorted(unknown)}")
    chosen = [broken[model.swap[name]] if name in model.swap else text for name, text in rules.items()]
    ends = [(HERE / "terms.pv").read_text(), (HERE / f"{model.process}.pv").read_text()]
    return "\n\n".join([ends[0], *chosen, *(queries[name] for name in model.expect), ends[1]])


def proverif() -> str | None:
    """The path of ProVerif: $PROVERIF, or `proverif` on PATH."""
    return shutil.which(os.environ.get("PROVERIF", "proverif"))


def outcomes(model: Model, binary: str) -> dict[str, str]:
    """What ProVerif says of each query. Raises RuntimeError where it says nothing of one, or takes too long."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{model.name}.pv")
        path.write_text(composed(model))
        try:
            run = subprocess.run([binary, path], capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"no answer after {SECONDS} s") from error
    results = _RESULT.findall(run.stdout.partition("Verification summary:")[2])
    if run.returncode != 0 or len(results) != len(model.expect):
        raise RuntimeError(f"ProVerif failed ({run.returncode}): {(run.stdout + run.stderr)[-600:]}")
    return {name: result.removeprefix("is ") for name, result in zip(model.expect, results, strict=True)}


def _report(model: Model, binary: str) -> tuple[bool, str]:
    begun = time.monotonic()
    try:
        found = outcomes(model, binary)
    except RuntimeError as error:
        return False, f"{model.name}: {error}"
    lines = [f"{model.name} ({time.monotonic() - begun:.1f} s)"]
    for name, expected in model.expect.items():
        note = "" if found[name] == expected else f"   DIFFERS: expected {expected}"
        lines.append(f"  {name:<16} {found[name]}{note}")
    return found == model.expect, "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the ProVerif models and compares with proofs/expected.toml.")
    parser.add_argument("models", nargs="*", help="names in expected.toml; all of them where none is given")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="models at once")
    arguments = parser.parse_args()
    binary = proverif()
    if binary is None:
        print("NOTHING WAS PROVED: no `proverif` on PATH nor in $PROVERIF (docs/proofs.md says where it is from)")
        return NO_PROVERIF
    known = {model.name: model for model in models()}
    unknown = set(arguments.models) - known.keys()
    if unknown:
        parser.error(f"no such model: {', '.join(sorted(unknown))}")
    chosen = [known[name] for name in arguments.models] or list(known.values())
    good = True
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for done in as_completed([pool.submit(_report, model, binary) for model in chosen]):
            same, text = done.result()
            good &= same
            print(text, flush=True)
    print("every result is as expected" if good else "SOME RESULTS DIFFER")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
