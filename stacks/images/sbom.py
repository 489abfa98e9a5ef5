"""Prints what an image holds, as CycloneDX 1.6 in JSON; runs in the image, with Python alone.

    python sbom.py NAME VERSION

Debian's packages are read from dpkg's database (one file, or one a package in distroless images),
Python's from the metadata of what is installed. Sources, read 2026-11-29: cyclonedx.org/docs/1.6
(JSON reference); github.com/package-url/purl-spec, PURL-TYPES (deb, pypi). The same image gives the
same text: there is neither a time nor a serial number in it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from urllib.parse import quote

INSTALLED = ("install ok installed", "hold ok installed")
"""The states in dpkg's database of packages whose files are there (dpkg-query(1))."""


def bill(name: str, version: str, root: Path, python: Iterable[Distribution]) -> dict[str, object]:
    """The bill of materials of the image `name` whose files are below `root`."""
    found = [*_debian(root), *map(_distribution, python)]
    by_address = {str(one["purl"]): one for one in found}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name, "version": version}},
        "components": [
            by_address[address] | {"bom-ref": address} for address in sorted(by_address)
        ],
    }


def _debian(root: Path) -> Iterator[dict[str, object]]:
    system = _fields((root / "etc/os-release"), "=")
    distro, release = system.get("ID", "debian"), system.get("VERSION_ID", "")
    for text in _packages(root / "var/lib/dpkg"):
        one = dict(re.findall(r"(?m)^([A-Za-z-]+): *(.*)$", text))
        if "Package" not in one or one.get("Status", INSTALLED[0]) not in INSTALLED:
            continue
        name, version, arch = one["Package"], one["Version"], one["Architecture"]
        asked = f"arch={arch}" + (f"&distro={distro}-{release}" if release else "")
        address = f"pkg:deb/{quote(distro)}/{quote(name)}@{quote(version)}?{asked}"
        yield {"type": "library", "name": name, "version": version, "purl": address}


def _packages(database: Path) -> Iterator[str]:
    """What dpkg knows, a package a text."""
    files = [database / "status", *sorted((database / "status.d").glob("*"))]
    for path in files:
        if path.is_file() and path.suffix != ".md5sums":
            yield from path.read_text(encoding="utf-8", errors="replace").split("\n\n")


def _fields(path: Path, sign: str) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    pairs = (line.partition(sign) for line in lines if sign in line)
    return {name: value.strip("\"'") for name, _, value in pairs}


def _distribution(one: Distribution) -> dict[str, object]:
    name, version = one.metadata["Name"], one.version
    plain = re.sub(r"[-_.]+", "-", name).lower()
    address = f"pkg:pypi/{quote(plain)}@{quote(version)}"
    said = one.metadata.get_all("License-Expression") or ()
    known: dict[str, object] = {"licenses": [{"expression": text} for text in said[:1]]}
    return {"type": "library", "name": name, "version": version, "purl": address} | (
        known if said else {}
    )


def main() -> None:
    """Print the bill of the image that this runs in."""
    name, version = sys.argv[1:]
    print(json.dumps(bill(name, version, Path("/"), distributions()), indent=1))


if __name__ == "__main__":
    main()
