"""Files of jobs: what is to be calculated, and what came out."""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from mtnet.errors import ClientError
from mtnet.services.jobs.wire import Ended
from mtnet.storage.files import replace_file

DIGITS = 12
"""Hexadecimal digits of the digest of a file: two files are told from each other."""


class Input(Struct, frozen=True):
    """
    One job of a file.

    Attributes:
        columns: of its row; of a file that is no table there is one, `data`.
    """

    id: str
    data: str
    columns: dict[str, str]


def read_input(path: Path, run: str | None) -> list[Input]:
    """
    Return the jobs of a file, in its order.

    Args:
        run: begins their ids; None = a digest of the file.

    Raises:
        ClientError: it cannot be read, or has no job.
    """
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise ClientError(f"{path} cannot be read: {error}.") from error
    name = hashlib.sha256(content).hexdigest()[:DIGITS] if run is None else run
    rows = list(_rows(path, text))
    if not rows:
        raise ClientError(f"{path} has no job: each line below the names of a .csv is one.")
    return [
        Input(f"{name}-{number}", data, columns)
        for number, (data, columns) in enumerate(rows, start=1)
    ]


def check_output(path: Path) -> None:
    """
    Check that a file can be made, before hours of calculations are offered.

    Raises:
        ClientError: it cannot.
    """
    folder = path.resolve().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ClientError(
            f"{path} cannot be written: expected a file in a folder that can be written to. "
            "Example: -o results.csv"
        )


def write_output(path: Path, inputs: Iterable[Input], ends: Mapping[str, Ended]) -> None:
    """
    Write the ends of jobs in the order of the input: `.csv`, or else a JSON object a line.

    Raises:
        JournalError: it cannot be written.
    """
    rows = [_result_row(each, ends[each.id]) for each in inputs]
    text = _as_csv(rows) if path.suffix == ".csv" else _as_lines(rows)
    replace_file(path, text.encode())


def _rows(path: Path, text: str) -> Iterator[tuple[str, dict[str, str]]]:
    if path.suffix != ".csv":
        for line in filter(None, map(str.strip, text.splitlines())):
            yield line, {"data": line}
        return
    reader = csv.DictReader(io.StringIO(text, newline=""), restval="")
    for number, row in enumerate(reader, start=1):
        if None in row:
            raise ClientError(f"{path} has more cells than columns in row {number}.")
        yield json.dumps(row, ensure_ascii=False), row


def _result_row(given: Input, ended: Ended) -> dict[str, Any]:
    row: dict[str, Any] = {"id": given.id, **given.columns}
    if ended.dead:
        return {**row, "error": ended.text}
    try:
        found = json.loads(ended.text)
    except ValueError:
        found = ended.text
    return {**row, **(found if isinstance(found, dict) else {"result": found})}


def _as_csv(rows: list[dict[str, Any]]) -> str:
    columns = dict.fromkeys(key for row in rows for key in row)
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _as_lines(rows: list[dict[str, Any]]) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
