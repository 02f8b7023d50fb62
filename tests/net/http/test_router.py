"""The router: requests find their route, are read as it declares, and are answered."""

from io import BytesIO

import pytest
from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET

from mtnet.errors import (
    ConfigError,
    HttpError,
    JournalError,
    MissingPackageError,
    TemplateError,
    WireError,
)
from mtnet.net.http.errors import UNAVAILABLE, http_error
from mtnet.net.http.route import NO_BODY, SMALL_BODY, Answer, BodyLimit, Content, Route, refuse_disk
from mtnet.net.http.router import NOTHING, Router


class Request:
    """A request whose answer is kept."""

    def __init__(self, method, path, body=b"", **args):
        self.method = method.encode()
        self.postpath = [each.encode("latin-1") for each in path[1:].split("/")]
        self.args = {key.encode(): [value.encode()] for key, value in args.items()}
        self.content, self.headers, self.answers, self.refusals = BytesIO(body), {}, [], []
        self.demanded, self.failed, self.denied = [], [], None

    def setHeader(self, name, value):
        self.headers[name] = value

    def demand(self, verb, service, name=None):
        self.demanded.append((verb, service, name))
        if self.denied:
            raise self.denied

    def demand_login(self):
        self.demanded.append("login")

    def hand_over(self, protocol):
        self.answers.append(protocol)

    def reply(self, status, body, headers):
        self.answers.append((status, body, dict(headers)))

    def reply_json(self, status, value, headers):
        self.headers.update(headers)
        self.answers.append((status, value))

    def refuse(self, error):
        self.refusals.append((error.status, error.code, str(error)))

    def processingFailed(self, reason):
        self.failed.append(reason.type)


class Clock(Struct):
    city: str = ""
    hour: int = 12


def route(method="GET", path="/v1/clocks/{city}", handler=None, **more):
    handler = handler or (lambda request, *read: list(read))
    options = {"summary": "A clock.", "params": Clock, "answers": {200: str}, **more}
    return Route(method=method, path=path, handler=handler, **options)


def ask(*routes, method="GET", path="/v1/clocks/Rome", body=b"", denied=None, **args):
    request = Request(method, path, body, **args)
    request.denied = denied
    assert Router({"clocks": routes}).render(request) == NOT_DONE_YET
    return request


def test_a_handler_is_given_what_its_route_declares():
    assert ask(route(), hour="3").answers == [(200, [Clock("Rome", 3)])]
    assert ask(route(path="/noon", params=None), path="/noon").answers == [(200, [])]
    both = route("PUT", body=Clock)
    found = ask(both, method="PUT", body=b'{"hour": 4}')
    assert found.answers == [(200, [Clock("Rome"), Clock("", 4)])]
    raw = route("PUT", body=Content())
    assert ask(raw, method="PUT", body=b"\0\1\0").answers == [(200, [Clock("Rome"), b"\0\1\0"])]


@pytest.mark.parametrize(
    ("path", "city"),
    [("/v1/clocks/A/B", None), ("/v1/clocks/", None), ("/v1/clocks/Rome/", "Rome"),
     ("/v1/clocks/\xc3\x84", "Ä"), ("/v1/clocks/\xc4", "Ä")],
)  # fmt: skip
def test_a_name_takes_one_segment_in_utf_8_or_in_the_code_page(path, city):
    answers = ask(route(), path=path).answers
    assert answers == ([] if city is None else [(200, [Clock(city)])])


def test_a_slash_that_is_escaped_is_part_of_its_segment():
    request = Request("GET", "/v1/clocks/x")
    request.postpath[2] = b"A/B"
    Router({"clocks": [route()]}).render(request)
    assert request.answers == [(200, [Clock("A/B")])]


def test_a_literal_segment_goes_before_a_name_and_gives_way_to_it():
    literal = route(path="/v1/clocks/all", params=None, handler=lambda request: "all")
    below = route(path="/v1/clocks/{city}/hands", handler=lambda request, asked: asked.city)
    routes = literal, below, route()
    assert ask(*routes, path="/v1/clocks/all").answers == [(200, "all")]
    assert ask(*routes, path="/v1/clocks/all/hands").answers == [(200, "all")]
    assert ask(*routes).answers == [(200, [Clock("Rome")])]


@pytest.mark.parametrize("path", ["/", "", "/v1", "/v1/clocks", "/v1/clocks/a/b/c", "//", "/x"])
def test_a_path_without_a_route_does_not_exist(path):
    refusals = ask(route(), path=path).refusals
    assert refusals == [(404, "missing", "There is nothing at this path.")]


def test_a_method_that_a_path_does_not_take_is_answered_with_those_it_takes():
    found = ask(route(), route("PUT", body=Clock), method="PATCH")
    assert found.headers == {b"Allow": b"GET, HEAD, PUT"}
    assert found.refusals == [(405, "method", "This path takes GET, HEAD, PUT.")]
    assert ask(route("PUT"), method="HEAD").headers == {b"Allow": b"PUT"}


def test_get_answers_head_too():
    assert ask(route(), method="HEAD").answers == [(200, [Clock("Rome")])]


# Rights


@pytest.mark.parametrize(
    ("right", "demanded"),
    [("", []), ("read:clocks", [("read", "clocks", None)]), ("admin", [("admin", "", None)]),
     ("read:clocks/{city}", [("read", "clocks", "Rome")])],
)  # fmt: skip
def test_the_right_of_the_route_is_demanded(right, demanded):
    assert ask(route(right=right)).demanded == demanded


def test_a_stranger_learns_nothing_about_what_is_wrong_with_a_request():
    denied = HttpError(401, "login", "This needs a login.")
    found = ask(route(right="read:clocks", body=Clock), body=b"{", denied=denied, hour="x")
    assert found.refusals == [(401, "login", "This needs a login.")]


def test_a_login_can_be_demanded_beside_the_right():
    found = ask(route(right="admin", login=True))
    assert found.demanded == ["login", ("admin", "", None)]


# Answers


@pytest.mark.parametrize(
    ("result", "answer"),
    [
        (None, (204, b"", {})),
        ({"a": 1}, (200, {"a": 1})),
        ([], (200, [])),
        (Answer(201, 7), (201, 7)),
        (Answer(304), (304, b"", {})),
        (Answer(200, b"x", {b"Content-Type": b"text/csv"}),
         (200, b"x", {b"Content-Type": b"text/csv"})),
        (b"x", (200, b"x", {})),
    ],
)  # fmt: skip
@pytest.mark.parametrize("late", [False, True])
def test_what_a_handler_returns_is_the_answer(result, answer, late):
    waiting = Deferred()
    found = ask(route(handler=lambda *_: waiting if late else result))
    assert not late or found.answers == []
    waiting.callback(result)
    assert found.answers == [answer]


def test_headers_stand_beside_json_too():
    found = ask(route(handler=lambda *_: Answer(200, [], {b"ETag": b'"1"'})))
    assert (found.headers, found.answers) == ({b"ETag": b'"1"'}, [(200, [])])


def test_a_protocol_is_given_the_connection():
    protocol = Protocol()
    assert ask(route(handler=lambda *_: protocol)).answers == [protocol]


def failing(error):
    def fail(*_):
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (WireError("field", "Wrong", b"x"), (422, "field", "Wrong: 'x'.")),
        (WireError("fenced", "Another publishes"), (409, "fenced", "Another publishes.")),
        (TemplateError("missing", "None."), (404, "missing", "None.")),
        (TemplateError("period", "M7."), (400, "period", "M7.")),
        (JournalError("/srv/a.db is damaged."), (503, "server", f"{UNAVAILABLE}.")),
        (MissingPackageError("pip install x."), (503, "server", "pip install x.")),
        (HttpError(418, "tea", "A teapot."), (418, "tea", "A teapot.")),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_an_error_has_the_status_of_its_code(error, refusal, late):
    later = Deferred()
    found = ask(route(handler=(lambda *_: later) if late else failing(error)))
    later.errback(error)
    later.addErrback(lambda _: None)
    assert found.refusals == [refusal]


def test_what_the_disk_says_is_for_the_log():
    disk = JournalError("/srv/a.db is damaged.")
    assert http_error(disk).logged == "/srv/a.db is damaged."
    with pytest.raises(HttpError, match=r"^It is not stored\.$") as found:
        refuse_disk(Failure(disk), "It is not stored")
    assert (found.value.status, found.value.code) == (503, "server")
    assert found.value.logged == "/srv/a.db is damaged."
    with pytest.raises(ZeroDivisionError):
        refuse_disk(Failure(ZeroDivisionError()), "It is not stored")


def test_an_unexpected_error_is_left_to_the_site():
    with pytest.raises(ZeroDivisionError):
        ask(route(handler=failing(ZeroDivisionError())))
    later = Deferred()
    found = ask(route(handler=lambda *_: later))
    later.errback(Failure(ZeroDivisionError()))
    assert (found.failed, found.refusals) == ([ZeroDivisionError], [])


# Declarations


def test_two_components_cannot_have_the_same_method_of_one_path():
    router = {"news": [route()], "clocks": [route(path="/v1/clocks/{hour}")]}
    sentence = (
        r"^The HTTP path /v1/clocks/\{hour\} of clocks is also that of news, with the method GET\.$"
    )
    with pytest.raises(ConfigError, match=sentence):
        Router(router)
    Router({"news": [route()], "clocks": [route("PUT")]})


@pytest.mark.parametrize(
    "wrong",
    [{"path": "/v1/{zone}"}, {"path": "v1"}, {"path": "/v1/{city}/"}, {"path": "/A b"},
     {"right": "read"}, {"right": "read:clocks/{zone}"}, {"right": "read:clocks/Rome"}],
)  # fmt: skip
def test_a_wrong_declaration_is_named(wrong):
    with pytest.raises(ConfigError, match=r"^Invalid (route|right) '.*Example: "):
        route(**wrong)


def test_the_limit_of_a_body_is_that_of_its_route():
    large = BodyLimit(1_000_000, "clocks.size allows 1000000")
    router = Router(
        {"clocks": [route(), route("POST", body=Clock), route("PUT", body=Clock, body_limit=large)]}
    )
    path = [b"v1", b"clocks", b"Rome"]
    limits = [router.limit_of(each, path) for each in (b"GET", b"POST", b"PUT")]
    assert limits == [NO_BODY, SMALL_BODY, large]
    # So that the answer says what is wrong with the request, and not with its size.
    assert router.limit_of(b"PATCH", path) == router.limit_of(b"PUT", [b"x"]) == large
    assert Router({}).limit_of(b"PUT", [b""]) == NOTHING


def test_the_longest_stall_timeout_counts():
    routes = [route(stall_timeout=2.0), route("PUT", stall_timeout=9.0), route("POST")]
    assert Router({"clocks": routes}).stall_timeout == 9.0
    assert Router({"clocks": [route()]}).stall_timeout is None
