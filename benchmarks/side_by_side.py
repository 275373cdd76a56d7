"""Timing several kinds of work against each other: they take turns, so that a slow moment of the machine hits all of
them, and the best round of each counts."""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

__all__ = ["Work", "asked_for_json", "best_ms", "best_seconds", "show", "show_beside_signatures", "two_threads"]

Work = Callable[[int], object]
"""Does the work n times."""


def best_seconds(works: Mapping[str, tuple[Work, int]], rounds: int) -> dict[str, float]:
    """Seconds for one piece of each work: the smallest mean over `rounds` rounds of its n pieces."""
    best = dict.fromkeys(works, float("inf"))
    for work, _ in works.values():
        work(1)
    for _ in range(rounds):
        for name, (work, count) in works.items():
            start = time.perf_counter()
            work(count)
            best[name] = min(best[name], (time.perf_counter() - start) / count)
    return best


def show(title: str, rows: list[tuple[str, str, str]]) -> None:
    """A table of (work, figure, beside it)."""
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    print(title)
    for work, figure, beside in rows:
        print(f"  {work:<{widths[0]}}  {figure:>{widths[1]}}  {beside}".rstrip())


def asked_for_json(description: str) -> bool:
    """Reads the command line, which has --json and nothing else."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return bool(parser.parse_args().json)


def best_ms(works: Mapping[str, Callable[[], object]], rounds: int, count: int) -> dict[str, float]:
    """Milliseconds for one call of each work: the smallest mean over `rounds` rounds of `count` calls."""

    def repeated(work: Callable[[], object]) -> Work:
        def run(times: int) -> None:
            for _ in range(times):
                work()

        return run

    best = best_seconds({name: (repeated(work), count) for name, work in works.items()}, rounds)
    return {name: seconds * 1000 for name, seconds in best.items()}


def two_threads(work: Callable[[], object], calls: int = 300, rounds: int = 9) -> float:
    """How much more two threads do than one in the same time: 2 is perfect, 1 is a lock."""

    def run() -> None:
        for _ in range(calls):
            work()

    ones, twos = [], []
    with ThreadPoolExecutor(2) as pool:
        for _ in range(rounds):
            with _timer() as one:
                run()
            with _timer() as two:
                for future in [pool.submit(run), pool.submit(run)]:
                    future.result()
            ones.append(one[0])
            twos.append(two[0])
    return 2 * min(ones) / min(twos)


@contextmanager
def _timer() -> Iterator[list[float]]:
    taken = [time.perf_counter()]
    yield taken
    taken[0] = time.perf_counter() - taken[0]


def show_beside_signatures(
    what: str, found: Mapping[str, object], rows: Sequence[tuple[str, str, str, str]], targets: Mapping[str, float]
) -> None:
    """A table of (work, ours, signatures alone, ratio), each but the first a key of `found`."""
    print(f"{found['subject']}, Python {found['python']}\n")
    print(f"{f'verify one {what}, ms':32}{'intaglio':>10}{'signatures only':>17}{'ratio':>8}{'target':>9}")
    for label, ours, floor, ratio in rows:
        print(f"{label:32}{found[ours]:>10}{found[floor]:>17}{found[ratio]:>8}{targets.get(ratio, ''):>9}")
    print(f"{'seen, checks rendered':32}{found['seen_rendered_ms']:>10}")
    print(f"{'two threads, times one':32}{found['two_threads_ratio']:>10}{found['signatures_two_threads_ratio']:>17}")
