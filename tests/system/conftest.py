"""Real servers as fixtures: without one its tests are skipped with a sentence, and fail where CI=true."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from desk.broker import Broker
from tests.system import servers


def need(name: str) -> None:
    """Skip, or fail where CI=true, if the server is not installed."""
    sentence = servers.missing(name)
    if sentence is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


@pytest.fixture
async def mosquitto(tmp_path: Path) -> AsyncIterator[Broker]:
    """A running Mosquitto with the accounts of `servers.mosquitto`."""
    need("mosquitto")
    broker = servers.mosquitto(tmp_path / "mosquitto")
    try:
        await broker.start()
        yield broker
    finally:
        await broker.stop()


@pytest.fixture
async def influx_with_user(tmp_path: Path) -> AsyncIterator[servers.Influx]:
    """A running InfluxDB 1.x that asks for a password."""
    need("influxd")
    server = servers.Influx(tmp_path / "influx", user="hourmeter")
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def influx(tmp_path: Path) -> AsyncIterator[servers.Influx]:
    """A running InfluxDB 1.x with an empty database `hourmeter`."""
    need("influxd")
    server = servers.Influx(tmp_path / "influx")
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def victoria(tmp_path: Path) -> AsyncIterator[servers.Victoria]:
    """A running VictoriaMetrics that holds nothing."""
    need("victoria-metrics")
    server = servers.Victoria(tmp_path / "victoria")
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
