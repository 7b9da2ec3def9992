"""Fails unless the lowest version that pyproject.toml admits is installed of all that a group of it requires.

``python .ci/lowest.py dependencies test`` checks the requirements themselves and those of the extra ``test``. Without
arguments it prints the extras. It is run where the tests have run: what is declared has been tested, or this says so.
"""

import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
groups = {"dependencies": project["dependencies"], **project["optional-dependencies"]}
if len(sys.argv) == 1:
    print(*project["optional-dependencies"], sep="\n")
wrong = []
for group in sys.argv[1:]:
    for requirement in map(Requirement, groups[group]):
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        found, bounds = version(requirement.name), list(requirement.specifier)
        if len(bounds) != 1 or bounds[0].operator != ">=":
            wrong.append(f"{requirement}: it takes one lower bound, and nothing else")
        elif Version(bounds[0].version) != Version(found):
            wrong.append(f"{requirement}: {bounds[0].version} is admitted, and {found} has been tested")
if wrong:
    sys.exit("\n".join(wrong))
