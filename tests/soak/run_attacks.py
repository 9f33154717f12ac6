"""An honest robot beside robots that attack: `run_attacks.py SECONDS [NAME …]`.

Each attack runs for so long beside an honest robot, with real processes on one machine. Prints how long the
robot was without a plan beside each attack and without any, and the server's memory; exits 1 if an attack
cost the robot anything, or the server more memory than is promised.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

from process.attacks import ATTACKS, MAX_GROWTH_MB, felt, start_server  # noqa: E402 - the tests are no package
from process.rig import rig_in  # noqa: E402


def main() -> int:
    """Run the attacks that are named, all without a name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float)
    parser.add_argument("names", nargs="*", choices=[*ATTACKS, []], metavar="NAME")
    told = parser.parse_args()
    costly: list[str] = []
    with tempfile.TemporaryDirectory(prefix="vagus-attacks-") as folder, rig_in(Path(folder)) as rig:
        server = start_server(rig)
        alone = felt(rig, server, "", told.seconds).starved_s
        sys.stdout.write(f"without an attack: {alone:.2f} of {told.seconds:g} s without a plan\n")
        for name in told.names or ATTACKS:
            seen = felt(rig, server, name, told.seconds)
            growth_mb = seen.peak_mb - seen.before_mb
            sys.stdout.write(
                f"{name}: {seen.starved_s:.2f} s without a plan; server {seen.before_mb:.0f} MB, at most "
                f"{seen.peak_mb:.0f}; {seen.steps} steps, {len(seen.errors)} unanswered {seen.errors[-1:]}\n"
            )
            sys.stdout.flush()
            if seen.unsafe:
                sys.stdout.write(f"UNSAFE {seen.unsafe}\n")
            if seen.starved_s > alone or growth_mb > MAX_GROWTH_MB or not seen.steps or seen.unsafe:
                costly.append(name)
    sys.stdout.write(f"attacks that cost something: {costly or 'none'}\n")
    return 1 if costly else 0


if __name__ == "__main__":
    raise SystemExit(main())
