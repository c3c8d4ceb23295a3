"""Keep-alives on a flow (RFC 5626 §3.5, §4.4): telling them from messages, and answering those of peers."""

from __future__ import annotations

import ipaddress
import struct

from sipactors.transport.flow import Address

PING = b"\r\n\r\n"
"What keeps a stream connection alive; the peer answers it with PONG (RFC 5626 §3.5.1)."
PONG = b"\r\n"

_HEADER = struct.Struct("!HHI12s")
_ATTRIBUTE = struct.Struct("!HH")
_BINDING_REQUEST = 0x0001
_BINDING_RESPONSE = 0x0101
_MAGIC_COOKIE = 0x2112A442
_XOR_MAPPED_ADDRESS = 0x0020


def is_keepalive(data: bytes) -> bool:
    """True for a datagram that only keeps a NAT's binding open: line breaks, spaces, NULs, or nothing."""
    return not data.strip(b"\r\n \t\0")


def answer_datagram(data: bytes, peer: Address) -> bytes | None:
    """The answer to a STUN Binding request that came among SIP datagrams; None when it is something else."""
    if len(data) < _HEADER.size:
        return None
    kind, length, cookie, transaction = _HEADER.unpack_from(data)
    # RFC 5389 §6: the length holds what follows the header of 20 bytes, padded to a multiple of 4.
    if (
        kind != _BINDING_REQUEST
        or cookie != _MAGIC_COOKIE
        or length != len(data) - _HEADER.size
        or length % 4
    ):
        return None
    # RFC 5626 §8: a Binding response with the source of the request in an XOR-MAPPED-ADDRESS.
    value = _xor_mapped(peer, transaction)
    attribute = _ATTRIBUTE.pack(_XOR_MAPPED_ADDRESS, len(value)) + value
    return _HEADER.pack(_BINDING_RESPONSE, len(attribute), _MAGIC_COOKIE, transaction) + attribute


def _xor_mapped(peer: Address, transaction: bytes) -> bytes:
    address = ipaddress.ip_address(peer[0].partition("%")[0]).packed
    # RFC 5389 §15.2: the port with the cookie's upper half, the address with the cookie, and for IPv6 the
    # transaction's id after it.
    mask = struct.pack("!I", _MAGIC_COOKIE) + transaction
    masked = bytes(one ^ other for one, other in zip(address, mask))
    return struct.pack("!BBH", 0, 1 if len(address) == 4 else 2, peer[1] ^ _MAGIC_COOKIE >> 16) + masked
