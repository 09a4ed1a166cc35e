"""`python -m gopark`: the command line."""

import sys

from gopark._cmd import main

if __name__ == "__main__":
    sys.exit(main())
