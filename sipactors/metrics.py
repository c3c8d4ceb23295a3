"""Plain counters of one stack: what came, what went, and what was refused."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass
class Metrics:
    """Numbers that only grow; read them at any time, `snapshot()` gives them all by name."""

    messages_received: int = 0
    "Whole messages that came by any transport."
    messages_sent: int = 0
    "Messages given to any transport, retransmissions included."
    messages_lost: int = 0
    "Messages that a socket did not take: no room, no route, a closed connection."
    foreign_responses: int = 0
    "Responses whose topmost Via is not ours, dropped (RFC 3261 §18.1.2)."
    pings_received: int = 0
    "Keep-alives of peers: CRLF pings, STUN Binding requests."
    icmp_errors: int = 0
    "ICMP errors that came back for datagrams of ours."
    connections_opened: int = 0
    "Stream connections made, in either direction."
    connections_refused: int = 0
    "Stream connections that a limit did not allow."
    handshakes_failed: int = 0
    "TLS or WebSocket connections that one of both ends refused, or that never came about."
    idle_closed: int = 0
    "Stream connections closed because they carried nothing for long."
    slow_senders_closed: int = 0
    "Stream connections closed because a message did not come, or not in time."
    slow_readers_closed: int = 0
    "Stream connections closed because the peer did not read."
    framing_errors: int = 0
    "Stream connections closed because they could not be cut into messages."
    malformed: int = 0
    "Messages from strangers that broke the grammar."
    retransmissions_received: int = 0
    "Requests that a transaction had seen before."
    retransmissions_sent: int = 0
    "Messages that a timer of ours sent again."
    server_transactions: int = 0
    "Requests that made a server transaction."
    client_transactions: int = 0
    "Requests that we sent."
    timeouts: int = 0
    "Client transactions that ended by Timer B or F."
    transport_failures: int = 0
    "Transactions that ended because their flow was lost."
    overload_refused: int = 0
    "Requests answered 503 because a limit was reached."
    merged_refused: int = 0
    "Merged requests, answered 482 (RFC 3261 §8.2.2.2)."
    stray_responses: int = 0
    "Responses that match no transaction."
    stray_acks: int = 0
    "ACKs that match no transaction and no dialog."
    stray_events: int = 0
    "Events that an actor's state had no row for."
    false_proofs: int = 0
    "Responses whose Authentication-Info shows that their server does not know the password."
    observer_errors: int = 0
    "Exceptions that an application's observer raised."
    faults: int = 0
    "Exceptions inside the stack itself: each is a bug to report."

    def snapshot(self) -> dict[str, int]:
        """All counters by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
