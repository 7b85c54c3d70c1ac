"""Run `dfgen` as `python -m dfgen`."""

from dfgen.cli import main

if __name__ == "__main__":
    main()
