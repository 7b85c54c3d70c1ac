"""`python -m dfgen` is the same command as `dfgen`."""

from dfgen.cli import main

if __name__ == "__main__":
    main()
