"""HTTP resources: a table of methods, and errors as JSON."""

import pytest
from twisted.web.server import NOT_DONE_YET

from mtnet.errors import HttpError
from mtnet.net.http import BodyLimit, MethodResource, NotFound


class Request:
    """A request whose answer is kept."""

    def __init__(self, method):
        self.method, self.headers, self.answers, self.refusals = method, {}, [], []

    def setHeader(self, name, value):
        self.headers[name] = value

    def reply_json(self, status, value):
        self.answers.append((status, value))

    def refuse(self, error):
        self.refusals.append((error.status, error.code, str(error)))


class Clocks(MethodResource):
    """GET answers, PUT is refused, POST fails with an error that only it knows, DELETE with any."""

    class Full(Exception):
        pass

    def methods(self, request):
        return {
            b"GET": lambda request: request.reply_json(200, "noon"),
            b"PUT": self.forbid,
            b"POST": self.fill,
            b"DELETE": lambda request: 1 / 0,
        }

    def forbid(self, request):
        raise HttpError(403, "denied", "The clock is not yours.")

    def fill(self, request):
        raise self.Full

    def converted(self, error):
        if isinstance(error, self.Full):
            return HttpError(507, "full", "There is no room for a clock.")
        return super().converted(error)


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_get_answers_head_too(method):
    request = Request(method)
    assert Clocks().render(request) == NOT_DONE_YET
    assert (request.answers, request.refusals) == ([(200, "noon")], [])


def test_a_refusal_of_a_handler_is_the_answer():
    request = Request(b"PUT")
    Clocks().render(request)
    assert request.refusals == [(403, "denied", "The clock is not yours.")]


def test_a_resource_converts_errors_of_its_own():
    request = Request(b"POST")
    Clocks().render(request)
    assert request.refusals == [(507, "full", "There is no room for a clock.")]


def test_an_unexpected_error_is_left_to_the_site():
    with pytest.raises(ZeroDivisionError):
        Clocks().render(Request(b"DELETE"))


def test_a_method_that_is_not_in_the_table_is_answered_with_those_that_are():
    request = Request(b"PATCH")
    Clocks().render(request)
    assert request.headers == {b"Allow": b"DELETE, GET, HEAD, POST, PUT"}
    sentence = "This path takes DELETE, GET, HEAD, POST, PUT."
    assert request.refusals == [(405, "method", sentence)]


@pytest.mark.parametrize("resource", [NotFound(), Clocks().getChild(b"x", None)])
def test_a_path_without_methods_does_not_exist(resource):
    request = Request(b"GET")
    resource.render(request)
    assert request.refusals == [(404, "missing", "There is nothing at this path.")]


def test_no_body_is_taken_unless_a_resource_says_so():
    assert MethodResource().body_limit == BodyLimit(0, "nothing here takes one")
