"""A scripted proxy for call flows: it does what the proxies of RFC 3665 do, message by message, without a
stack."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import DatagramProtocol

from sipactors.message import Request, ack_for, cancel_for, parse, response_to
from sipactors.testing import Network


class ScriptedProxy(DatagramProtocol):
    """Forwards what belongs to a call to `next_hop`, answers INVITE with 100, acknowledges failures itself.

    `domain` is a name by which a Route may mean it, too; `challenge` is a realm whose credentials every
    INVITE needs; `redirect` a Contact that INVITEs are sent
    to instead; `give_up` the seconds after which an INVITE that nobody answers is refused with 480.
    """

    def __init__(self, network: Network, name: str, address: str, next_hop: str = "") -> None:
        self.clock = network.clock
        self.address = address
        self.next_hop = next_hop
        self.challenge: str | None = None
        self.domain: str | None = None
        self.redirect: str | None = None
        self.give_up: float | None = None
        self._invites: dict[str, tuple[Request, Request, Any]] = {}
        self._refused: set[str] = set()
        network.host(name, address).listenUDP(5060, self, interface=address)

    def datagramReceived(self, data: bytes, source: tuple[str, int]) -> None:
        message = parse(data)
        if isinstance(message, Request):
            getattr(self, f"_{message.method.lower()}_received", self._forward)(message, source)
        else:
            self._response_received(message)

    def _send(self, message: Any, host: str, port: int = 5060) -> None:
        assert self.transport is not None
        self.transport.write(message.render(), (host, port))

    def _reply(self, request: Request, status: int, headers: Any = ()) -> None:
        tag = None if status == 100 else f"p{self.address}"
        self._send(response_to(request, status, to_tag=tag, headers=headers), request.via.host)

    def _branch(self, request: Request) -> str:
        return f"{request.via.branch}-{self.address.replace('.', '')}"

    def _forward(self, request: Request, _: Any) -> Request:
        forwarded = request.copy()
        routes = forwarded.routes
        if routes and routes[0].uri.host in (self.address, self.domain):
            forwarded.remove_first("Route")
        if request.method == "INVITE":
            forwarded.prepend("Record-Route", f"<sip:{self.address};lr>")
        forwarded.prepend("Via", f"SIP/2.0/UDP {self.address};branch={self._branch(request)}")
        routes = forwarded.routes
        if routes:
            host = routes[0].uri.host
        elif forwarded.to_tag is not None:
            host = forwarded.uri.host  # type: ignore[union-attr]
        else:
            host = self.next_hop
        self._send(forwarded, host)
        return forwarded

    def _invite_received(self, invite: Request, source: Any) -> None:
        if self._branch(invite) in self._invites:
            return
        if self.redirect is not None:
            self._refuse(invite, 302, [("Contact", self.redirect)])
        elif self.challenge is not None and self.challenge not in str(invite.get_all("Proxy-Authorization")):
            proof = f'Digest realm="{self.challenge}", nonce="n-{self.address}", algorithm=MD5, qop="auth"'
            self._refuse(invite, 407, [("Proxy-Authenticate", proof)])
        else:
            self._reply(invite, 100)
            forwarded = self._forward(invite, source)
            patience = None
            if self.give_up is not None:
                patience = self.clock.callLater(self.give_up, self._refuse, invite, 480)
            self._invites[self._branch(invite)] = (invite, forwarded, patience)

    def _refuse(self, invite: Request, status: int, headers: Any = ()) -> None:
        self._refused.add(str(invite.via.branch))
        self._reply(invite, status, headers)

    def _ack_received(self, ack: Request, source: Any) -> None:
        if str(ack.via.branch) not in self._refused:
            self._forward(ack, source)

    def _cancel_received(self, cancel: Request, _: Any) -> None:
        self._reply(cancel, 200)
        _, forwarded, _ = self._invites[self._branch(cancel)]
        made = cancel_for(forwarded)
        self._send(made, self.next_hop)

    def _response_received(self, response: Any) -> None:
        if response.status == 100 or response.cseq.method == "CANCEL":
            return
        branch = str(response.via.branch)
        if response.cseq.method == "INVITE" and branch in self._invites:
            invite, forwarded, patience = self._invites[branch]
            if patience is not None and patience.active():
                patience.cancel()
            if response.status >= 300:
                self._refused.add(str(invite.via.branch))
                self._send(ack_for(forwarded, response), self.next_hop)
        upwards = response.copy()
        upwards.remove_first("Via")
        self._send(upwards, upwards.via.host)
