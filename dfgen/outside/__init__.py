"""What reaches outside the process: HTTP, buildx, the Docker engine, git and files."""
