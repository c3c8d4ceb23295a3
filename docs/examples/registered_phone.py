"""A phone that registers and answers: `python registered_phone.py sip:me@example.com secret 192.0.2.7`."""

import sys

from twisted.internet import reactor

from sipactors import client as sip
from sipactors.message import parse_uri
from sipactors.sdp import answer_to

aor, password, address, *registrar = sys.argv[1:]


class Phone(sip.ConnectionObserver):
    def challenge_received(self, source):
        return sip.Login(parse_uri(aor).user, password)

    def registration_response_received(self, transaction, binding):
        print(transaction.response.status, transaction.response.reason, flush=True)

    def registration_failed(self, error, binding, transaction):
        print("not registered:", error, flush=True)

    def request_received(self, transaction):
        if transaction.method == "INVITE":
            sip.InviteUsage.incoming(transaction)
            body = answer_to(transaction.request.body, address, 9).render()
            transaction.respond(sip.ResponseElements(200, body=body, content_type="application/sdp"))


stack, phone = sip.Stack(reactor), Phone()
stack.add_access_point(sip.AccessPoint("here", [f"udp:0:interface={address}", f"tcp:0:interface={address}"]))
stack.startService()
client = sip.SIPClient(stack, "org.example.phone", sip.SIPObserver())
sip.Digest(client, phone)
connection = sip.Connection(client, "here", phone)
sip.RegistrationBinding(connection, aor, refresh=sip.Refresh(), registrar=(registrar or [None])[0]).register()
reactor.addSystemEventTrigger("before", "shutdown", stack.stopService)
reactor.run()
