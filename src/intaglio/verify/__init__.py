"""From evidence to a `Verdict`. Pure: roots, collateral and the time are arguments; nothing is fetched or
remembered that was not verified.

*Genuine* (the signatures hold and the TCB status is known) is judged by `DcapVerifier`, *acceptable* (we want
this one) by `Policy`. Only this package makes a `Verdict`.
"""
