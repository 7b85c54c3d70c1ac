"""Plans and findings as other programs read them: a file a format, to text and nothing else."""
