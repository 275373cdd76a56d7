"""Every benchmark, one after another: `python -m benchmarks [--json]`, or one by name: `python -m benchmarks.frames`.

With --json one object, a benchmark's name to what it prints alone. Each runs in its own process, so that none warms
another's memory.
"""

import argparse
import importlib.util
import json
import subprocess
import sys

NAMES = ("verify", "verify_snp", "verify_nitro", "frames", "handshake", "intake", "recall")


def main() -> int:
    parser = argparse.ArgumentParser(description="all benchmarks")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json
    found: dict[str, object] = {}
    for name in NAMES:
        if importlib.util.find_spec(f"benchmarks.{name}") is None:
            print(f"benchmarks.{name}: not in this version", file=sys.stderr)
            continue
        command = [sys.executable, "-m", f"benchmarks.{name}", *(["--json"] if as_json else [])]
        run = subprocess.run(command, stdout=subprocess.PIPE if as_json else None, text=True, check=False)
        if run.returncode:
            print(f"benchmarks.{name}: failed with status {run.returncode}", file=sys.stderr)
            return run.returncode
        if as_json:
            found[name] = json.loads(run.stdout)
        else:
            print(flush=True)
    if as_json:
        print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
