"""Settings of the history become a store that works, or a line that says what is missing."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from collector.embedded import EmbeddedHistory
from collector.history import Misconfigured, Point
from collector.influx import InfluxHistory
from collector.influx2 import Influx2History
from desk import settings
from desk.broker import Certificate
from desk.clock import system_clock
from desk.histories import history_of
from desk.settings import History
from telemetry.errors import SettingsError
from tests.system.conftest import need
from tests.system.test_mqtt import certificate

COMPLETE = {
    "embedded": "",
    "influxdb1": 'user = "writer"\npassword_file = "secret"',
    "influxdb2": 'org = "hospital"\ntoken_file = "secret"',
    "influxdb3": 'token_file = "secret"',
}
POINT = Point("m", (), (("n", 1),), 1)


def _load(folder: Path, text: str) -> History:
    (folder / "secret").write_text("s3cret\n")
    file = folder / "hourmeter.toml"
    file.write_text(f"[history]\n{text}")
    return settings.load(file).history


@pytest.mark.parametrize(
    ("store", "kind"),
    [
        ("embedded", EmbeddedHistory),
        ("influxdb1", InfluxHistory),
        ("influxdb2", Influx2History),
        ("influxdb3", Influx2History),
    ],
)
async def test_each_store_is_made_from_its_settings(
    tmp_path: Path, store: str, kind: type[EmbeddedHistory | InfluxHistory | Influx2History]
) -> None:
    read = _load(tmp_path, f'store = "{store}"\n{COMPLETE[store]}')
    history = history_of(read, clock=system_clock())
    assert isinstance(history, kind)
    assert "s3cret" not in repr(read)
    await history.close()


@pytest.mark.parametrize(
    ("text", "where", "expected"),
    [
        ('store = "influxdb2"\norg = "h"', "history.token_file", "HOURMETER_HISTORY__TOKEN"),
        ('store = "influxdb3"', "history.token_file", "token for influxdb3"),
        ('store = "influxdb2"\ntoken_file = "secret"', "history.org", "influx org list"),
        ('store = "influxdb3"\ntoken_file = "nowhere"', "history.token_file", "holds the token"),
        ('store = "influxdb3"\ntoken = "s3cret"', "history.token", "history.token_file"),
        ('store = "influxdb4"', "history.store", "'influxdb3'"),
        ('store = "influxdb1"\nca_file = "nowhere"', "history.ca_file", "PEM file"),
        ('store = "influxdb3"\ntoken_file = "secret"\nurl = "localhost"', "history.url", "http://"),
    ],
)
async def test_what_is_missing_or_wrong_is_named(
    tmp_path: Path, text: str, where: str, expected: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        history_of(_load(tmp_path, text), clock=system_clock())
    assert where in caught.value.where
    assert expected in caught.value.expected
    assert "s3cret" not in str(caught.value)


async def test_a_token_of_the_environment_stands_above_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOURMETER_HISTORY__TOKEN", "of the environment")
    read = _load(tmp_path, 'store = "influxdb3"\ntoken_file = "nowhere"')
    assert read.secret_token() == "of the environment"
    assert "of the environment" not in repr(read)


async def _stored(_: web.Request) -> web.Response:
    return web.Response(status=204)


async def _serve(made: Certificate) -> TestServer:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(made.chain, made.key)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", _stored)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(ssl=tls)
    return server


@pytest.mark.system
@pytest.mark.parametrize("store", ["influxdb1", "influxdb2", "influxdb3"])
async def test_a_server_proves_who_it_is_by_the_authority_that_is_named(tmp_path: Path, store: str) -> None:
    need("openssl")
    own, other = await certificate(tmp_path, "own"), await certificate(tmp_path, "other")
    server = await _serve(own)
    try:
        url = str(server.make_url("")).rstrip("/")
        text = f'store = "{store}"\nurl = "{url}"\n{COMPLETE[store]}\n'
        for line in (f'ca_file = "{own.chain}"', "verify_tls = false"):
            history = history_of(_load(tmp_path, text + line), clock=system_clock())
            assert await history.write([POINT]) == ()
            await history.close()
        for line in (f'ca_file = "{other.chain}"', ""):
            history = history_of(_load(tmp_path, text + line), clock=system_clock())
            with pytest.raises(Misconfigured, match="certificate"):
                await history.write([POINT])
            await history.close()
    finally:
        await server.close()
