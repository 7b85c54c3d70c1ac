"""What a catalog says, as frozen records: read from YAML, checked against the published schema."""
