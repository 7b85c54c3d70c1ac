"""Fakes of external services: they behave like the real ones and fail on request."""
