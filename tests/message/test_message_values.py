"""Tokens, quoted strings, comma lists, parameters; and that all of it takes time as its text is long."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message import Parameters, parse_uri
from sipactors.message.grammar import check_host, host_key, is_host, normal_escapes, read_number
from sipactors.message.registry import HEADERS
from sipactors.message.values import is_quoted, is_token, quote, read_parameters, split_commas, unquote


def test_parameters_are_a_mapping_in_order() -> None:
    """RFC 3261 §7.3.1: parameter names are case-insensitive."""
    params = Parameters([("Tag", "x"), ("lr", None)])
    params["b"] = "two words"
    assert str(params) == ';Tag=x;lr;b="two words"'
    assert (params["tag"], params.get("LR"), params.get("b"), params.raw("b")) == (
        "x",
        None,
        "two words",
        '"two words"',
    )
    assert "TAG" in params
    assert "no" not in params
    assert 3 not in params
    assert params.get("no", "default") == "default"
    assert list(params) == params.keys() == ["Tag", "lr", "b"]
    assert len(params) == 3
    params["TAG"] = "y"
    assert params.pop("b") == "two words"
    assert params.pop("b", "none") == "none"
    del params["LR"]
    assert params.items() == [("Tag", "y")]
    assert dict(params.items()) == {"Tag": "y"}
    with pytest.raises(KeyError):
        params["no"]


def test_parameters_are_compared_by_meaning() -> None:
    """RFC 3261 §7.3.1: values are case-insensitive, quoted strings are case-sensitive, in any order."""
    assert Parameters.parse(";a=B;c") == Parameters.parse(";C;A=b")
    assert Parameters.parse(';a="B"') != Parameters.parse(';a="b"')
    assert Parameters.parse(';a="b"') == Parameters.parse(";a=b")
    assert Parameters.parse(";a") != Parameters.parse(";a=b")
    assert Parameters.parse(";a") != Parameters.parse(";a;b")
    assert Parameters({"a": "b"}) != {"a": "b"}


@pytest.mark.parametrize("text", [";a=b;c", ';a="x;\\"y,";b=[::1];c=::1;d=1.2.3.4', "", ";a=%zz", ';a=""'])
def test_parameters_are_written_as_they_were_read(text: str) -> None:
    """RFC 3261 §16.6: a proxy does not change what it does not understand; quotes stay quotes."""
    assert str(Parameters.parse(text)) == text
    assert Parameters(Parameters.parse(text)) == Parameters.parse(text).copy()


@pytest.mark.parametrize(
    "text",
    [
        ";",
        ";=",
        ";a=",
        "a",
        ";a;",
        ";;a",
        ';a="',
        ';a="\r\n"',
        ";a=b c",
        ";a;A",
        ";a=\u00e9",
        ';a="\x01"',
        ";a b",
    ],
)
def test_what_are_no_parameters_is_refused(text: str) -> None:
    """RFC 3261 §25.1: generic-param = token [ EQUAL gen-value ]; §7.3.1: no name appears twice."""
    with pytest.raises(MalformedMessage):
        read_parameters(text)


@pytest.mark.parametrize(("name", "value"), [("a b", "x"), ("", "x"), ("a", "\r"), ("a", "\n"), ("a", "\0")])
def test_parameters_that_break_a_header_are_refused(name: str, value: str) -> None:
    """D-41: no CRLF from application input reaches the wire."""
    with pytest.raises(ArgumentError):
        Parameters({name: value})
    with pytest.raises(ArgumentError):
        Parameters().set_raw(name, value)


@given(st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"])))
def test_a_quoted_string_stands_for_its_text(text: str) -> None:
    """RFC 3261 §25.1: quoted-string = SWS DQUOTE *(qdtext / quoted-pair) DQUOTE."""
    assert is_quoted(quote(text))
    assert unquote(quote(text)) == text
    assert split_commas(f"{quote(text)}, a") == [quote(text), "a"]
    assert Parameters.parse(f";a={quote(text)}")["a"] == text


@given(st.text('",<>\\ ab', max_size=30))
def test_a_comma_list_is_its_elements(text: str) -> None:
    """RFC 3261 §7.3.1: combining the elements, separated by commas, does not change the semantics."""
    try:
        elements = split_commas(text)
    except MalformedMessage:
        return
    assert split_commas(", ".join(elements)) == elements
    assert "" not in elements


def test_tokens_hosts_and_numbers() -> None:
    """RFC 3261 §25.1: token, host and 1*DIGIT are of ASCII."""
    assert is_token("-.!%*_+`'~aZ0")
    for wrong in ("", "a b", "a\n", "\u00e9", "a;", "a/b", '"a"'):
        assert not is_token(wrong)
    for host in ("a", "a.b.", "1.a", "192.0.2.1", "::1", "a-b.c", "xn--a.b", "a_b"):
        assert is_host(host)
    for host in (
        "",
        ".",
        "1",
        "a..b",
        "-a",
        "a-",
        "1.2.3",
        "256.1.1.1",
        ":",
        "a b",
        "a\n",
        "[::1]",
        "a" * 256,
    ):
        assert not is_host(host)
    assert host_key("2001:DB8:0::1") == host_key("2001:db8::0001")
    assert check_host("[::1]") == "::1"
    assert read_number("0" * 50 + "7") == 7
    for wrong in ("", "-1", "+1", " 1", "1_0", "\u0661", "4294967296", "9" * 5000):
        with pytest.raises(MalformedMessage):
            read_number(wrong)
    assert normal_escapes("%61%3b%7e%zz") == "a%3B~%zz"


HOSTILE: dict[str, Callable[[int], str]] = {
    "spaces": lambda n: " " * n,
    "words": lambda n: "a " * n,
    "tabs before <": lambda n: "a" + "\t" * n + "<",
    "spaced semicolons": lambda n: "<sip:a@b>" + " ; a" * n,
    "spaces in parameters": lambda n: "a;b" + " " * n + "x",
    "spaces behind =": lambda n: "a;b=" + " " * n + "\r",
    "commas": lambda n: "," * n,
    "elements": lambda n: "a," * n,
    "quotes": lambda n: '"' * n,
    "an open quote": lambda n: '"' + "a" * n,
    "open quotes": lambda n: '"a\\" ' * n,
    "backslashes": lambda n: '"' + "\\" * n,
    "quoted backslashes": lambda n: '"' + "\\\\" * n + '"x',
    "parameters": lambda n: "<sip:a@b>" + "".join(f";p{number}=v" for number in range(n // 5)),
    "bare parameters": lambda n: "a" + "".join(f";p{number}" for number in range(n // 5)),
    "flags without end": lambda n: "a" + ";b=c" * n + "\0",
    "long token": lambda n: "a" * n,
    "long token and wrong end": lambda n: "a" * n + "\0",
    "digits": lambda n: "1" * n,
    "dots": lambda n: "a." * n,
    "dots and wrong end": lambda n: "a." * n + "!",
    "dashes": lambda n: "a-" * n + "\0",
    "a host": lambda n: "SIP/2.0/UDP " + "a." * n,
    "slashes": lambda n: "SIP/" * n,
    "spaced slashes": lambda n: "SIP " + " " * n + "/ 2.0",
    "via parameters": lambda n: "SIP/2.0/UDP a;branch=" + "z" * n + ";;",
    "ats": lambda n: "<sip:" + "a@" * n + "b>",
    "users": lambda n: "<sip:" + "a" * n,
    "escapes": lambda n: "<sip:" + "%41" * n + "@b>",
    "uri parameters": lambda n: "<sip:a@b" + ";a" * n + ">",
    "uri headers": lambda n: "<sip:a@b?" + "a=b&" * n + ">",
    "brackets": lambda n: "<" * n,
    "closed brackets": lambda n: "<>" * n,
    "colons": lambda n: "[" + ":" * n + "]",
    "comments": lambda n: "1 " + "(" * n,
    "closed comments": lambda n: "1 " + "(" * n + ")" * n,
    "auth parameters": lambda n: "Digest " + ",".join(f'a{number}="b"' for number in range(n // 5)),
    "auth commas": lambda n: "Digest a=b" + " , " * n,
    "auth spaces": lambda n: "Digest a=b" + " " * n + "x",
    "base64": lambda n: "Bearer " + "a=" * n,
    "identity": lambda n: "a" + ";info=<a:b" * n,
    "numbers": lambda n: "tel:+" + "1-" * n + "x",
    "number separators": lambda n: "<tel:" + "-" * n + ">",
    "domains": lambda n: "<tel:1;phone-context=" + "a-." * n + ">",
}
SIZE = 2000


def seconds(read: Callable[[str], object], text: str) -> float:
    best = 9.0
    for _ in range(3):
        start = time.perf_counter()
        try:
            read(text)
        except MalformedMessage:
            pass
        best = min(best, time.perf_counter() - start)
    return best


@pytest.mark.parametrize("kind", HOSTILE)
def test_time_grows_with_length(kind: str) -> None:
    """D-43: no quadratic parsing (folding, quoted strings, commas, parameters): time grows with length.

    Eight times the text may take at most twenty times as long (2.5 for each doubling would allow 15.6; the
    rest is the noise of a busy machine); a quadratic reader takes 64 times as long.
    """
    make = HOSTILE[kind]
    short, long = make(SIZE), make(8 * SIZE)
    readers: dict[str, Callable[[str], object]] = {
        f"{header.parse}": (lambda text, header=header: header.read([text]))
        for header in HEADERS.values()  # type: ignore[misc]
    }
    readers["URI"] = parse_uri
    readers["URI in brackets"] = lambda text: parse_uri(text.strip("<>"))
    for name, read in readers.items():
        for _attempt in range(4):
            # Below a fifth of a millisecond for 16,000 letters there is nothing to compare.
            long_time = seconds(read, long)
            if long_time < 0.0002 or long_time < 20 * seconds(read, short):
                break
        else:
            pytest.fail(f"{name} takes {long_time} s for {len(long)} letters of {kind}")
