"""Path redaction: removes the folders of this machine from public reports."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class PathRedactor:
    """
    Path redactor: shortens the paths in sentences to file names.

    Args:
        data: the data folder.
        others: further folders to remove.
    """

    def __init__(self, data: Path, others: Iterable[Path] = ()) -> None:
        self._data = data
        every = {str(each) for each in (data, data.absolute(), *others)} - {"/", "."}
        # The longest first: one folder may contain another.
        names = "|".join(map(re.escape, sorted(every, key=len, reverse=True)))
        # Match neither the end of a longer path nor the beginning of a longer name.
        self._folder = re.compile(rf"(?<![\w.\-/\\])(?:{names})(?:([/\\])|(?![\w\-]))")

    def text(self, text: str) -> str:
        """Return a sentence without the folders; a folder alone becomes a word."""
        return self._folder.sub(lambda found: "" if found[1] else self._word(found[0]), text)

    def report(self, value: Any) -> Any:
        """Return a report without the folders, at any depth."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.report(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.report(each) for each in value]
        return value

    def _word(self, folder: str) -> str:
        return "the data folder" if Path(folder).absolute() == self._data.absolute() else "a folder"
