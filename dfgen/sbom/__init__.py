"""Bills of materials: the packages of an image, from its own package database, as CycloneDX."""
