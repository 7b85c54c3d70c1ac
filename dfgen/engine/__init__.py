"""BuildKit and Docker: the nodes that build, buildx, and the containers of smoke tests."""
