"""Send a message: `python say.py sip:alice@example.com sip:bob@example.com hello`."""

import sys

from twisted.internet import task

from sipactors.ua import RequestRejected, UserAgent


async def main(reactor, me, uri, text):
    agent = UserAgent(reactor, me, listen=["udp:0", "tcp:0"])
    try:
        await agent.message(uri, text)
        print("delivered")
    except RequestRejected as error:
        print("refused:", error)


task.react(main, sys.argv[1:4])
