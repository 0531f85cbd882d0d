"""The way to an SDC device: what threads hand over, how it is bounded, and what settings are refused."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from sdc11073.exceptions import ApiUsageError

from adapters.host import sdc_consumer, sdc_link
from adapters.host.sdc_link import GET_MDIB, Inbox, SdcPeer, Session, sdc
from telemetry.errors import SettingsError, Unavailable

PEER = SdcPeer("http://127.0.0.1:6464/a")


class FakeSession:
    """A consumer that answers each question with a number, from the thread in which it is asked."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.asked = 0
        self.closed = 0
        self.threads: set[int] = set()

    def ask(self) -> None:
        """Answer."""
        self.asked += 1
        self.threads.add(threading.get_ident())
        self.inbox.put(b"%d" % self.asked)

    def close(self) -> None:
        """Count it."""
        self.closed += 1
        self.threads.add(threading.get_ident())


class Opened:
    """Opens fake sessions, as slowly as it is let."""

    def __init__(self) -> None:
        self.sessions: list[FakeSession] = []
        self.may_open = threading.Event()
        self.may_open.set()

    def __call__(self, peer: SdcPeer, inbox: Inbox) -> Session:
        """Open one."""
        assert self.may_open.wait(10)
        inbox.put(peer.endpoint.encode())
        self.sessions.append(FakeSession(inbox))
        return self.sessions[-1]


async def test_a_question_is_asked_in_a_thread_and_each_document_ends_with_a_nul() -> None:
    opened = Opened()
    link = await sdc(PEER, open_session=opened).connect()
    assert await link.read() == b"http://127.0.0.1:6464/a\0"
    await link.write(GET_MDIB)
    assert await link.read() == b"1\0"
    await link.close()
    (session,) = opened.sessions
    assert (session.asked, session.closed) == (1, 1)
    assert threading.get_ident() not in session.threads


@pytest.mark.parametrize(
    "surprise", [OSError("reset"), ApiUsageError("not so"), Unavailable("it", why="off")]
)
async def test_whatever_keeps_a_consumer_from_opening_it_is_let_go(
    monkeypatch: pytest.MonkeyPatch, surprise: Exception
) -> None:
    class Surprised(FakeSession):
        is_open = False

        def open(self, our_address: str) -> None:
            assert our_address == "127.0.0.1"
            raise surprise

    made: list[Surprised] = []

    def session(peer: SdcPeer, address: str, contexts: None, inbox: Inbox) -> Surprised:
        assert (peer.endpoint, contexts) == (address, None)
        made.append(Surprised(inbox))
        return made[-1]

    monkeypatch.setattr(sdc_consumer, "_Session", session)
    monkeypatch.setattr(sdc_consumer, "_our_address", lambda *_: "127.0.0.1")
    expected = ApiUsageError if isinstance(surprise, ApiUsageError) else Unavailable
    with pytest.raises(expected):
        await sdc(PEER).connect()
    assert [one.closed for one in made] == [1]


async def test_a_link_that_is_given_up_while_it_opens_is_closed_when_it_has_opened() -> None:
    opened = Opened()
    opened.may_open.clear()
    connecting = asyncio.create_task(sdc(PEER, open_session=opened).connect())
    await asyncio.sleep(0)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    opened.may_open.set()
    async with asyncio.timeout(10):
        while not (opened.sessions and opened.sessions[0].closed):
            await asyncio.sleep(0.01)


async def test_what_came_before_the_loss_is_read_first_and_then_the_loss_is_told() -> None:
    inbox = Inbox("there")
    inbox.put(b"a")
    inbox.lose("cut", "mend it")
    inbox.lose("cut again")
    inbox.put(b"too late")
    assert await inbox.take() == b"a\0"
    for _ in range(2):
        with pytest.raises(Unavailable, match="there: cut; mend it"):
            await inbox.take()


async def test_a_reader_that_waits_is_woken_from_another_thread() -> None:
    inbox = Inbox("there")
    reading = asyncio.create_task(inbox.take())
    await asyncio.sleep(0)
    thread = threading.Thread(target=inbox.put, args=(b"a",))
    thread.start()
    async with asyncio.timeout(10):
        assert await reading == b"a\0"
    thread.join()


async def test_more_than_is_taken_in_time_loses_the_link_and_no_memory() -> None:
    inbox = Inbox("there", most=10)
    for _ in range(100):
        inbox.put(b"1234")
    assert [await inbox.take() for _ in range(2)] == [b"1234\0"] * 2
    with pytest.raises(Unavailable, match="more than 10 bytes of reports"):
        await inbox.take()


@pytest.mark.parametrize(
    ("peer", "found", "expected"),
    [
        (SdcPeer("https://10.0.0.9/a"), "we have no certificate", "cert_file"),
        (SdcPeer("http://10.0.0.9/a"), "does not speak TLS", "plain = true"),
        (SdcPeer("http://vent-1/a"), "does not speak TLS", "plain = true"),
        (SdcPeer("http:///a"), "names no machine", "https://host:port/path"),
        (SdcPeer("urn:uuid:1", certificate=Path("a.pem")), "half of TLS", "cert_file, key_file and ca_file"),
    ],
)
def test_a_peer_that_cannot_be_spoken_to_safely_is_a_matter_of_settings(
    peer: SdcPeer, found: str, expected: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        peer.transport()
    assert (found in caught.value.found, expected in caught.value.expected) == (True, True)


def test_without_tls_within_this_machine_or_where_somebody_says_so() -> None:
    for peer in (PEER, SdcPeer("http://localhost:1/a"), SdcPeer("http://10.0.0.9:1/a", is_plain=True)):
        assert peer.transport().place == peer.endpoint


def test_without_the_library_the_operator_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdc_link, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"pip install hourmeter\[sdc\]"):
        PEER.transport()
