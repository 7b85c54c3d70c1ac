"""The logic of each command, separate from the command line."""
