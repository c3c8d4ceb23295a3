"""The numbers that a user may set: how long SIP's timers run, and how much a stranger may ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Timing:
    """The timers of RFC 3261 §17 and the RFCs after it, in seconds."""

    t1: float = 0.5
    "Estimate of the round-trip time (RFC 3261 §17.1.1.1)."
    t2: float = 4.0
    "The longest interval between retransmissions of a non-INVITE request or an INVITE response."
    t4: float = 5.0
    "The longest that a message stays in the network."
    timer_d: float = 32.0
    "How long an INVITE client absorbs repeated failures over UDP (RFC 3261 §17.1.1.2: at least 32 s)."
    proceeding: float = 180.0
    "Timer C: how long an INVITE may ring without another response (RFC 3261 §16.6: more than 3 minutes)."
    trying: float = 0.2
    "How long the application may take before the stack sends 100 (RFC 3261 §17.2.1)."
    take_up: float = 32.0
    "How long a request waits for its application to take it up."


@dataclass(slots=True)
class Limits:
    """What a stranger may make this process keep; each is checked before anything is allocated."""

    max_message_size: int = 65536
    "Bytes of one message, header section and body together; above it 513."
    max_header_count: int = 200
    "Header fields of one message; above it 400."
    max_line_length: int = 8192
    "Characters of one line of the header section, unfolded; above it 400."
    max_transactions: int = 100_000
    "Server transactions that wait for an answer; above it 503 with Retry-After."
    max_lingering_transactions: int = 400_000
    "Server transactions in all, those included that only absorb retransmissions; above it 503."
    max_dialogs: int = 200_000
    "Dialogs of one stack; above it 503 with Retry-After."
    max_forks: int = 32
    "Dialogs that the answers to one INVITE of ours may make; those to further ones are dropped."
    max_provisionals: int = 500
    "Provisional responses to one INVITE of ours that are looked at; further ones are dropped."
    max_connections: int = 10_000
    "Stream connections of one stack, both directions."
    max_connections_per_source: int = 1_000
    "Stream connections accepted from one address."
    idle_timeout: float = 600.0
    "Seconds after which a stream connection that carries nothing is closed."
    handshake_timeout: float = 10.0
    "Seconds a stream peer has for its connection, its TLS handshake and each whole message."
    max_write_buffer: int = 1_048_576
    "Bytes that wait for a slow reader before its connection is closed."
    retry_after: int = 5
    "Seconds of the Retry-After that goes with a 503."


@dataclass(slots=True)
class Locating:
    """How names become addresses (RFC 3263): how long that may take, how much a stranger's DNS may ask."""

    deadline: float = 10.0
    "Seconds in which a URI becomes targets, or ResolvingFailure."
    query_timeout: float = 5.0
    "Seconds that one DNS question may stay without an answer."
    max_ttl: float = 86400.0
    "Seconds that an answer is kept at most, whatever its TTL says."
    failure_ttl: float = 5.0
    "Seconds for which a question that got no answer is not asked again (RFC 2308 §7: 300 at most)."
    max_cached: int = 10_000
    "Answers kept, the ones that say 'there is none' included; the oldest goes first."
    max_queries: int = 1_000
    "DNS questions under way at once; above it ResolvingFailure."
    max_records: int = 100
    "Records read of one answer."
    max_hosts: int = 16
    "Hosts of SRV records whose addresses are asked for, for one URI."
    max_targets: int = 32
    "Targets that one URI can have."
    avoidance: float = 60.0
    "Seconds for which a target that failed goes last, unless its Retry-After says otherwise."
    max_avoidance: float = 3600.0
    "The longest Retry-After that is obeyed for a target, in seconds."
    max_avoided: int = 10_000
    "Failed targets remembered; the oldest is forgotten first."
