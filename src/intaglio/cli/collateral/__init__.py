"""`intaglio collateral`: fetch the vendors' statements about platforms, see when they end, carry them where no network
is."""
