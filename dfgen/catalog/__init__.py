"""The catalog: what a Dockerfile takes from its build context."""
