"""Watch somebody's presence: `python buddy.py sip:alice@example.com secret sip:bob@example.com`."""

import sys

from twisted.internet import reactor

from sipactors.ua import UserAgent


def changed(presence):
    print(presence.entity, "is", "there" if presence.open else "away", flush=True)


agent = UserAgent(reactor, sys.argv[1], password=sys.argv[2], listen=["udp:0", "tcp:0"])
agent.subscribe("presence", sys.argv[3], changed)
reactor.run()
