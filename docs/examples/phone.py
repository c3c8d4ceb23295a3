"""Register, ring and answer every call: `python phone.py sip:alice@example.com secret`."""

import sys

from twisted.internet import reactor

from sipactors.ua import UserAgent

listen = sys.argv[3:] or ["udp:5060", "tcp:5060"]
agent = UserAgent(reactor, sys.argv[1], password=sys.argv[2], listen=listen)


@agent.on_call
async def answer(call):
    call.ring()
    await call.accept()
    print("call from", call.remote_uri, flush=True)


agent.on_message(lambda message: print(message.sender, "says", message.text, flush=True))
agent.register().addErrback(lambda failure: print("not registered:", failure.value))
reactor.run()
