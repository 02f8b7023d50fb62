"""`python -m mtnet` is `mtnet`."""

import sys


def main() -> None:
    """Run the command line; from here on, SIGHUP does not end a daemon."""
    if sys.argv[1:2] == ["run"]:
        from mtnet.daemon.process.hangup import ignore_hangups

        ignore_hangups()
    from mtnet.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
