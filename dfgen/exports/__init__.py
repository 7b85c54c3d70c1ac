"""A plan as other programs read it: a file a format, each from the plan to text and nothing else."""
