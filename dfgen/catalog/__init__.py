"""The catalog: read base.yaml, catalog.yaml and lock.json, and expand them into images."""
