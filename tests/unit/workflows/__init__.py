"""What is written for CI systems, held against their own schemas."""
