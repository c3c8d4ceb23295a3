"""Reading a stranger's SDP: the whole grammar of RFC 8866, or only what must be understood."""

from __future__ import annotations

from sipactors.errors import MalformedMessage
from sipactors.sdp.fields import Connection, Origin, malformed, quoted
from sipactors.sdp.grammar import MEDIA_ORDER, ONCE, SESSION_ORDER, check_line, is_usual
from sipactors.sdp.media import MediaDescription
from sipactors.sdp.section import Section


def read(
    data: bytes | str, *, strict: bool, max_size: int, max_media: int
) -> tuple[list[str], list[MediaDescription]]:
    """The lines of the session section, and the streams. See SessionDescription.parse."""
    if isinstance(data, str):
        try:
            data = data.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise malformed("text", "not Unicode") from None
    if len(data) > max_size:
        raise MalformedMessage(413, f"SDP size: {len(data)} is above {max_size}")
    text = data.decode("utf-8", "surrogateescape")
    session = Section()
    streams: list[MediaDescription] = []
    here = session.lines
    lines = _strict_lines(text) if strict else _lenient_lines(text)
    for line in lines:
        if line[1:2] != "=":
            raise malformed("line", f"no x= in front of {quoted(line)}")
        if line[0] == "m":
            if len(streams) >= max_media:
                raise malformed("m", f"more than {max_media} of them")
            media = MediaDescription.parse(line, strict=strict)
            streams.append(media)
            here = media.lines
        else:
            here.append(line)
    if strict:
        _check_strictly(session, streams)
    else:
        _check_leniently(session, streams)
    return session.lines, streams


def _strict_lines(text: str) -> list[str]:
    # RFC 8866 §9: every line ends with CRLF.
    lines = text.split("\r\n")
    if lines.pop() != "":
        raise malformed("line", "the last one has no CRLF")
    return lines


def _lenient_lines(text: str) -> list[str]:
    # RFC 8866 §5: parsers SHOULD be tolerant and also accept records terminated with a single newline.
    # NUL at the end comes from peers that send a C string with its end.
    text = text.rstrip("\0")
    lines = text.split("\r\n")
    together = "".join(lines)
    if "\n" not in together and "\r" not in together and "\0" not in together:
        return [line for line in lines if line and not line.isspace()]
    end = "\n" if "\n" in text else "\r"
    lines = [line[:-1] if line.endswith("\r") else line for line in text.split(end)]
    for line in lines:
        if "\r" in line or "\0" in line:
            raise malformed(line[:1] if line[1:2] == "=" else "line", "NUL or CR in it")
    return [line for line in lines if line and not line.isspace()]


def _check_leniently(session: Section, streams: list[MediaDescription]) -> None:
    version = session.first("v")
    if version is None or version.strip() != "0":
        raise malformed("v", "missing" if version is None else f"not version 0: {quoted(version)}")
    origin = session.first("o")
    if origin is None:
        raise malformed("o", "missing")
    if not is_usual(f"o={origin}"):
        Origin.parse(origin)
    for section in (session, *streams):
        connection = section.first("c")
        if connection is not None and not is_usual(f"c={connection}"):
            Connection.parse(connection)


def _check_strictly(session: Section, streams: list[MediaDescription]) -> None:
    _check_section(session.lines, SESSION_ORDER, ONCE | {"c"})
    for letter in "vost":
        if session.first(letter) is None:
            raise malformed(letter, "missing")
    everywhere = session.first("c") is not None
    for media in streams:
        _check_section(media.lines, MEDIA_ORDER, ONCE)
        # RFC 8866 §5.7: a "c=" line in each media description, or a single one at the session level.
        if not everywhere and media.first("c") is None:
            raise malformed("c", f"missing, in the session section and under m={media.media}")


def _check_section(lines: list[str], order: str, once: frozenset[str]) -> None:
    rank, before = -1, ""
    for line in lines:
        check_line(line)
        letter = line[0]
        # RFC 8866 §5: Some lines in each description are required and some are optional, but when
        # present, they must appear in exactly the order given here.
        now = order.find(letter)
        if letter in "trz":
            # RFC 8866 §9: time-description = time-field [1*repeat-field [zone-field]], one or more of them.
            if (letter == "r" and before not in "tr") or (letter == "z" and before != "r"):
                raise malformed(letter, f"not behind a {'t=' if letter == 'r' else 'r='} line")
            now = order.find("t")
        if now < rank or now < 0:
            raise malformed(letter, "out of order")
        if letter in once and letter == before:
            raise malformed(letter, "there twice")
        rank, before = now, letter
