"""``python -m cordlesion`` is the command ``cordlesion``."""

from cordlesion.cli.app import main

if __name__ == "__main__":
    main()
