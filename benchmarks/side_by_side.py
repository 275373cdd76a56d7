"""Timing several kinds of work against each other: they take turns, so that a slow moment of the machine hits all of
them, and the best round of each counts."""

import time
from collections.abc import Callable, Mapping

__all__ = ["Work", "best_seconds", "show"]

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
