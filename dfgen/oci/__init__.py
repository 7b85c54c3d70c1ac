"""OCI images as data and on disk: digests, references, platforms, manifests and the image layout."""
