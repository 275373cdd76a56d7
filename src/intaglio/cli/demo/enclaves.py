"""What a host can do with enclaves and machines: run another one, in another mode, for somebody else, on an old CPU, or
on no CPU at all. Every message is genuine; what is wrong is who made it, where, or for whom.
"""

from collections.abc import Sequence
from pathlib import Path

from intaglio.cli.demo.centre import Centre
from intaglio.cli.demo.host import enclave
from intaglio.cli.demo.model import Attack, DemoFailed, Outcome, ensure
from intaglio.cli.demo.stage import METER, Stage, place_meter
from intaglio.host.data_centre import DataCentre
from intaglio.host.errors import EnclaveRefused, HelloRejected

__all__ = ["ENCLAVE_ATTACKS"]

_REFUSED_BY_ENCLAVE = "rejected:"


def swap(stage: Stage) -> Outcome:
    """The host's own program, with the true pin, on the same genuine processor."""
    source = METER.replace("return 100", "return 200")
    script, mr_enclave = place_meter(stage.folder / "swapped", source, stage.centre.identity)
    ensure(mr_enclave != stage.mr_enclave, "another program has the same measurement")
    reasons, source = _rejected(stage.centre, script, stage.runner())
    return Outcome("the CPU vouches for it, as another enclave: no session", reasons, source)


def debug(stage: Stage) -> Outcome:
    """The vendor's own program, signed with the vendor's own key, with the DEBUG attribute set at launch."""
    leaked = stage.lab / "vendor.key"
    runner = stage.runner("--debug", "--signer", str(leaked))
    reasons, source = _rejected(stage.centre, stage.meter, runner)
    return Outcome("same code, same signer, but its memory lies open: no session", reasons, source)


def relay(stage: Stage) -> Outcome:
    """Both ways: another data centre's offer to our enclave, and our enclave's hello to another data centre."""
    with stage.other_centre() as other, enclave(stage.meter, stage.runner()) as meter:
        theirs, ours = DataCentre(other.url), DataCentre(stage.centre.url)
        try:
            meter.hello(theirs.offer())
        except EnclaveRefused as error:
            by_enclave = error.code.removeprefix(_REFUSED_BY_ENCLAVE)
            ensure(error.code != by_enclave, f"the enclave refused for another cause: {error}")
        else:
            raise DemoFailed("the enclave answered an offer of a data centre that it does not pin")
        try:
            theirs.deliver_hello(meter.hello(ours.offer()))
        except HelloRejected as error:
            entry = other.entry(error.id)
        else:
            raise DemoFailed("another data centre accepted a hello that was made for ours")
        finally:
            theirs.close()
            ours.close()
        _nothing_stored(other)
    return Outcome(
        "the enclave refuses the other's offer; the other can't open our hello",
        (by_enclave, *entry.reasons),
        f"the enclave's answer; the other's quarantine {entry.name}",
    )


def outdated(stage: Stage) -> Outcome:
    """The right enclave on a machine whose microcode is one update behind."""
    reasons, source = _rejected(stage.centre, stage.meter, stage.runner(platform="beta"))
    return Outcome("genuine, but the platform is known to be vulnerable: no session", reasons, source)


def simulated(stage: Stage) -> Outcome:
    """This very laboratory's evidence, which our data centre accepts only because it was started with --lab."""
    with stage.production_centre() as production:
        reasons, source = _rejected(production, stage.meter, stage.runner())
        _nothing_stored(production)
    return Outcome("every signature holds, under a root that hardware does not have: no session", reasons, source)


ENCLAVE_ATTACKS = (
    Attack("swap", "runs another enclave on the same CPU: get_size() returns 200", ("WRONG_MEASUREMENT",), swap),
    Attack(
        "debug",
        "runs the true enclave in debug mode with the vendor's leaked signing key (the attack that cost a bridge"
        " $1.7M in June 2026)",
        ("DEBUG_ENCLAVE",),
        debug,
    ),
    Attack(
        "relay",
        "carries our messages to another data centre, and its offer to our enclave",
        ("OFFER_SIGNATURE", "OFFER_UNKNOWN"),
        relay,
    ),
    Attack(
        "outdated",
        "runs the true enclave on a machine without the last microcode update",
        ("TCB_STATUS", "ADVISORY"),
        outdated,
    ),
    Attack(
        "simulated",
        "shows simulated evidence to a production gateway (one without --lab)",
        # Nobody is asked for collateral of platforms that a stranger has made up.
        ("ROOT_UNTRUSTED", "COLLATERAL_MISSING"),
        simulated,
    ),
)


def _rejected(centre: Centre, script: Path, runner: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """The reasons for which `centre` has this enclave's hello in quarantine. Raises `DemoFailed` if it has not."""
    data_centre = DataCentre(centre.url)
    records, sessions = centre.records(), centre.sessions()
    try:
        with enclave(script, runner) as process:
            data_centre.deliver_hello(process.hello(data_centre.offer()))
    except HelloRejected as error:
        entry = centre.entry(error.id)
        ensure(entry.reasons == error.reasons, f"the host was told {error.reasons}, on record is {entry.reasons}")
        ensure(entry.what == "hello", "what lies in quarantine is no hello")
        ensure(centre.records() == records and centre.sessions() == sessions, "the rejected enclave left something")
        return entry.reasons, f"quarantine {entry.name}"
    finally:
        data_centre.close()
    raise DemoFailed("the data centre accepted it")


def _nothing_stored(centre: Centre) -> None:
    ensure(not centre.records() and not centre.sessions(), "something was stored where nothing was accepted")
