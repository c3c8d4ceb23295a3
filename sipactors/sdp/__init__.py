"""SDP: documents that keep every line (RFC 8866), and the offer/answer model on top (RFC 3264)."""

from __future__ import annotations

from sipactors.sdp.answering import answer, answer_to, audio_offer, new_origin, offer
from sipactors.sdp.attributes import Attribute, Direction, Format, fmtp_parameters
from sipactors.sdp.fields import Bandwidth, Connection, Origin, Repeat, TimeDescription, ZoneAdjustment
from sipactors.sdp.media import MediaDescription
from sipactors.sdp.negotiated import NegotiatedFormat, NegotiatedStream, negotiate
from sipactors.sdp.offer_answer import OfferAnswer, OfferAnswerState
from sipactors.sdp.session import SessionDescription
from sipactors.sdp.streams import LocalMedia

__all__ = [
    "Attribute",
    "Bandwidth",
    "Connection",
    "Direction",
    "Format",
    "LocalMedia",
    "MediaDescription",
    "NegotiatedFormat",
    "NegotiatedStream",
    "OfferAnswer",
    "OfferAnswerState",
    "Origin",
    "Repeat",
    "SessionDescription",
    "TimeDescription",
    "ZoneAdjustment",
    "answer",
    "answer_to",
    "audio_offer",
    "fmtp_parameters",
    "negotiate",
    "new_origin",
    "offer",
]
