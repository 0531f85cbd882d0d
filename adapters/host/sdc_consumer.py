"""The SDC library's consumer for one device: found, connected, subscribed, asked; all of it in its threads.

Every call blocks, so it is made in threads (`adapters.host.sdc_link`); needs the extra `hourmeter[sdc]`.

Rule 1: nothing is ever sent but Probe, Get, GetMetadata, GetMdib, Subscribe, Renew and Unsubscribe.
Rule 2: documents are handed on as they came, before the library reads them: what it cannot read is refused
and counted where all others are.
Rule 3: the library's logs quote what devices send; they are not let.
"""

from __future__ import annotations

import http.client
import logging
import socket
import ssl
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

from adapters.host.sdc_link import ANY, Inbox, SdcPeer, Session, check_way
from adapters.host.transports import words_of
from telemetry.errors import SettingsError, Unavailable

with warnings.catch_warnings():  # it warns of parts of its own as it is imported
    warnings.simplefilter("ignore", DeprecationWarning)
    from sdc11073 import observableproperties
    from sdc11073.certloader import SSLContextContainer, mk_ssl_contexts
    from sdc11073.consumer import GetServiceClient, StateEventClient
    from sdc11073.consumer.consumerimpl import SdcConsumer, default_components_factory
    from sdc11073.definitions_sdc import SdcV1Definitions
    from sdc11073.dispatch import RequestDispatcher
    from sdc11073.httpserver.httpserverimpl import HttpServerThreadBase
    from sdc11073.loghelper import get_logger_adapter
    from sdc11073.network import get_adapters
    from sdc11073.pysoap.soapclient import HTTPReturnCodeError
    from sdc11073.pysoap.soapenvelope import SoapResponseError
    from sdc11073.wsdiscovery import WSDiscovery
    from sdc11073.xml_types.actions import Actions
    from sdc11073.xml_types.addressing_types import HeaderInformationBlock

CONNECT_S: Final = 5
"""Seconds within which a device answers each request."""
SEARCH_S: Final = 4
"""Seconds of search for an endpoint reference, in turns of one."""
_WANTED: Final = frozenset({Actions.EpisodicAlertReport, Actions.EpisodicComponentReport})
_UNWANTED: Final = tuple(key.action for key in StateEventClient.notifications if key.action not in _WANTED)
_SURPRISES: Final = (
    OSError,
    http.client.HTTPException,
    HTTPReturnCodeError,
    SoapResponseError,
    SyntaxError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What the library lets through when a device answers otherwise than it expects."""


def open_session(peer: SdcPeer, inbox: Inbox) -> Session:
    """A consumer that is connected and subscribed; who the device is has been put in. Raises Unavailable,

    SettingsError.
    """
    for name in ("sdc", "sdc_comm"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    contexts = _contexts(peer)
    address = peer.endpoint if peer.is_address else _found(peer)
    check_way(peer, address)
    ours = _our_address(peer, address)
    session = _Session(peer, address, contexts, inbox)
    try:
        session.open(ours)
    except _SURPRISES as error:
        raise _unavailable(peer.endpoint, error) from error
    finally:
        if not session.is_open:
            session.close()
    return session


class _Session:
    def __init__(
        self, peer: SdcPeer, address: str, contexts: SSLContextContainer | None, inbox: Inbox
    ) -> None:
        self._inbox = inbox
        self._peer = peer
        self._address = address
        components = default_components_factory()
        components.action_dispatcher_class = RequestDispatcher
        components.service_handlers = {GetServiceClient, StateEventClient}
        is_tls = urlsplit(address).scheme == "https"
        self._contexts = contexts if is_tls else None
        self._consumer = SdcConsumer(
            address,
            SdcV1Definitions,
            ssl_context_container=self._contexts,
            validate=False,
            components=components,
            socket_timeout=CONNECT_S,
            force_ssl_connect=is_tls,
        )
        self._ear: HttpServerThreadBase | None = None
        self.is_open = False
        """Whether it is subscribed and reports are handed on."""

    def open(self, our_address: str) -> None:
        """Tell who the device is, then subscribe; reports go where we listen."""
        if (told := self._consumer.transfer_get()) is None:
            raise Unavailable(self._peer.endpoint, why="it does not say who it is")
        self._inbox.put(told.p_msg.raw_data)
        self._consumer.get_soap_client(self._address).close()  # what follows opens it anew
        self._ear = HttpServerThreadBase(
            our_address,
            self._contexts.server_context if self._contexts else None,  # type: ignore[arg-type]  # told amiss
            supported_encodings=(),
            logger=get_logger_adapter("sdc.client.notif_dispatch"),
        )
        self._ear.start()
        if not self._ear.started_evt.wait(CONNECT_S):
            raise Unavailable(self._peer.endpoint, why="no port to listen on for its reports")
        self._consumer.start_all(
            not_subscribed_actions=_UNWANTED, shared_http_server=_Sink(self._ear, self._take)
        )
        if not self._consumer.is_connected:
            raise Unavailable(
                self._peer.endpoint, why="it takes no subscription", advice="see how many listeners it allows"
            )
        observableproperties.strongbind(self._consumer, is_connected=self._changed)
        self.is_open = True

    def ask(self) -> None:
        try:
            self._inbox.put(self._mdib())
        except _SURPRISES as error:
            lost = _unavailable(self._peer.endpoint, error)
            self._inbox.lose(lost.why, lost.advice)

    def close(self) -> None:
        self.is_open = False
        with suppress(*_SURPRISES):  # that the link is lost has been said by who noticed
            self._consumer.stop_all(unsubscribe=True)
        if self._ear is not None:
            self._ear.stop()

    def _mdib(self) -> bytes:
        """The answer to GetMdib as it came; what it holds is read by nobody here."""
        service = self._consumer.get_service_client
        request = self._consumer.sdc_definitions.data_model.msg_types.GetMdib()
        head = HeaderInformationBlock(action=request.action, addr_to=service.endpoint_reference.Address)
        message = self._consumer.msg_factory.mk_soap_message(head, payload=request)
        raw: bytes = service.post_message(message).p_msg.raw_data
        return raw

    def _take(self, document: bytes) -> None:
        """A report; before all are subscribed it is told by the first MDIB as well."""
        if self.is_open:
            self._inbox.put(document)

    def _changed(self, is_connected: bool) -> None:  # noqa: FBT001 - the library calls it so
        if self.is_open and not is_connected:
            self._inbox.lose("it has ended the subscription, or does not renew it")


class _Reader(Protocol):
    """What the library reads and answers posted documents by."""

    def do_post(
        self, headers: Mapping[str, str], path: str, peer_name: str, request_bytes: bytes
    ) -> tuple[int, str, bytes]:
        """Status, reason and body of the answer."""


class _Sink:
    """Our server as the consumer uses it: whatever is registered there is tapped."""

    def __init__(self, server: HttpServerThreadBase, take: Callable[[bytes], None]) -> None:
        self._server = server
        self._take = take
        self.base_url = str(server.base_url)

    @property
    def dispatcher(self) -> _Sink:
        return self

    def register_instance(self, path: str, reader: _Reader) -> None:
        self._server.dispatcher.register_instance(path, _Tap(reader, self._take))


@dataclass(frozen=True, slots=True)
class _Tap:
    """Hands on what is posted as it came, before the library reads and answers it."""

    reader: _Reader
    take: Callable[[bytes], None]

    def do_post(
        self, headers: Mapping[str, str], path: str, peer_name: str, request_bytes: bytes
    ) -> tuple[int, str, bytes]:
        self.take(request_bytes)
        return self.reader.do_post(headers, path, peer_name, request_bytes)


def _contexts(peer: SdcPeer) -> SSLContextContainer | None:
    if peer.certificate is None or peer.key is None or peer.authority is None:
        return None
    try:
        return mk_ssl_contexts(peer.key, peer.certificate, peer.authority)
    except OSError as error:
        why = (
            f"{error.filename or error}: no such file" if isinstance(error, FileNotFoundError) else str(error)
        )
        raise SettingsError(
            where=f"SDC endpoint {peer.endpoint}",
            found=why,
            expected="PEM files of certificate, key and authority",
        ) from error


def _found(peer: SdcPeer) -> str:
    """The address of an endpoint reference, by search. Raises Unavailable."""
    ours = [str(adapter.ip) for adapter in get_adapters()] if peer.our_address == ANY else [peer.our_address]
    searches: list[WSDiscovery] = []
    try:
        for address in ours:
            searches.append(WSDiscovery(address))
            searches[-1].start()
        for search in searches * SEARCH_S:
            for service in search.search_services(
                SdcV1Definitions.MedicalDeviceTypesFilter, timeout=1 / len(searches), repeat_probe_interval=1
            ):
                if service.epr.casefold() == peer.endpoint.casefold() and service.x_addrs:
                    return str(max(service.x_addrs, key=lambda told: told.startswith("https")))
    except OSError as error:
        raise Unavailable(
            peer.endpoint, why=f"no search: {words_of(error)}", advice="check our address on its network"
        ) from error
    finally:
        for search in searches:
            search.stop()
    raise Unavailable(
        peer.endpoint,
        why=f"not found within {SEARCH_S} s on {', '.join(ours) or 'any network'}",
        advice="check its power and network; multicast (UDP 3702) must reach it, or name its https address",
    )


def _our_address(peer: SdcPeer, address: str) -> str:
    """Our address towards the device, which shows that it answers at all. Raises Unavailable."""
    way = urlsplit(address)
    try:
        with socket.create_connection((way.hostname, way.port or 443), timeout=CONNECT_S) as link:
            return str(link.getsockname()[0])
    except OSError as error:
        raise _unavailable(peer.endpoint, error) from error


def _unavailable(place: str, error: Exception) -> Unavailable:
    match error:
        case ssl.SSLCertVerificationError():
            why = f"TLS: its certificate is not accepted: {error.verify_message}"
            advice = "ca_file must hold the authority that it comes from"
        case ssl.SSLError():
            why = f"TLS fails: {error.reason or 'no reason told'}"
            advice = "it must accept our certificate, and speak TLS 1.2 or later"
        case TimeoutError():
            why, advice = f"no answer within {CONNECT_S} s", "check its power and network"
        case HTTPReturnCodeError():
            why, advice = f"it answers {error.status} to a request", "another device may be at that address"
        case http.client.HTTPException():
            why, advice = "the link is lost", ""
        case OSError():
            why, advice = words_of(error), "check its address, power and network"
        case _:
            why = f"it answers otherwise than an SDC provider does ({type(error).__name__})"
            advice = "check that the address is that of an SDC device"
    return Unavailable(place, why=why, advice=advice)
