"""Files for CI systems, validated against the schemas of these systems."""
