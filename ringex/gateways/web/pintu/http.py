"""Pintu Pro's envelope over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ringex.gateways.errors import Refusal
from ringex.gateways.limiter import retry_header
from ringex.gateways.web.peer import Site
from ringex.gateways.web.pintu import envelope
from ringex.gateways.web.pintu.translation import ROOT, Translated, timed, translate
from ringex.gateways.web.responses import ENCODER
from ringex.gateways.web.rest import form
from ringex.terms import Transport

if TYPE_CHECKING:
    from ringex.gateways.web.http import Request

PREFIX: Final = ROOT.encode()


@dataclass(frozen=True, slots=True)
class Ticket:
    """One request under way: the gateway gives it back with the reply."""

    request: Request
    request_id: str
    method: str
    translated: Translated | None = None

    def answer(self, message: dict[str, Any]) -> None:
        error = message.get("error")
        if error is not None:
            refusal = Refusal(error["code"], error["msg"], error.get("data"), message["status"])
            self.refuse(refusal)
            return
        assert self.translated is not None
        data = self.translated.tell(message["result"])
        self.request.respond(200, ENCODER.encode(envelope.reply(self.request_id, self.method, data)))

    def refuse(self, refusal: Refusal) -> None:
        extra = b""
        if refusal.status in (418, 429) and refusal.data is not None:
            extra = retry_header(refusal.data)
        body = ENCODER.encode(envelope.refused(self.request_id, self.method, refusal))
        self.request.respond(refusal.status, body, extra)


def serve(request: Request, site: Site) -> None:
    """Answer a request below PREFIX, or hand it to the gateway."""
    method = request.path[len(PREFIX) :].decode("latin-1")
    connection = request.peer.seat(Transport.WEB_REST)
    is_private = method.startswith("private/")
    ticket = Ticket(request, "", method)
    try:
        if request.verb != (b"POST" if is_private else b"GET"):
            raise Refusal(-5000, "Private methods are POST, public ones GET.", status=405)
        if is_private:
            sent = envelope.read_envelope(request.body)
            ticket = Ticket(request, sent.request_id or str(sent.timestamp), method)
            if sent.method != method:
                raise Refusal(-1135, f"Invalid request: 'method' must be what the path says, {method[:64]}.")
            params, proof = sent.params, sent.proof()
        else:
            params, proof, sent = dict(form(request.query)), None, None
        translated = translate(method, params, site.gateway.model)
    except Refusal as refusal:
        site.gateway.refuse(connection, ticket, refusal)
        return
    ticket = Ticket(request, ticket.request_id, method, translated)
    named = timed(translated.params, sent.timestamp) if sent is not None else translated.params
    site.gateway.call(connection, ticket, translated.method, named, proof, tokens=translated.tokens)
