"""The adapter host speaks TLS to a real broker, and says what is wrong where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.host.link import Will
from adapters.host.mqtt import Broker, MqttLink, Tls
from telemetry import topics
from telemetry.errors import HourmeterError
from tests.system import servers
from tests.system.conftest import need
from tests.system.test_mqtt import certificate

HOST = servers.PUBLISHERS[0]
WILL = Will(f"hourmeter/1/{HOST}/_link/status", b"{}")


def _link(port: int, authority: Path) -> MqttLink:
    broker = Broker(
        "127.0.0.1", port, username=HOST, password=servers.password(HOST), tls=Tls(ca=authority), timeout_s=5
    )
    return MqttLink(broker, publisher=HOST)


@pytest.mark.system
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket")  # paho leaves it to be collected
async def test_a_host_publishes_over_tls_and_refuses_a_broker_of_another_authority(tmp_path: Path) -> None:
    need("mosquitto")
    need("openssl")
    own, other = await certificate(tmp_path, "own"), await certificate(tmp_path, "other")
    broker = servers.mosquitto(tmp_path / "mosquitto", certificate=own)
    await broker.start()
    try:
        async with _link(broker.port, own.chain).connect(WILL) as connection:
            await connection.publish(
                str(topics.Topic(HOST, "v1", "usage")), b"{}", properties=(), retain=False
            )
        with pytest.raises(HourmeterError, match=r"(?i)certificate"):
            async with _link(broker.port, other.chain).connect(WILL):
                pass
    finally:
        await broker.stop()
