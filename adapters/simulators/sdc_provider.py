"""An SDC ventilator on this machine, by the library's own provider; what it tells is changed by its methods.

`python -m adapters.simulators.sdc_provider --help` runs one until it is told to stop. Needs the extra
`hourmeter[sdc]`. Every method may be called in any thread.
"""

from __future__ import annotations

import argparse
import http.client
import re
import signal
import sys
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from urllib.parse import urlsplit

from adapters.simulators import sdc_mdib as handles

with warnings.catch_warnings():  # it warns of parts of its own as it is imported
    warnings.simplefilter("ignore", DeprecationWarning)
    from sdc11073.certloader import SSLContextContainer
    from sdc11073.mdib import ProviderMdib
    from sdc11073.provider import SdcProvider
    from sdc11073.provider.providerimpl import provider_components_sync_factory
    from sdc11073.pysoap.msgfactory import MessageFactory
    from sdc11073.wsdiscovery import WSDiscovery
    from sdc11073.xml_types import pm_types
    from sdc11073.xml_types.dpws_types import ThisDeviceType, ThisModelType

LOOPBACK: Final = "127.0.0.1"
HOURS: Final = 9120
CYCLES: Final = 311
VITAL_VALUE: Final = "87.0625"
"""A saturation that nobody else tells."""
_DATE: Final = re.compile(rb'DateAndTime="([0-9]+)"')
SUBSCRIPTION_S: Final = 7
"""For how long a subscription is granted."""


class Activation(Enum):
    """What the ventilator does."""

    IN_USE = pm_types.ComponentActivation.ON
    STANDBY = pm_types.ComponentActivation.STANDBY
    FAILED = pm_types.ComponentActivation.FAILURE


class Ventilator:
    """A ventilator at work; made by `ventilator`."""

    def __init__(self, provider: Any, mdib: Any) -> None:  # noqa: ANN401 - typed in part only
        self._provider = provider
        self._mdib = mdib

    @property
    def address(self) -> str:
        """Where it answers."""
        return str(self._provider.get_xaddrs()[0])

    @property
    def endpoint(self) -> str:
        """Its endpoint reference."""
        return str(self._provider.epr_urn)

    @property
    def subscriptions(self) -> int:
        """How many listeners have a valid subscription."""
        return len(self._subscriptions())

    def work(self, activation: Activation, *, hours: int = HOURS) -> None:
        """It does this, and its counter stands there."""
        with self._mdib.component_state_transaction() as change:
            state = change.get_state(handles.DEVICE)
            state.ActivationState = activation.value
            state.OperatingHours = hours

    def power(self, *, on_battery: bool, remaining_ah: str = "2.6") -> None:
        """How its battery stands."""
        battery = pm_types.ComponentActivation.ON if on_battery else pm_types.ComponentActivation.STANDBY
        with self._mdib.component_state_transaction() as change:
            state = change.get_state(handles.BATTERY)
            state.ActivationState = battery
            state.ChargeCycles = CYCLES
            state.CapacityRemaining = pm_types.Measurement(
                Decimal(remaining_ah), pm_types.CodedValue("268224")
            )

    def set_clock(self, ahead: timedelta) -> None:
        """Its clock goes so much ahead of this machine's, or behind."""
        self._provider.msg_factory.ahead = ahead
        with self._mdib.component_state_transaction() as change:
            change.get_state(handles.CLOCK)

    def alert(self, condition: str, *, is_present: bool, latch: bool = False) -> None:
        """An alert begins or is over; its signal may stay on behind it."""
        presence = pm_types.AlertSignalPresence
        with self._mdib.alert_state_transaction() as change:
            change.get_state(condition).Presence = is_present
            told = presence.ON if is_present else presence.LATCH if latch else presence.OFF
            change.get_state(handles.signal_of(condition)).Presence = told

    def admit(self, family_name: str) -> None:
        """A patient, and a vital value, which no hourmeter may ever tell."""
        with self._mdib.context_state_transaction() as change:
            patient = change.mk_context_state(handles.PATIENT, set_associated=True)
            patient.CoreData.Familyname = family_name
        with self._mdib.metric_state_transaction() as change:
            vital = change.get_state(handles.VITAL)
            vital.mk_metric_value()
            vital.MetricValue.Value = Decimal(VITAL_VALUE)

    def babble(self, data: bytes) -> None:
        """Post this to every listener in place of a report."""
        for listener in self._subscriptions():
            way = urlsplit(listener.notify_to_address)
            link = http.client.HTTPConnection(str(way.hostname), int(way.port or 80), timeout=5)
            try:
                link.request("POST", way.path, data, {"Content-Type": "application/soap+xml"})
                link.getresponse().read()
            finally:
                link.close()

    def _subscriptions(self) -> list[Any]:
        manager = self._provider.hosted_services.state_event_service.hosting_service.subscriptions_manager
        known = manager._subscriptions.objects  # noqa: SLF001 - nobody else tells
        return [one for one in known if one.is_valid and one.unsubscribed_at is None]


class _Clock(MessageFactory):
    """Writes messages, with a clock that may be wrong: the library knows no other than this machine's."""

    ahead = timedelta()

    def serialize_message(self, *told: Any, **how: Any) -> bytes:  # noqa: ANN401 - handed on as they are
        """A message as bytes."""
        return _DATE.sub(self._wrong, super().serialize_message(*told, **how))

    def _wrong(self, shown: re.Match[bytes]) -> bytes:
        return b'DateAndTime="%d"' % (int(shown[1]) + self.ahead // timedelta(milliseconds=1))


@contextmanager
def ventilator(
    serial: str = "SIM-S-1",
    *,
    endpoint: uuid.UUID | None = None,
    contexts: SSLContextContainer | None = None,
    is_announced: bool = False,
) -> Iterator[Ventilator]:
    """A ventilator in use and on mains, with nothing amiss, on a free port of this machine.

    Each is a new start, with a SequenceId of its own. `contexts`: speaks TLS with them. `is_announced`: can
    be found by WS-Discovery.
    """
    discovery = WSDiscovery(LOOPBACK)
    components = provider_components_sync_factory()
    components.msg_factory_class = _Clock
    mdib = ProviderMdib.from_string(handles.mdib(serial=serial))
    provider = SdcProvider(
        discovery,
        ThisModelType(manufacturer=handles.MANUFACTURER, model_name=handles.MODEL),
        ThisDeviceType(friendly_name="Simulator", firmware_version="2.4.1", serial_number=serial),
        mdib,
        epr=endpoint or uuid.uuid4(),
        ssl_context_container=contexts,
        max_subscription_duration=SUBSCRIPTION_S,
        components=components,
    )
    device = Ventilator(provider, mdib)
    try:
        if is_announced:
            discovery.start()
        provider.start_all(start_rtsample_loop=False)
        device.work(Activation.IN_USE)
        device.power(on_battery=False)
        if is_announced:
            provider.publish()
        yield device
    finally:
        provider.stop_all(send_subscription_end=False)
        discovery.stop()


def main(arguments: list[str] | None = None) -> None:
    """One ventilator until SIGINT or SIGTERM; its address on standard output."""
    parser = argparse.ArgumentParser(description="An SDC ventilator on this machine.")
    parser.add_argument("--serial", default="SIM-S-1")
    parser.add_argument("--announce", action="store_true", help="answer WS-Discovery on loopback")
    told = parser.parse_args(arguments)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    with ventilator(told.serial, is_announced=told.announce) as device:
        sys.stdout.write(f"{device.endpoint} {device.address}\n")
        sys.stdout.flush()
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
