"""What a reviewer is told of two states of a catalog: one subject a module, all of it computed."""
