"""A phone that answers every call: `python answer_calls.py udp:5080:interface=127.0.0.1`."""

import sys

from twisted.internet import reactor

from sipactors.client import (
    AccessPoint,
    Connection,
    ConnectionObserver,
    InviteUsage,
    ResponseElements,
    SIPClient,
    SIPObserver,
    Stack,
)
from sipactors.sdp import answer_to


class Phone(ConnectionObserver):
    def request_received(self, transaction):
        if transaction.method != "INVITE":
            transaction.respond(ResponseElements(200))
            return
        InviteUsage.incoming(transaction)
        transaction.respond(ResponseElements(180))
        body = answer_to(transaction.request.body, transaction.flow.local[0], 9).render()
        transaction.respond(ResponseElements(200, body=body, content_type="application/sdp"))
        print("call from", transaction.request.from_.uri, flush=True)

    def dialog_request_received(self, transaction, dialog):
        if transaction.method == "BYE":
            print("the call is over", flush=True)


stack = Stack(reactor)
stack.add_access_point(AccessPoint("here", sys.argv[1:]))
stack.startService()
Connection(SIPClient(stack, "org.example.phone", SIPObserver()), "here", Phone())
reactor.addSystemEventTrigger("before", "shutdown", stack.stopService)
reactor.run()
