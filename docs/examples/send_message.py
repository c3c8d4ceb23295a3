"""Send one MESSAGE and say what became of it: `python send_message.py sip:echo@127.0.0.1 hello`."""

import sys

from twisted.internet import task

from sipactors.client import (
    AccessPoint,
    Connection,
    ConnectionObserver,
    RequestElements,
    SIPClient,
    SIPObserver,
    Stack,
)
from sipactors.errors import SIPError


async def main(reactor, uri, text):
    stack = Stack(reactor)
    stack.add_access_point(AccessPoint("here", ["udp:0:interface=127.0.0.1", "tcp:0:interface=127.0.0.1"]))
    stack.startService()
    client = SIPClient(stack, "org.example.sender", SIPObserver())
    connection = Connection(client, "here", ConnectionObserver())
    message = RequestElements(
        uri, "MESSAGE", from_="sip:sender@127.0.0.1", body=text.encode(), content_type="text/plain"
    )
    try:
        response = await connection.send_request(message).final_response()
        print(response.status, response.reason)
    except SIPError as error:
        print(f"not delivered: {error}")
    await stack.stopService()


if __name__ == "__main__":
    task.react(main, sys.argv[1:3])
