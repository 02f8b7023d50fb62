"""`python -m mtnet` is `mtnet`."""

from mtnet.cli.main import main

main()
