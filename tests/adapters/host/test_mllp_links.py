"""Names and links of the devices behind a gateway."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapters.host.mllp_links import Behind, Links, topic_name
from telemetry.messages import Alias, Identity, LinkState, OperatingState, Status, Strength, Usage
from telemetry.topics import is_name
from tests.adapters.host.gateways import alias

NAMES = st.text(min_size=1, max_size=64)
ALIASES = st.builds(
    Alias,
    protocol=st.just("hl7"),
    namespace=st.text(max_size=64),
    identifier=NAMES,
    strength=st.sampled_from(Strength),
)
GATEWAYS = st.from_regex(r"[A-Za-z0-9-][A-Za-z0-9_-]{0,31}", fullmatch=True)
USAGE = Usage(state=OperatingState.IDLE, period_s=60)
ONLINE = Status(link=LinkState.ONLINE)
LOST = Status(link=LinkState.MUTE, reason="its gateway has lost it")
IDENTITY = Identity(manufacturer="m", model="1")


@given(GATEWAYS, st.sets(ALIASES, max_size=20))
def test_every_alias_has_a_name_that_a_topic_carries_and_no_other_has(
    gateway: str, known: set[Alias]
) -> None:
    names = {(one.namespace, one.identifier): topic_name(gateway, one) for one in known}
    assert len(set(names.values())) == len(names)
    assert all(is_name(name) and name.startswith(f"{gateway}-") for name in names.values())


def test_a_plain_serial_number_stays_readable_and_anything_else_keeps_what_it_can() -> None:
    assert topic_name("gw", alias("P6013")) == "gw-P6013"
    assert topic_name("gw", alias("P 6013/a")) == "gw-P_6013_a-acfec554"
    assert (
        topic_name("gw", Alias(protocol="hl7", namespace="0012", identifier="P6013")) == "gw-P6013-96fbb954"
    )
    assert len(topic_name("gw", alias("9" * 64))) == 64


def test_online_is_told_before_the_first_word_only() -> None:
    device = Behind("gw-p", alias("p"), 0)
    assert device.completed((USAGE,)) == (ONLINE, USAGE)
    assert device.completed((USAGE,)) == (USAGE,)


def test_a_device_that_its_gateway_has_lost_is_not_online_until_the_gateway_says_so() -> None:
    device = Behind("gw-p", alias("p"), 0)
    device.completed((USAGE,))
    assert device.completed((LOST,)) == (LOST,)
    assert device.completed((USAGE,)) == (USAGE,)
    device.told = LinkState.OFFLINE
    assert device.completed((USAGE,)) == (LOST, USAGE)
    assert device.completed((ONLINE, USAGE)) == (ONLINE, USAGE)


def test_what_did_not_arrive_is_told_again_with_the_next_word_unless_a_newer_one_comes() -> None:
    device = Behind("gw-p", alias("p"), 0)
    said = device.completed((IDENTITY, USAGE))
    device.untell(said)
    assert device.completed((USAGE,)) == (ONLINE, IDENTITY, USAGE)
    assert device.completed((USAGE,)) == (USAGE,)
    device.untell((IDENTITY,))
    newer = IDENTITY.model_copy(update={"model": "2"})
    assert device.completed((newer,)) == (newer,)


def test_who_is_known_is_bounded_and_who_is_known_stays_known() -> None:
    links = Links("gw", period_ms=1000, most=1)
    first = links.find(alias("a"), mono_ms=0)
    assert links.find(alias("b"), mono_ms=0) is None
    assert links.find(alias("a"), mono_ms=5) is first
    assert len(links) == 1


def test_silence_of_more_than_three_periods_is_told_once() -> None:
    links = Links("gw", period_ms=1000, most=9)
    device = links.find(alias("a"), mono_ms=0)
    assert device is not None
    assert list(links.silent(mono_ms=3000)) == []
    (turn,) = links.silent(mono_ms=3001)
    device.told = turn.status.link
    assert list(links.silent(mono_ms=9000)) == []
