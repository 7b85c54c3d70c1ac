"""The workflows to copy, run job by job."""
