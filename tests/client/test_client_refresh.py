"""Refreshes: when they fire, what they keep silent, how they end; stand-alone requests and publications."""

from __future__ import annotations

from typing import Any

import pytest
from registration_scene import ALICE, BOB, Town, answer_later

from sipactors.client import MessageElements, Refresh, RequestElements
from sipactors.errors import (
    AlreadyExists,
    ArgumentError,
    InvalidTransactionState,
    MalformedMessage,
    RequestPending,
    ResourceNotAvailable,
    TerminatedWithResponse,
    TransactionTimeout,
    TransportFailure,
)


@pytest.fixture
def town() -> Town:
    return Town()


def publish(expires: int | None = 3600, body: bytes = b"<open/>") -> RequestElements:
    headers = [("Event", "presence")]
    if expires is not None:
        headers.append(("Expires", str(expires)))
    return RequestElements(
        ALICE, "PUBLISH", from_=ALICE, headers=headers, body=body, content_type="application/pidf+xml"
    )


def start(town: Town, refresh: Refresh, elements: RequestElements | None = None) -> Any:
    transaction = town.connection.send_request(elements or publish(), refresh=refresh)
    town.clock.advance(0.5)
    return transaction


@pytest.mark.accepts("E1")
@pytest.mark.parametrize(
    ("granted", "first"), [(3600, 3000), (1201, 601), (1200, 600), (1000, 500), (60, 30), (7, 3.5)]
)
def test_a_refresh_fires_600_s_before_a_long_end_and_half_way_to_a_short_one(
    town: Town, granted: int, first: float
) -> None:
    """D-33: refresh from the granted expiry: at E-600 s when E is over 1200 s, else at E/2."""
    town.office.grant = granted
    start(town, Refresh())
    assert town.times(first + 1, "PUBLISH") == pytest.approx([first - 0.5], abs=0.05)


@pytest.mark.accepts("E2")
def test_an_interval_overrides_the_granted_expiry(town: Town) -> None:
    """`interval` overrides; a grant that is shorter than it still counts."""
    start(town, Refresh(interval=100))
    assert town.times(399, "PUBLISH") == pytest.approx([99.5, 199.5, 299.5], abs=0.05)
    town.office.grant = 60
    assert town.times(131, "PUBLISH") == pytest.approx([0.5, 30.5, 60.5, 90.5, 120.5], abs=0.05)
    with pytest.raises(ArgumentError):
        Refresh(interval=0)


@pytest.mark.accepts("E3")
def test_a_grant_above_the_request_is_cut_to_it(town: Town) -> None:
    """RFC 3903 §6: the expiry in a 2xx may be lower than the one asked for; one that is higher is cut."""
    town.office.answers = [(200, [("SIP-ETag", "a"), ("Expires", 999999)])]
    refresh = Refresh()
    start(town, refresh, publish(600))
    assert refresh.granted_seconds == 600
    assert town.times(300, "PUBLISH") == pytest.approx([299.5], abs=0.05)


@pytest.mark.accepts("E4")
def test_a_2xx_without_expiry_counts_as_the_request(town: Town) -> None:
    """A 2xx that says nothing of time grants what was asked for; an hour when nothing was."""
    town.office.answers = [(200, [("SIP-ETag", "a")])]
    refresh = Refresh()
    start(town, refresh, publish(800))
    assert refresh.granted_seconds == 800
    town.office.answers = [(200, [("SIP-ETag", "a")])]
    other = Refresh()
    start(town, other, publish(None))
    assert other.granted_seconds == 3600


@pytest.mark.accepts("E5")
def test_a_2xx_that_grants_nothing_ends_the_refresh(town: Town) -> None:
    """A 2xx with 0 ends it (MalformedMessage)."""
    town.office.answers = [(200, [("SIP-ETag", "a"), ("Expires", 0)])]
    refresh = Refresh()
    start(town, refresh)
    [(name, error, which)] = town.events()
    assert (name, type(error), which, refresh.state) == (
        "refresh_failed",
        MalformedMessage,
        refresh,
        "TERMINATED",
    )
    assert town.times(7200, "PUBLISH") == []


@pytest.mark.accepts("E6")
def test_own_2xx_are_silent_and_the_first_is_told(town: Town) -> None:
    """The application hears of the response that it asked for, and of no refresh that works."""
    refresh = Refresh()
    assert refresh.state == "INACTIVE"
    transaction = start(town, refresh)
    assert town.events() == [("response_received", transaction)]
    assert refresh.state == "ACTIVE"
    assert transaction.refresh is refresh
    town.clock.advance(20000)
    assert len(town.sent("PUBLISH")) == 7
    assert town.events() == []


@pytest.mark.accepts("E7")
@pytest.mark.parametrize("status", [302, 403, 404, 489, 503, 600, 699])
def test_a_refresh_that_is_refused_ends_and_has_the_response(town: Town, status: int) -> None:
    """A refresh answered 300-699 ends with TerminatedWithResponse, and the response is at hand."""
    refresh = Refresh()
    start(town, refresh)
    town.forget()
    town.office.answers = [status]
    town.clock.advance(3100)
    [(name, error, which)] = town.events()
    assert (name, type(error), which) == ("refresh_failed", TerminatedWithResponse, refresh)
    assert refresh.transaction.response.status == status
    assert refresh.transaction.refresh is refresh
    assert (refresh.state, refresh.error) == ("TERMINATED", error)
    assert town.times(10000, "PUBLISH") == []


@pytest.mark.accepts("E8")
def test_a_first_request_that_is_refused_goes_to_refresh_failed(town: Town) -> None:
    """A stand-alone request with a refresh reports every ≥300 through refresh_failed, also the first."""
    town.office.answers = [486]
    refresh = Refresh()
    transaction = start(town, refresh)
    [(name, error, which)] = town.events()
    assert (name, type(error), which) == ("refresh_failed", TerminatedWithResponse, refresh)
    assert refresh.transaction is transaction
    assert transaction.response.status == 486


@pytest.mark.accepts("E8", "B4")
def test_a_refresh_without_an_answer_ends_with_the_error(town: Town) -> None:
    """RFC 3261 §17.1.2.2: Timer F without a final response is a TransactionTimeout."""
    refresh = Refresh()
    start(town, refresh)
    town.forget()
    town.network.black_hole(town.network.hosts["alice"], town.network.hosts["office"])
    town.clock.advance(3100)
    [(name, error, which)] = town.events()
    assert (name, type(error), which) == ("refresh_failed", TransactionTimeout, refresh)
    assert refresh.transaction.response is None


@pytest.mark.accepts("E7", "B4")
def test_a_refresh_while_suspended_fails_with_transport_failure(town: Town) -> None:
    """Refresh while SUSPENDED -> TransportFailure."""
    refresh = Refresh()
    start(town, refresh)
    town.connection.feed("SUSPEND", TransportFailure("no bearer"))
    town.forget()
    with pytest.raises(TransportFailure):
        refresh.update()
    town.clock.advance(3100)
    [(name, error, which)] = town.events()
    assert (name, type(error), which) == ("refresh_failed", TransportFailure, refresh)


@pytest.mark.accepts("E7")
def test_an_inactive_connection_ends_its_refreshes_silently(town: Town) -> None:
    """Row A9: children are terminated first, with no per-object errors."""
    refresh = Refresh()
    start(town, refresh)
    town.forget()
    town.alice.access("lan").stop()
    assert town.events() == [("connection_state_changed", "INACTIVE")]
    assert refresh.state == "TERMINATED"
    with pytest.raises(ResourceNotAvailable):
        refresh.update()
    assert town.times(10000, "PUBLISH") == []


@pytest.mark.accepts("E8")
def test_a_refresh_is_given_once(town: Town) -> None:
    """`Refresh` is given once, to a stand-alone request, a registration or a subscription."""
    refresh = Refresh()
    with pytest.raises(InvalidTransactionState):
        refresh.update()
    start(town, refresh)
    with pytest.raises(AlreadyExists):
        town.connection.send_request(publish(), refresh=refresh)
    with pytest.raises(AlreadyExists):
        town.binding(refresh=refresh)
    assert len(town.sent("PUBLISH")) == 1


@pytest.mark.accepts("E8")
def test_a_bound_refresh_says_which_object_to_use(town: Town) -> None:
    """`update` and `terminate` are for stand-alone refreshes; a bound one says which object to use."""
    binding = town.refreshed()
    for call in (binding.refresh.update, binding.refresh.terminate):
        with pytest.raises(ArgumentError, match="RegistrationBinding"):
            call()
    assert town.sent() == []


@pytest.mark.accepts("A17", "B5")
def test_elements_that_break_a_rule_are_refused_with_nothing_sent(town: Town) -> None:
    """After a raise nothing was sent, and the elements and the refresh are still the caller's."""
    refresh = Refresh()
    for elements in (
        RequestElements(ALICE, "PUBLISH", from_=ALICE),
        RequestElements(ALICE, "PUBLISH", from_=ALICE, headers=[("Event", "presence"), ("Expires", "0")]),
        RequestElements(ALICE, "MESSAGE", from_=ALICE, headers=[("Expires", "soon")]),
        RequestElements(ALICE, "REGISTER", from_=ALICE),
        RequestElements(ALICE, "OPTIONS"),
    ):
        with pytest.raises(ArgumentError):
            town.connection.send_request(elements, refresh=refresh)
    town.clock.advance(1)
    assert len(town.network.capture) == 0
    start(town, refresh)
    assert refresh.state == "ACTIVE"


@pytest.mark.accepts("E8")
def test_any_method_can_be_refreshed_with_its_body_and_a_growing_cseq(town: Town) -> None:
    """A request other than PUBLISH is sent again as it is: one Call-ID and From tag, CSeq grows."""
    elements = RequestElements(
        BOB, "MESSAGE", from_=ALICE, headers={"Expires": "100"}, body=b"I am here", content_type="text/plain"
    )
    town.office.headers = [("Expires", 100)]
    start(town, Refresh(), elements)
    town.clock.advance(101)
    requests = town.sent("MESSAGE")
    assert [request.body for request in requests] == [b"I am here"] * 3
    assert [request.cseq.number for request in requests] == [1, 2, 3]
    assert len({(request.call_id, request.from_tag) for request in requests}) == 1


@pytest.mark.accepts("E8")
def test_a_publication_goes_by_its_entity_tags(town: Town) -> None:
    """RFC 3903 §4.1: refreshed without body and by SIP-If-Match, modified with a body."""
    refresh = Refresh()
    start(town, refresh)
    town.clock.advance(3000)
    update = refresh.update(MessageElements(body=b"<busy/>", content_type="application/pidf+xml"))
    town.clock.advance(1)
    end = refresh.terminate()
    assert refresh.state == "TERMINATED"
    town.clock.advance(1)
    assert [event[:2] for event in town.events()[1:]] == [
        ("response_received", update),
        ("response_received", end),
    ]
    shown = [
        (
            each.get("SIP-If-Match"),
            each.get("Expires"),
            each.body,
            each.get("Event"),
            each.get("Content-Type"),
        )
        for each in town.sent("PUBLISH")
    ]
    assert shown == [
        (None, "3600", b"<open/>", "presence", "application/pidf+xml"),
        ("tag1", "3600", b"", "presence", None),
        ("tag2", "3600", b"<busy/>", "presence", "application/pidf+xml"),
        ("tag3", "0", b"", "presence", None),
    ]
    assert town.times(10000, "PUBLISH") == []
    with pytest.raises(InvalidTransactionState):
        refresh.update()


@pytest.mark.accepts("E8")
def test_a_publication_that_the_server_lost_is_published_anew(town: Town) -> None:
    """RFC 3903 §4: after a 412 the EPA publishes initially again, without SIP-If-Match."""
    refresh = Refresh()
    start(town, refresh)
    town.forget()
    town.office.answers = [412]
    town.clock.advance(3000)
    shown = [(each.get("SIP-If-Match"), each.body) for each in town.sent("PUBLISH")]
    assert shown == [("tag1", b""), (None, b"<open/>")]
    assert town.events() == []
    town.office.answers = [412, 412]
    town.clock.advance(3000)
    [(name, error, which)] = town.events()
    assert (name, type(error), which) == ("refresh_failed", TerminatedWithResponse, refresh)


@pytest.mark.accepts("E8")
def test_a_2xx_to_publish_without_an_entity_tag_ends_it(town: Town) -> None:
    """RFC 3903 §6: the ESC adds a SIP-ETag to each 2xx to PUBLISH: without it nothing can be refreshed."""
    town.office.answers = [200]
    start(town, Refresh())
    [(name, error, _)] = town.events()
    assert (name, type(error)) == ("refresh_failed", MalformedMessage)


@pytest.mark.accepts("E8")
def test_an_expiry_that_is_too_brief_is_raised_and_kept(town: Town) -> None:
    """RFC 3903 §4: after a 423 the publication may be tried again with at least its Min-Expires."""
    town.office.answers = [(423, [("Min-Expires", 1800)])]
    refresh = Refresh()
    transaction = start(town, refresh, publish(60))
    assert [each.get("Expires") for each in town.sent("PUBLISH")] == ["60", "1800"]
    assert town.events() == [("response_received", transaction)]
    assert refresh.granted_seconds == 1800
    town.clock.advance(1200)
    assert [each.get("Expires") for each in town.sent("PUBLISH")] == ["1800"]


def test_a_server_that_is_never_content_is_asked_three_times_more(town: Town) -> None:
    """D-34: 423 loops are capped."""
    town.office.answers = [(423, [("Min-Expires", 100 * each)]) for each in range(1, 10)]
    start(town, Refresh(), publish(60))
    assert len(town.sent("PUBLISH")) == 4
    assert town.names() == ["refresh_failed"]
    for useless in ([("Min-Expires", 60)], [], [("Min-Expires", "x")], [("Min-Expires", 4294967295)]):
        town.office.answers = [(423, useless)]
        start(town, Refresh(), publish(60))
        assert len(town.sent("PUBLISH")) == 1
        assert town.names() == ["refresh_failed"]


def test_an_update_that_is_under_way_is_the_only_one(town: Town) -> None:
    """RequestPending: the same kind of request is still waiting for its final response."""
    kept: list[Any] = []
    refresh = Refresh()
    start(town, refresh)
    town.office.answers = [answer_later(kept)]
    refresh.update()
    with pytest.raises(RequestPending):
        refresh.update(MessageElements(body=b"x", content_type="text/plain"))
    town.clock.advance(1)
    kept[0].answer(200, [("SIP-ETag", "z"), ("Expires", 10)])
    town.clock.advance(6)
    assert [(each.get("SIP-If-Match"), each.body) for each in town.sent("PUBLISH")][-1] == ("z", b"")


def test_a_shutdown_ends_publications_properly(town: Town) -> None:
    """Row A16: `shutdown` ends things properly; `close` sends nothing."""
    start(town, Refresh())
    other = Refresh()
    start(town, other)
    other.close()
    town.forget()
    done: list[Any] = []
    town.connection.shutdown().addCallback(done.append)
    town.clock.advance(1)
    assert [each.get("Expires") for each in town.sent("PUBLISH")] == ["0"]
    assert done == [None]
    with pytest.raises(ResourceNotAvailable):
        other.update()


def test_nothing_is_left_when_all_is_ended(town: Town) -> None:
    """D-10: no timer, no child and no transaction is left of what has ended."""
    refresh = Refresh()
    start(town, refresh)
    town.clock.advance(4000)
    refresh.terminate()
    town.clock.advance(64)
    refresh.close()
    assert town.clock.getDelayedCalls() == []
    assert not town.connection._children
