"""A bill of materials in CycloneDX, through its library; the same packages always give the same bytes."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dfgen.oci.digest import Digest
from dfgen.sbom.model import Contents, Installed, System

if TYPE_CHECKING:
    from cyclonedx.model.component import Component
    from packageurl import PackageURL

# Whose packages they are where the image does not say what it is.
_VENDORS = {"deb": "debian", "apk": "alpine"}


def document(name: str, image: Digest, contents: Contents, epoch: int) -> bytes:
    """Write the SBOM of an image: `name` is its family, `epoch` its time in seconds since 1970.

    Its serial number follows from the image's digest. What may be missing is said in `dfgen:lacking`.
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
    """Name a package as scanners know it: `pkg:deb/debian/bash@5.2?arch=amd64&distro=debian-12`."""
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
