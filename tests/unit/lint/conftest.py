from tests.unit.lint.catalogs import linting

__all__ = ["linting"]
