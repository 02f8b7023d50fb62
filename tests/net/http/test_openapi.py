"""The description of the API."""

from typing import Annotated

from msgspec import Meta, Struct

from mtnet.net.http.openapi import describe
from mtnet.net.http.route import Content, Route


class Asked(Struct):
    channel: str
    after: Annotated[int, Meta(ge=0)] = 0
    symbols: tuple[str, ...] = ()


class Signal(Struct):
    symbol: str
    volume: str


class Signals(Struct):
    signals: list[Signal]


GET = Route(
    method="GET", path="/v1/channels/{channel}", handler=print, summary="A channel.",
    params=Asked, right="follow:signals/{channel}", answers={200: Signals}, errors=(404,),
)  # fmt: skip
PUT = Route(
    method="PUT", path="/v1/channels/{channel}", handler=print, summary="Set it.",
    params=Asked, body=Signals, right="admin", login=True,
)  # fmt: skip
CSV = Route(
    method="GET", path="/v1/all.csv", handler=print, summary="All.",
    answers={200: Content("text/csv")},
)  # fmt: skip
FOUND = describe([PUT, GET, CSV], "1.2")


def test_it_is_an_openapi_document_of_this_version():
    assert (FOUND["openapi"], FOUND["info"]) == ("3.1.0", {"title": "mtnet", "version": "1.2"})
    assert list(FOUND["paths"]) == ["/v1/all.csv", "/v1/channels/{channel}"]
    assert FOUND["security"] == [{}, {"basic": []}, {"bearer": []}]


def test_the_cookie_of_a_browser_is_a_login_too():
    found = describe([GET], "1.2", {"cookie": "crumb"})
    scheme = found["components"]["securitySchemes"]["cookie"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "cookie", "crumb")
    assert {"cookie": []} in found["security"]


def test_params_are_those_of_the_path_and_of_the_query():
    found = FOUND["paths"]["/v1/channels/{channel}"]["get"]["parameters"]
    assert [(each["name"], each["in"], each["required"]) for each in found] == [
        ("channel", "path", True), ("after", "query", False), ("symbols", "query", False),
    ]  # fmt: skip
    assert found[1]["schema"] == {"type": "integer", "minimum": 0, "default": 0}
    assert (found[2]["style"], found[2]["explode"]) == ("form", False)


def test_types_stand_once_and_are_referred_to():
    assert set(FOUND["components"]["schemas"]) == {"Error", "Signal", "Signals"}
    operation = FOUND["paths"]["/v1/channels/{channel}"]["put"]
    reference = {"$ref": "#/components/schemas/Signals"}
    assert operation["requestBody"]["content"] == {"application/json": {"schema": reference}}


def test_answers_are_declared_with_every_refusal():
    get, put = FOUND["paths"]["/v1/channels/{channel}"].values()
    assert set(get["responses"]) == {
        "200", "400", "401", "403", "404", "413", "422", "429", "503",
    }  # fmt: skip
    assert put["responses"]["204"] == {"description": "No Content"}
    csv = FOUND["paths"]["/v1/all.csv"]["get"]["responses"]
    assert csv["200"]["content"] == {"text/csv": {}}
    assert "422" not in csv


def test_rights_are_told():
    get, put = FOUND["paths"]["/v1/channels/{channel}"].values()
    assert get["description"] == "Needs the right `follow:signals/{channel}`."
    assert put["description"] == "Needs the right `admin`, and a login, on loopback too."
    assert get["operationId"] == "get_v1_channels_channel"
