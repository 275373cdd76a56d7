"""`intaglio` and `python -m intaglio`. An installation for enclaves lacks the command's libraries: then one line says
which extra brings them, and there is no traceback."""

import sys

__all__ = ["main"]

_LIBRARIES = ("typer", "rich")
_USAGE = 2


def main() -> int:
    """Runs the command line and returns its exit status."""
    try:
        from intaglio.cli.app import run  # noqa: PLC0415 - the point is to find out whether it can be imported
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _LIBRARIES:
            raise
        sys.stderr.write("intaglio: the command line is an extra; install it with: pip install 'intaglio[cli]'\n")
        return _USAGE
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
