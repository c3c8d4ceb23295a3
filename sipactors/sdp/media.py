"""One media description: the m= line, the lines under it, and the formats with all that belongs to them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from sipactors.errors import ArgumentError
from sipactors.sdp.attributes import STATIC_PARTS, Format, read_rtpmap, split_format
from sipactors.sdp.grammar import parse_media_line
from sipactors.sdp.section import Section, written

_OF_FORMAT = ("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:")


@dataclass(slots=True)
class MediaDescription(Section):
    """A stream as one side describes it (m=, RFC 8866 §5.14); `lines` holds what stands under the m= line."""

    media: str = "audio"
    "audio, video, text, application, message, image, or any token."
    port: int = 0
    "Where media is received; 0 when the stream is rejected or removed (RFC 3264 §8.2)."
    protocol: str = "RTP/AVP"
    formats: list[str] = field(default_factory=list)
    "The format tokens, for RTP payload type numbers, the preferred first."
    port_count: int | None = None
    "How many ports, when the m= line says so."
    _read: tuple[str, str] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def parse(cls, line: str, *, strict: bool = False) -> MediaDescription:
        """Read one m= line, `m=` included, without its end. Raises MalformedMessage."""
        media, port, count, protocol, formats = parse_media_line(line[2:], strict=strict)
        result = cls([], media, port, protocol, formats, count)
        # While unchanged it goes out as it came, even where we would write it otherwise ("m=audio 05004 …").
        result._read = (result.media_line, line)
        return result

    @property
    def media_line(self) -> str:
        """The m= line. Raises ArgumentError when a field was set to what cannot be written."""
        ports = str(self.port) if self.port_count is None else f"{self.port}/{self.port_count}"
        line = f"m={' '.join((self.media, ports, self.protocol, *self.formats))}"
        return self._read[1] if self._read is not None and self._read[0] == line else line

    def render_lines(self) -> list[str]:
        """The m= line and all lines under it. Raises ArgumentError for what cannot be written."""
        line = self.media_line
        if self._read is None or self._read[1] != line:
            written(line if self.formats else f"{line} 0")
        return [line, *self.lines]

    def copy(self) -> MediaDescription:
        """A description that can be changed without changing this one."""
        return MediaDescription(
            list(self.lines),
            self.media,
            self.port,
            self.protocol,
            list(self.formats),
            self.port_count,
            self._read,
        )

    @property
    def rejected(self) -> bool:
        """True when the port is 0: a stream refused or removed (RFC 3264 §6, §8.2)."""
        return self.port == 0

    @property
    def rtp(self) -> bool:
        """True when the formats are RTP payload types."""
        return "RTP/" in self.protocol.upper()

    def described_formats(self) -> list[Format]:
        """Every format of the m= line in its order, with what rtpmap, fmtp and rtcp-fb say of it.

        A payload type that neither an rtpmap nor RFC 3551 explains is left out.
        """
        mapped: dict[str, tuple[str, int, str | None]] = {}
        parts: tuple[str, int | None, str | None] | None
        parameters: dict[str, str] = {}
        feedback: dict[str, list[str]] = {}
        for line in self.lines:
            name, _, value = line.partition(":")
            if name == "a=rtpmap":
                token, rest = split_format(value)
                parts = read_rtpmap(rest)
                if parts is not None:
                    mapped[token] = parts
            elif name == "a=fmtp":
                token, rest = split_format(value)
                parameters.setdefault(token, rest)
            elif name == "a=rtcp-fb":
                token, rest = split_format(value)
                feedback.setdefault(token, []).append(rest)
        rtp = self.rtp
        result = []
        for token in dict.fromkeys(self.formats):
            if rtp:
                parts = mapped.get(token) or STATIC_PARTS.get(token)
                if parts is None or not _payload_type(token):
                    continue
            else:
                parts = (token, None, None)
            replies = feedback.get(token, []) + feedback.get("*", []) if feedback else []
            encoding, rate, channels = parts
            result.append(Format(encoding, rate, channels, token, parameters.get(token), replies))
        return result

    def add_format(self, wanted: Format) -> None:
        """Append a format with its rtpmap, fmtp and rtcp-fb. Raises ArgumentError.

        The payload type must be set and not be there yet.
        """
        token = wanted.payload_type if self.rtp else wanted.encoding
        if token is None or token in self.formats:
            raise ArgumentError(
                f"SDP m= line: a payload type of its own wanted for {wanted.name}, not {token}"
            )
        lines = []
        if wanted.clock_rate is not None:
            lines.append(f"a=rtpmap:{token} {wanted.name}")
        if wanted.fmtp:
            lines.append(f"a=fmtp:{token} {wanted.fmtp}")
        lines += [f"a=rtcp-fb:{token} {feedback}" for feedback in wanted.feedback]
        # Behind the other formats' lines, so that a stream's own attributes stay below them.
        place = len(self.lines)
        while place and not self.lines[place - 1].startswith(_OF_FORMAT):
            place -= 1
        if not place:
            place = next((at for at, line in enumerate(self.lines) if line.startswith("a=")), len(self.lines))
        self.lines[place:place] = [written(line) for line in lines]
        self.formats.append(token)

    def keep_formats(self, tokens: Collection[str]) -> None:
        """Keep these formats only, each with its rtpmap, fmtp and rtcp-fb.

        Raises ArgumentError when none would be left: a stream without formats is a rejected one.
        """
        keep = frozenset(str(token) for token in tokens)
        left = [token for token in self.formats if token in keep]
        if not left:
            raise ArgumentError("SDP m= line: no format would be left; reject the stream instead")
        gone = frozenset(self.formats) - keep
        self.formats = left
        self.keep_lines(
            lambda line: not line.startswith(_OF_FORMAT) or split_format(line.split(":", 1)[1])[0] not in gone
        )

    def keep_format(self, token: str | int) -> None:
        """Keep this format only. Raises ArgumentError when it is not there."""
        self._known(str(token))
        self.keep_formats((str(token),))

    def remove_format(self, token: str | int) -> None:
        """Remove one format, with its rtpmap, fmtp and rtcp-fb. Raises ArgumentError.

        The last one cannot be removed: reject the stream instead.
        """
        self._known(str(token))
        self.keep_formats([other for other in self.formats if other != str(token)])

    def _known(self, token: str) -> None:
        if token not in self.formats:
            raise ArgumentError(f"SDP m= line: no format {token}")

    def reject(self) -> None:
        """Refuse or remove the stream: port 0, one format for the grammar's sake, and its mid."""
        # RFC 3264 §6: To reject an offered stream, the port number in the answer MUST be set to zero.
        self.port, self.port_count = 0, None
        if not self.formats:
            self.formats = ["0"]
        self.keep_formats(self.formats[:1])
        # Addresses, candidates and keys of a stream that is not are nobody's business any more.
        self.keep_lines(lambda line: line.startswith(("a=rtpmap:", "a=fmtp:", "a=mid:")))


def _payload_type(token: str) -> bool:
    return len(token) <= 3 and token.isascii() and token.isdigit() and int(token) <= 127
