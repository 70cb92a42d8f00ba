"""What vcrpy needs to keep whole REST answers as our tapes do. In: its requests and answers. Out: the same, clean.

Nothing here imports vcrpy; whoever uses it hands its objects in. Imports: rooms 0-2.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pybase64

from xai_realtime.cassette._http_body import body_kind, changed_unit, multipart_as, rewritten
from xai_realtime.cassette._http_records import clean_bytes
from xai_realtime.cassette.redaction import Redactor, Rule
from xai_realtime.errors import CassetteFormatError

__all__ = ["SERIALIZER", "VcrJson", "VcrScrubber", "configure_vcr"]

SERIALIZER: Final = "xai-json"
BASE64: Final = "base64"


class VcrJson:
    """A JSON serializer for vcrpy whose bodies may be bytes: those that are no text are kept as base64."""

    @staticmethod
    def serialize(cassette_dict: Mapping[str, Any]) -> str:
        """The text of a cassette."""
        return json.dumps(_map_bodies(cassette_dict, _to_json), indent=1, ensure_ascii=False) + "\n"

    @staticmethod
    def deserialize(cassette_string: str) -> Any:
        """The cassette of a text. Raises CassetteFormatError for what is no such text."""
        try:
            value = json.loads(cassette_string)
            if not isinstance(value, dict) or not isinstance(value.get("interactions"), list):
                raise ValueError("it holds no interactions")
            return _map_bodies(value, _from_json)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CassetteFormatError(f"no vcrpy cassette of this form: {error}"[:200]) from None


def _map_bodies(cassette: Mapping[str, Any], change: Any) -> dict[str, Any]:
    interactions = []
    for interaction in cassette["interactions"]:
        request, response = dict(interaction["request"]), dict(interaction["response"])
        request["body"] = change(request.get("body"))
        if isinstance(response.get("body"), Mapping):
            response["body"] = {**response["body"], "string": change(response["body"].get("string"))}
        interactions.append({**interaction, "request": request, "response": response})
    return {**cassette, "interactions": interactions}


def _to_json(body: Any) -> Any:
    if not isinstance(body, bytes | bytearray):
        return body
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {BASE64: pybase64.b64encode_as_string(bytes(body))}


def _from_json(body: Any) -> Any:
    if isinstance(body, dict) and body.keys() == {BASE64}:
        return pybase64.b64decode(body[BASE64], validate=True)
    return body


class VcrScrubber:
    """Takes secrets out of what vcrpy keeps, by the rules of our tapes; `redactor` is theirs."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def request(self, request: Any) -> Any:
        """For `before_record_request`: a clean copy; live requests are matched in the same form."""
        self._redactor.learn(request.headers, request.uri)
        clean = copy.copy(request)
        clean.uri = self._redactor.url(request.uri)
        clean.headers = self._redactor.headers(request.headers)
        if isinstance(request.body, bytes):
            content_type, body = multipart_as(request.headers.get("content-type", ""), request.body)
            clean.body = self._body(body)
            if "content-type" in clean.headers:
                clean.headers["content-type"] = self._redactor.text(content_type)
        return clean

    def response(self, response: Mapping[str, Any]) -> dict[str, Any]:
        """For `before_record_response`: a clean copy. Of a body in an unreadable encoding nothing is kept."""
        pairs = [(name, value) for name, values in response["headers"].items() for value in _listed(values)]
        kept = self._redactor.headers(pairs)
        body = dict(response.get("body") or {})
        kind = body_kind({name.lower(): value for name, value in pairs})
        text = body.get("string") or b""
        if kind == "encoded":
            kept.pop("content-encoding", None)
            body["string"] = b""
        elif kind != "binary":
            data = text.encode() if isinstance(text, str) else text
            body["string"] = b"".join(rewritten([data], by_line=kind == "lines", change=self._body))
        return {**response, "headers": {name: [value] for name, value in kept.items()}, "body": body}

    def _body(self, data: bytes) -> bytes:
        return changed_unit(data, self._redactor.json, lambda text: clean_bytes(self._redactor, text))


def _listed(values: Any) -> list[str]:
    return [values] if isinstance(values, str) else list(values)


def configure_vcr(vcr: Any, *, secrets: Iterable[str] = (), rules: Iterable[Rule] = ()) -> Any:
    """Give a `vcr.VCR()` our serializer and our redaction, and return it.

    Requests are matched by method, scheme, host, port, path, query and body. `secrets` and `rules` add to the
    redaction as they do for `record`.
    """
    scrubber = VcrScrubber(Redactor(secrets, rules=rules))
    vcr.register_serializer(SERIALIZER, VcrJson)
    vcr.serializer = SERIALIZER
    vcr.before_record_request = scrubber.request
    vcr.before_record_response = scrubber.response
    vcr.match_on = ("method", "scheme", "host", "port", "path", "query", "body")
    return vcr
