"""A campaign of stories: ``python -m tests.simulation --seeds 1000 --days 30``, or one of them: ``--seed 7 -v``."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.simulation.recipe import DAY
from tests.simulation.world import tell

_YEAR = 365 * DAY


def main() -> int:
    """Tell the stories that the command line asks for; return 1 if one of them breaks a rule."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many stories (100)")
    parser.add_argument("--start", type=int, default=1, help="the first seed (1)")
    parser.add_argument("--seed", type=int, help="this story only")
    parser.add_argument("--days", type=float, help="the length of each story, instead of what its seed says")
    parser.add_argument("--pace", choices=("dense", "medium", "calm"), help="instead of what its seed says")
    parser.add_argument("--streams", action="store_true", help="stories about user data streams")
    parser.add_argument("--network", action="store_true", help="with the troubles of networks as they are")
    parser.add_argument("-v", "--verbose", action="store_true", help="print each story, line by line")
    arguments = parser.parse_args()
    seeds = (
        [arguments.seed] if arguments.seed is not None else range(arguments.start, arguments.start + arguments.seeds)
    )
    began, lived, failed = time.process_time(), 0.0, 0
    events = 0
    troubles: Counter[str] = Counter()
    told: Counter[str] = Counter()
    settled: Counter[bool | None] = Counter()
    for seed in seeds:
        result = tell(
            seed,
            arguments.days,
            pace=arguments.pace,
            streams=arguments.streams,
            network=arguments.network,
            echo=print if arguments.verbose else None,
        )
        lived += result.lived
        troubles += result.troubles
        told += result.told
        events += result.events
        settled += result.settled
        if result.breaches:
            failed += 1
            print(f"seed {seed} ({result.recipe.pace}) breaks {len(result.breaches)} rule(s):")
            for breach in result.breaches[:5]:
                print(f"   {breach}")
            same = "".join(
                f" --{name} {value}"
                for name, value in (("days", arguments.days), ("pace", arguments.pace))
                if value is not None
            ) + "".join(f" --{name}" for name in ("streams", "network") if getattr(arguments, name))
            print(f"   replay: python -m tests.simulation --seed {seed}{same} -v", flush=True)
    seconds = time.process_time() - began
    print(
        f"{len(seeds)} stories, {failed} with a breach; {lived / _YEAR:.2f} years in {seconds:.1f} s of CPU;"
        f" {events} events"
    )
    print("troubles:", ", ".join(f"{name} {count}" for name, count in sorted(troubles.items())))
    print("callers were told:", ", ".join(f"{what} {count}" for what, count in sorted(told.items())))
    print("settled as:", ", ".join(f"{what} {count}" for what, count in settled.items()))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
