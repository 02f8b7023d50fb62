#!/usr/bin/env python3
"""Compile an MQL5 program for Linux, unchanged: translate.py PROGRAM.mq5 OUTPUT [-I FOLDER]..."""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from translator.compiler import Compiler
from translator.tokens import SourceError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("-I", dest="folders", type=Path, action="append", default=[])
    options = parser.parse_args()
    try:
        compiled = Compiler().program(options.program.resolve(), options.folders)
    except (SourceError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    options.output.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(compiled, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
