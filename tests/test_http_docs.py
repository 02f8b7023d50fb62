"""`docs/http.md` has a row for each route, and each row an example in three languages."""

import re
from pathlib import Path

import pytest
from fakes.http import HttpPort

PAGE = (Path(__file__).parent.parent / "docs" / "http.md").read_text("utf-8")
ROWS = {
    (method, path): text
    for method, path, text in re.findall(
        r"^### ([A-Z]+) (/\S*)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL
    )
}
ELSEWHERE = {("GET", "/ws"), ("POST", "/templates/{symbol}/{period}")}
"""A WebSocket is in `docs/protocols.md`; POST of a template is what PUT is."""


def test_every_route_has_a_row_and_every_row_a_route(env_with):
    paths = HttpPort(env_with()).ask("GET", "/v1/openapi.json").json["paths"]
    routes = {(method.upper(), path) for path, own in paths.items() for method in own}
    assert ROWS.keys() == routes - ELSEWHERE


@pytest.mark.parametrize("row", ROWS, ids=" ".join)
@pytest.mark.parametrize("language", ["sh", "python", "mql5"])
def test_a_row_has_an_example_in_each_language_with_its_path(row, language):
    (_, path), text = row, ROWS[row]
    examples = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(examples) == 1
    fixed = max(re.split(r"\{\w+\}", path), key=len).rstrip("/")
    assert fixed in examples[0]
