"""A CycloneDX 1.6 document (ECMA-424) for a wheel: the package, what its wheel holds, and what it is tested with.

The package has no dependency, so the components are the files of the wheel and, with scope `excluded`, the pinned
packages of the tests and of the build. The same sources give the same document.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
import zipfile
from pathlib import Path
from typing import Any

Pinned = dict[str, tuple[str, list[str]]]


def names_in(file: Path) -> Pinned:
    """Return the packages of a requirements file: by name the version and the hashes. The last of several counts."""
    found: Pinned = {}
    text = file.read_text().replace("\\\n", " ") if file.exists() else ""
    for line in text.splitlines():
        pin = re.match(r"([\w.-]+)==([\w.!+-]+)", line)
        if pin:
            hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})", line)
            found[re.sub(r"[-_.]+", "-", pin[1]).lower()] = (pin[2], hashes)
    return found


def metadata_of(wheel: zipfile.ZipFile) -> dict[str, str]:
    """Return the headers of the wheel's METADATA."""
    [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    headers = wheel.read(name).decode().partition("\n\n")[0].splitlines()
    return dict(line.split(": ", 1) for line in headers if ": " in line)


def hash_of(data: bytes) -> list[dict[str, str]]:
    """Return a hash in the form of CycloneDX."""
    return [{"alg": "SHA-256", "content": hashlib.sha256(data).hexdigest()}]


def pinned_component(name: str, version: str, hashes: list[str]) -> dict[str, Any]:
    """Return a package that is not part of the wheel."""
    purl = f"pkg:pypi/{name}@{version}"
    one: dict[str, Any] = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    one["scope"] = "excluded"
    # Each is the hash of one archive of this release; which one is installed depends on the machine.
    one["externalReferences"] = [
        {"type": "distribution", "url": f"https://pypi.org/project/{name}/{version}/", "hashes": [hash_]}
        for hash_ in ({"alg": "SHA-256", "content": content} for content in hashes[:1])
    ]
    return one


def document(path: Path, pins: Path, made: int) -> str:
    """Return the document for a wheel as JSON; `made` is its time in seconds since 1970."""
    with zipfile.ZipFile(path) as wheel:
        about = metadata_of(wheel)
        files = [
            {"type": "file", "bom-ref": f"file:{name}", "name": name, "hashes": hash_of(wheel.read(name))}
            for name in sorted(wheel.namelist())
            if ".dist-info/" not in name
        ]
    purl = f"pkg:pypi/{about['Name']}@{about['Version']}"
    tools: dict[tuple[str, str], list[str]] = {}  # of one package, two environments may have two versions
    for file in sorted(pins.glob("*.txt")):
        tools.update({(name, version): hashes for name, (version, hashes) in names_in(file).items()})
    serial = uuid.uuid5(uuid.NAMESPACE_URL, f"{purl}#{hashlib.sha256(path.read_bytes()).hexdigest()}")
    told = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(made)),
            "component": {
                "type": "library",
                "bom-ref": purl,
                "name": about["Name"],
                "version": about["Version"],
                "description": about["Summary"],
                "licenses": [{"license": {"id": about["License-Expression"]}}],
                "purl": purl,
                "hashes": hash_of(path.read_bytes()),
                "components": files,
            },
        },
        "components": [pinned_component(*pin, hashes) for pin, hashes in sorted(tools.items())],
        "dependencies": [{"ref": purl, "dependsOn": []}],
    }
    return json.dumps(told, indent=1) + "\n"
