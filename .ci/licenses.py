"""List the licences of everything that Fissura needs, by what its packages say: `make licenses`.

    python .ci/licenses.py [EXTRA …]

Without an extra these are the packages of the base. The exit status is 1 where a package that is
needed is not installed.
"""

import re
import sys
from importlib.metadata import PackageMetadata as Metadata
from importlib.metadata import PackageNotFoundError, distribution, requires

from packaging.requirements import Requirement


def needed(extras: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return the licence of each package by name and version, and those that are missing."""
    found: dict[str, str] = {}
    missing, seen, queue = [], set(), [("fissura", frozenset(extras))]
    while queue:
        name, wanted = queue.pop()
        if (name.casefold(), wanted) in seen:
            continue
        seen.add((name.casefold(), wanted))
        try:
            package = distribution(name)
        except PackageNotFoundError:
            missing.append(name)
            continue
        found[f"{package.metadata['Name']} {package.version}"] = licence(package.metadata)
        for text in requires(name) or ():
            one = Requirement(text)
            if one.marker is None or any(one.marker.evaluate({"extra": e}) for e in ("", *wanted)):
                queue.append((one.name, frozenset(one.extras)))
    return found, sorted(set(missing))


def licence(metadata: Metadata) -> str:
    """Return what a package says of its licence: an expression, classifiers, or its own words."""
    stated = metadata.get("License-Expression")
    classified = [
        line.rpartition(" :: ")[2]
        for line in metadata.get_all("Classifier") or ()
        if line.startswith("License :: ") and line != "License :: OSI Approved"
    ]
    own = (metadata.get("License") or "").strip().splitlines()
    return stated or ", ".join(classified) or (own[0] if own else "does not say")


if __name__ == "__main__":
    packages, absent = needed(sys.argv[1:])
    for name in sorted(packages, key=str.casefold):
        print(f"{name:40} {re.sub(r' +', ' ', packages[name])[:100]}")
    for name in absent:
        print(f"{name:40} is not installed", file=sys.stderr)
    sys.exit(bool(absent))
