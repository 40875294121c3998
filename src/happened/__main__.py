"""Layer 7. Runs the command line as ``python -m happened``."""

import sys

from happened.cli import main

if __name__ == "__main__":
    sys.exit(main())
