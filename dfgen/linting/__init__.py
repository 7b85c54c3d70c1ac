"""The rules of lint, one file a subject: each reads records and gives what it found."""
