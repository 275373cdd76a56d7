"""Which services are asked, from the options that `serve` and `collateral fetch` share."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.failure import Usage

if TYPE_CHECKING:
    from intaglio.collateral.cache import CachedSource, Fetcher
    from intaglio.collateral.pcs import PcsClient
    from intaglio.wire.collateral_request import TcbUpdate

__all__ = ["FOLDER", "SUBSCRIPTION_VARIABLE", "KdsOption", "PcsOption", "cached_source", "pcs_clients", "tcb_update"]

SUBSCRIPTION_VARIABLE = "INTAGLIO_PCS_KEY"
"""Intel wants a subscription key where it hands out PCK certificates."""
FOLDER = "collateral"
"""Of the gateway's store."""

PcsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="URL", help="Intel collateral from this PCS or PCCS; several are asked in order. [default: Intel's]"
    ),
]
KdsOption = Annotated[str | None, typer.Option(metavar="URL", help="AMD certificates from this KDS. [default: AMD's]")]


def pcs_clients(pcs: list[str] | None) -> "list[PcsClient]":
    """Raises `Usage`. The subscription key is Intel's to see: no other service is sent it."""
    from intaglio.collateral.pcs import INTEL_PCS, PcsClient  # noqa: PLC0415

    key = os.environ.get(SUBSCRIPTION_VARIABLE)
    try:
        return [
            PcsClient(url, subscription_key=key if f"{url}/".startswith(f"{INTEL_PCS}/") else None)
            for url in pcs or [INTEL_PCS]
        ]
    except ValueError as error:
        raise Usage(f"--pcs: {error}") from error


def cached_source(store: Path, pcs: list[str] | None, kds: str | None, *, lab: bool = False) -> "CachedSource":
    """The services over the store's cache. The vendors know no laboratories, so
    with `lab` nobody is asked who was not named. Raises
    `Usage`."""
    from intaglio.collateral.cache import CachedSource  # noqa: PLC0415
    from intaglio.collateral.kds import AMD_KDS, KdsClient  # noqa: PLC0415

    fetchers: list[Fetcher] = [*pcs_clients(pcs)] if pcs or not lab else []
    if kds is not None or not lab:
        try:
            fetchers.append(KdsClient(kds or AMD_KDS))
        except ValueError as error:
            raise Usage(f"--kds: {error}") from error
    return CachedSource(fetchers, store / FOLDER)


def tcb_update(text: str) -> "TcbUpdate":
    """Raises `Usage`."""
    from intaglio.wire.collateral_request import TcbUpdate  # noqa: PLC0415

    try:
        return TcbUpdate(text)
    except ValueError as error:
        raise Usage(f"--tcb-update: {error}") from error
