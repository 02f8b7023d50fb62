"""`python -m mtnet` is `mtnet`."""

import sys


def main() -> None:
    """Do what the command line says; a daemon is not ended by SIGHUP from here on."""
    if sys.argv[1:2] == ["run"]:
        from mtnet.daemon.hangup import ignore_hangups

        ignore_hangups()
    from mtnet.cli.main import main as do

    do()


if __name__ == "__main__":
    main()
