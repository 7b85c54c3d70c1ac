"""BuildKit and Docker: build nodes, builds with buildx, and containers for smoke tests."""
