"""SBOMs in CycloneDX JSON; the same packages always result in the same bytes.

Specification: https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dfgen.oci.digest import Digest
from dfgen.sbom.model import Contents, Installed, System

if TYPE_CHECKING:
    from cyclonedx.model.component import Component
    from packageurl import PackageURL

# The namespace of a package URL for images without an os-release.
_VENDORS = {"deb": "debian", "apk": "alpine"}


def document(name: str, image: Digest, contents: Contents, epoch: int) -> bytes:
    """Return the SBOM of an image: `name` is its family, `epoch` its timestamp in seconds since 1970.

    The serial number is derived from the image's digest; the property `dfgen:lacking` says what may be
    missing.
    """
    from cyclonedx.model import Property
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    root = Component(type=ComponentType.CONTAINER, name=name, version=str(image), bom_ref=str(image))
    components = [*_system(contents.system), *(_component(one, contents.system) for one in contents.packages)]
    lacking = [Property(name="dfgen:lacking", value=contents.lacking)] if contents.lacking else []
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_OID, str(image)),
        metadata=BomMetaData(
            component=root, timestamp=datetime.fromtimestamp(epoch, UTC), properties=lacking
        ),
        components=components,
    )
    bom.register_dependency(root, components)
    return f"{JsonV1Dot6(bom).output_as_string(indent=2)}\n".encode()


def _system(system: System) -> list[Component]:
    from cyclonedx.model.component import Component, ComponentType

    if not system.id:
        return []
    kind = ComponentType.OPERATING_SYSTEM
    return [Component(type=kind, name=system.id, version=system.version or None, bom_ref=f"os:{system.id}")]


def _component(package: Installed, system: System) -> Component:
    from cyclonedx.model.component import Component

    url = purl(package, system)
    return Component(name=package.name, version=package.version, purl=url, bom_ref=str(url))


def purl(package: Installed, system: System) -> PackageURL:
    """Return the package URL, by which scanners identify a package.

    For example `pkg:deb/debian/bash@5.2?arch=amd64&distro=debian-12`; see
    https://github.com/package-url/purl-spec.
    """
    from packageurl import PackageURL

    qualifiers = {
        "arch": package.architecture,
        "distro": "-".join(filter(None, (system.id, system.version))),
        "epoch": "" if package.epoch is None else str(package.epoch),
        "upstream": package.upstream,
    }
    return PackageURL(
        type=package.kind,
        namespace=system.id or _VENDORS.get(package.kind),
        name=package.name,
        version=package.version,
        qualifiers={key: value for key, value in qualifiers.items() if value},
    )
