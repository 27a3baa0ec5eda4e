"""`python -m ringex`: the command line."""

from ringex.cli import main

main()
