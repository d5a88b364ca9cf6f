"""`python -m itly_core …` is `itly …`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main(prog_name="python -m itly_core"))
