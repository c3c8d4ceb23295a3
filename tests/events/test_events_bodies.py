"""The bodies of event packages: read what the RFCs show, write what reads the same, refuse the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.events import (
    DialogInfo,
    DialogState,
    Element,
    EventPackage,
    MessageCount,
    MessageSummary,
    Note,
    Participant,
    Presence,
    PresenceTuple,
    Progress,
    RegInfo,
    RegisteredContact,
    Registration,
    package_of,
    read_dialog_info,
    read_message_summary,
    read_presence,
    read_reg_info,
    read_sipfrag,
    read_xml,
    register,
    write_dialog_info,
    write_message_summary,
    write_presence,
    write_reg_info,
    write_sipfrag,
)
from sipactors.events.packages import PACKAGES

READERS: list[Callable[[bytes], Any]] = [
    read_presence,
    read_dialog_info,
    read_reg_info,
    read_message_summary,
    read_sipfrag,
]
SAMPLES: list[tuple[Callable[[Any], bytes], Callable[[bytes], Any], Any]] = [
    (
        write_presence,
        read_presence,
        Presence(
            "pres:bob@example.com",
            [
                PresenceTuple(
                    "a", "open", "im:bob@example.com", 0.8, [Note("<&>", "en"), Note("b")], "2001-10-27"
                ),
                PresenceTuple("b"),
            ],
            [Note("I'll be in Tokyo next week", "fr")],
        ),
    ),
    (
        write_dialog_info,
        read_dialog_info,
        DialogInfo(
            "sip:alice@example.com",
            7,
            False,
            [
                DialogState("1", "terminated", "rejected", 486, "c", "l", "r", "initiator"),
                DialogState(
                    "2",
                    "confirmed",
                    local=Participant("sip:alice@example.com", 'A "l" <ice>', "sip:alice@pc33"),
                    remote=Participant(target="sip:bob@phone"),
                    duration=274,
                ),
            ],
        ),
    ),
    (
        write_reg_info,
        read_reg_info,
        RegInfo(
            1,
            False,
            [
                Registration(
                    "sip:joe@example.com",
                    "a7",
                    "active",
                    [RegisteredContact("76", "sip:joe@pc34", expires=9)],
                ),
                Registration(
                    "sip:ann@example.com",
                    "a8",
                    "terminated",
                    [
                        RegisteredContact(
                            "77", "sip:ann@pc", "terminated", "probation", 0, "0.8", "c", 3, 60, "Ann"
                        )
                    ],
                ),
            ],
        ),
    ),
    (
        write_message_summary,
        read_message_summary,
        MessageSummary(True, "sip:alice@vmail", {"Voice-Message": MessageCount(2, 8, 0, 2)}, [("To", "a@b")]),
    ),
    (write_sipfrag, read_sipfrag, Progress(503, "No way", [("Retry-After", "7")])),
]


@pytest.mark.accepts("H6")
@pytest.mark.parametrize(("write", "read", "value"), SAMPLES, ids=lambda each: getattr(each, "__name__", ""))
def test_what_is_written_reads_the_same(write: Any, read: Any, value: Any) -> None:
    """Each value of a package is written to a body that reads as that value."""
    assert read(write(value)) == value


def test_a_presence_document_with_prefixes_and_an_extension() -> None:
    """RFC 3863 §4: PIDF with namespace prefixes, an extension in the status, and a note."""
    presence = read_presence(
        b"""<?xml version="1.0" encoding="UTF-8"?>
        <impp:presence xmlns:impp="urn:ietf:params:xml:ns:pidf"
            xmlns:local="urn:example-com:pidf-status-type" entity="pres:someone@example.com">
          <impp:tuple id="ub93s3">
            <impp:status><impp:basic>open</impp:basic><local:location>home</local:location></impp:status>
            <impp:contact priority="0.8">im:someone@example.com</impp:contact>
          </impp:tuple>
          <impp:note xml:lang="en">My other name is Nobody</impp:note>
        </impp:presence>"""
    )
    (one,) = presence.tuples
    assert presence.open
    assert (one.id, one.basic, one.contact, one.priority) == ("ub93s3", "open", "im:someone@example.com", 0.8)
    assert [(each.name, each.text) for each in one.status_extensions] == [("location", "home")]
    assert presence.notes == [Note("My other name is Nobody", "en")]


def test_a_dialog_info_document() -> None:
    """RFC 4235 §4: a full document with one canceled dialog."""
    info = read_dialog_info(
        b"""<?xml version="1.0"?>
        <dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="0" state="full"
            entity="sip:alice@example.com">
          <dialog id="as7d900as8" call-id="a84b4c76e66710" local-tag="1928301774" direction="initiator">
            <state event="cancelled" code="487">terminated</state>
          </dialog>
        </dialog-info>"""
    )
    assert info.full
    assert info.dialogs == [
        DialogState(
            "as7d900as8",
            "terminated",
            "cancelled",
            487,
            "a84b4c76e66710",
            "1928301774",
            direction="initiator",
        )
    ]


def test_a_message_summary() -> None:
    """RFC 3842 §5: Messages-Waiting, the account, and counts with urgent ones in brackets."""
    summary = read_message_summary(
        b"Messages-Waiting: yes\r\nMessage-Account: sip:alice@vmail.example.com\r\n"
        b"Voice-Message: 2/8 (0/2)\r\n"
    )
    assert summary.waiting
    assert summary.messages == {"Voice-Message": MessageCount(2, 8, 0, 2)}
    assert summary.account == "sip:alice@vmail.example.com"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<a/>",
        b"<presence xmlns='urn:ietf:params:xml:ns:pidf'/>",
        b"<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='a'><tuple id='b'/></presence>",
        b"<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='a'>",
        b"<dialog-info xmlns='urn:ietf:params:xml:ns:dialog-info' version='x' state='full' entity='a'/>",
        b"<reginfo xmlns='urn:ietf:params:xml:ns:reginfo' version='1' state='half'/>",
        b"Messages-Waiting: perhaps\r\n",
        b"Messages-Waiting: yes\r\nVoice-Message: many\r\n",
        b"SIP/3.0 100 Trying\r\n",
        b"<?xml version='1.0' encoding='utf-99'?><a/>",
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_such_body(body: bytes) -> None:
    """Strangers' input raises MalformedMessage and nothing else."""
    for read in READERS:
        with pytest.raises(MalformedMessage):
            read(body)


def test_no_entity_multiplies() -> None:
    """Entities that name each other would fill the memory; a document type declaration is refused at once."""
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>'
    outside = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'
    for body in (bomb, outside, b'<!DOCTYPE x SYSTEM "http://example.com/x.dtd"><x/>'):
        with pytest.raises(MalformedMessage, match="document type"):
            read_xml(body, "", "x")


@pytest.mark.parametrize(
    "body",
    [
        b"<x>" * 40 + b"</x>" * 40,
        b"<x>" + b"<y/>" * 10_000 + b"</x>",
        b"<x " + b" ".join(b"a%d='1'" % number for number in range(65)) + b"/>",
        b"<x>" + b" " * 300_000 + b"</x>",
    ],
    ids=["depth", "elements", "attributes", "length"],
)
def test_xml_is_bounded(body: bytes) -> None:
    """Limits have names: depth, number of elements and attributes, length."""
    with pytest.raises(MalformedMessage) as error:
        read_xml(body, "", "x")
    assert error.value.status == 413


@given(some.binary(max_size=300) | some.text(max_size=300).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Whatever the bytes are: a value or MalformedMessage."""
    for read in READERS:
        try:
            read(body)
        except MalformedMessage:
            pass


@given(some.text(max_size=50), some.text(max_size=50))
def test_any_text_survives_or_is_refused(text: str, value: str) -> None:
    """XML 1.0 §2.2: what XML cannot hold is the caller's mistake; the rest comes back as it was."""
    element = Element("urn:a", "x", {"{urn:b}y": value})
    element.add("z", text)
    try:
        body = element.render()
    except ArgumentError:
        return
    read = read_xml(body, "urn:a", "x")
    if not set("\r\n\t") & set(text + value):
        assert read.text_of("z") == text.strip()
        assert read.attributes == {"{urn:b}y": value}


def test_line_breaks_do_not_pass() -> None:
    """D-41: no line break of the application's gets into a body of lines."""
    with pytest.raises(ArgumentError):
        write_message_summary(MessageSummary(True, "sip:a@b\r\nVoice-Message: 1/1"))
    with pytest.raises(ArgumentError):
        write_sipfrag(Progress(200, "OK\r\nVia: x"))
    with pytest.raises(ArgumentError):
        Progress(99)


@pytest.mark.accepts("H6")
def test_packages_are_plug_ins() -> None:
    """RFC 6665 §5: a package has a name, body types and a default duration; others can be made known."""
    assert package_of("presence").accept == ("application/pidf+xml",)
    assert package_of("reg").expires == 3761
    assert package_of("refer").read is not None
    assert package_of("unknown").read is None
    try:
        package = register(EventPackage("weather", ("text/plain",), 60, bytes.decode, str.encode))
        assert package_of("weather") is package
    finally:
        PACKAGES.pop("weather", None)
    with pytest.raises(ArgumentError):
        EventPackage("no token")
