"""Setting the stage: a temporary folder with a lab, its PCS, an enclave's script, a policy, and three data centres."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from intaglio.cli.demo.centre import Centre, Identity, make_identity, open_centre
from intaglio.cli.demo.host import HostileHost
from intaglio.cli.measure import policy_table
from intaglio.cli.run import simulated
from intaglio.sim.loader import measure
from intaglio.sim.pcs_http import PcsServer
from intaglio.sim.world import DEFAULT_LEVEL, Lab, PlatformPlan, TcbState
from intaglio.types import Measurement, UnixTime

__all__ = ["Stage", "set_stage"]

AUDIENCE = "dc.example"
OUTDATED = TcbState(tuple(max(0, svn - 1) for svn in DEFAULT_LEVEL.components))
"""A platform without the last microcode update."""

METER = """\
from intaglio.enclave import Enclave

enclave = Enclave(data_centre="dc.pub")
readings = []


@enclave.call
def get_size() -> int:
    return 100


@enclave.call
def next_reading() -> int:
    readings.append(len(readings) + 1)
    return readings[-1]
"""


@dataclass(slots=True)
class Stage:
    """Everything that is there before anybody acts. `host` is in session with `centre` once it has launched."""

    folder: Path
    lab: Path
    pcs_url: str
    meter: Path
    mr_enclave: Measurement
    policy: Path
    centre: Centre
    host: HostileHost

    def runner(self, *options: str, platform: str = "alpha") -> list[str]:
        """The command that launches an enclave on a simulated platform."""
        return [*simulated(self.lab, platform, []), *options]

    @contextmanager
    def other_centre(self) -> Iterator[Centre]:
        """Another data centre with the same policy: it would like to have these records, too."""
        other = make_identity(self.folder / "other", "other.example")
        root = self.lab / "root.pem"
        with open_centre(self.folder / "other-store", other, self.policy, self.pcs_url, root) as centre:
            yield centre

    @contextmanager
    def production_centre(self) -> Iterator[Centre]:
        """The same data centre (same keys, same policy), started as in production: without `--lab`."""
        ours = self.centre.identity
        copied = self.folder / "production.key"
        shutil.copy2(ours.keystore, copied)
        identity = Identity(copied, ours.key_file, ours.pin)
        folder = self.folder / "production-store"
        with open_centre(folder, identity, self.policy, self.pcs_url, None) as centre:
            yield centre


@contextmanager
def set_stage(tell: Callable[[str, str], None]) -> Iterator[Stage]:
    """Sets the stage and clears it away: no process and no file is left. `tell` hears (what, how) of each part."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="intaglio-demo-")))
        now = UnixTime(int(time.time()))
        plans = (PlatformPlan("alpha"), PlatformPlan("beta", tcb=OUTDATED))
        lab = Lab.create(folder / "lab", now, platforms=plans)
        pcs = stack.enter_context(PcsServer(lambda: lab.pcs, lambda: UnixTime(int(time.time()))))
        tell("platform", f"a simulated SGX machine, TCB up to date; its PCS at {pcs.url}")
        identity = make_identity(folder / "dc", AUDIENCE)
        meter, mr_enclave = place_meter(folder / "meter", METER, identity)
        tell("enclave", f"meter.py: get_size() returns 100; MRENCLAVE {mr_enclave.hex()[:16]}...; pins {AUDIENCE}")
        policy = folder / "policy.toml"
        policy.write_text(policy_table("meter", mr_enclave.hex()), "ascii")
        root = folder / "lab" / "root.pem"
        centre = stack.enter_context(open_centre(folder / "store", identity, policy, pcs.url, root))
        tell("data centre", f"{AUDIENCE} at {centre.url}: accepts that MRENCLAVE and nothing else")
        host = stack.enter_context(HostileHost(folder / "spool"))
        yield Stage(folder, folder / "lab", pcs.url, meter, mr_enclave, policy, centre, host)


def place_meter(folder: Path, source: str, identity: Identity) -> tuple[Path, Measurement]:
    """An enclave's script beside the pin that it is measured with."""
    folder.mkdir()
    script = folder / "meter.py"
    script.write_text(source, "ascii")
    (folder / "dc.pub").write_text(identity.pin.to_text(), "ascii")
    return script, measure(script)
