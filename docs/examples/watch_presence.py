"""Watch somebody's presence: `python watch_presence.py sip:bob@127.0.0.1:5080 udp:0:interface=127.0.0.1`."""

import sys

from twisted.internet import reactor

from sipactors.client import (
    AccessPoint,
    Connection,
    ConnectionObserver,
    Refresh,
    SIPClient,
    SIPObserver,
    Stack,
    SubscribeUsage,
)


class Watcher(ConnectionObserver):
    def dialog_request_received(self, transaction, dialog):
        usage = transaction.usage
        presence = usage.body(transaction)
        if presence is not None:
            print(presence.entity, "is", "open" if presence.open else "closed", flush=True)
        if usage.state == "TERMINATED":
            print("no more:", usage.subscription_state.reason, flush=True)

    def usage_failed(self, error, usage, transaction):
        print("failed:", error, flush=True)


stack = Stack(reactor)
stack.add_access_point(AccessPoint("here", sys.argv[2:]))
stack.startService()
connection = Connection(SIPClient(stack, "org.example.watcher", SIPObserver()), "here", Watcher())
watched = SubscribeUsage.outgoing(connection, sys.argv[1], "presence", from_="sip:watcher@example.com")
watched.subscribe(refresh=Refresh())
reactor.addSystemEventTrigger("before", "shutdown", connection.shutdown)
reactor.run()
