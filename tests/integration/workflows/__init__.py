"""Run the example workflows of docs/workflows job by job."""
