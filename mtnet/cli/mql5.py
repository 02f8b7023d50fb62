"""`mtnet mql5`: gives out the experts for MetaTrader 5 that belong to this version."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from mtnet.cli import parsers
from mtnet.errors import ClientError

PACKAGED = Path(__file__).parents[1] / "mql5"
"""The tree in an installed package."""
CHECKOUT = Path(__file__).parents[2] / "mql5"
"""The tree in a checkout, which an editable install uses."""
FIRST_DATE = (1980, 1, 1, 0, 0, 0)
"""The date of every file in a zip, so that equal trees give equal zips."""
NEXT = """
Next:
1. In MetaTrader: File > Open Data Folder. {how}
2. Open MQL5/Experts/Mtnet in MetaEditor, and compile both experts (F7).
3. Allow the server in Tools > Options > Expert Advisors, "Allow WebRequest for listed URL".
docs/metatrader.md describes every input.
"""


def configure(parser: ArgumentParser) -> None:
    """Add the commands of `mtnet mql5`."""
    parser.description = "Gives out the experts for MetaTrader 5."
    summary = "write the experts and their headers into a folder or a zip"
    export = parsers.add(parsers.group(parser), "export", write_tree, summary, "mtnet.zip")
    export.add_argument(
        "target",
        metavar="TARGET",
        type=Path,
        help="a terminal's data folder, or a new folder, or a file that ends in .zip",
    )


def tree() -> dict[str, bytes]:
    """
    Return the files by their path below a terminal's data folder.

    Raises:
        ClientError: this installation lacks them.
    """
    root = PACKAGED if PACKAGED.is_dir() else CHECKOUT
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in _sources(root)}
    if not files:
        raise ClientError(f"This installation has no MQL5 sources: {root} is empty.")
    return files


def _sources(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.rglob("*.mq?")) if path.is_file())


def write_tree(arguments: Namespace) -> None:
    """
    Write the tree.

    Raises:
        ClientError: this installation lacks it, or the target cannot be written.
    """
    files, target = tree(), arguments.target
    packed = target.suffix.lower() == ".zip"
    try:
        (_write_zip if packed else _write_folder)(files, target)
    except OSError as error:
        raise ClientError(f"{target} cannot be written: {error.strerror}.") from error
    how = f"Unpack {target.name} there." if packed else f"Copy {target / 'MQL5'} over its MQL5."
    print(f"{len(files)} files are in {target}.")
    print(NEXT.format(how=how), end="")


def _write_folder(files: dict[str, bytes], target: Path) -> None:
    for name, content in files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _write_zip(files: dict[str, bytes], target: Path) -> None:
    with ZipFile(target, "w", ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(ZipInfo(name, FIRST_DATE), content, ZIP_DEFLATED)
