"""``python -m fedleak``."""

from fedleak.cli.app import main

main()
