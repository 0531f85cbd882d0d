"""A batch of records comes back from its bytes as it was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collector.batches import decode, encode, kinds
from telemetry.envelope import Envelope
from telemetry.records import Journaled, Record, Started, Tick
from telemetry.topics import Topic

_NAMES = st.sampled_from(("a", "b", "usage", "other"))
_MS = st.integers(0, 2**53)
_RECORDS: st.SearchStrategy[list[Record]] = st.lists(
    st.one_of(
        st.builds(Tick, st.just(0), _MS),
        st.builds(Started, st.just(0), _MS),
        st.builds(
            Journaled,
            position=st.just(0),
            topic=st.builds(Topic, _NAMES, _NAMES, _NAMES),
            envelope=st.none() | st.builds(Envelope, _NAMES, st.integers(1, 10**18), _NAMES, _MS),
            received_ms=st.integers(0, 2),
            event_ms=_MS,
            corrected=st.booleans(),
            payload=st.binary(max_size=40),
            refusal=st.sampled_from(("", "", "not JSON")),
            told=st.none(),
            again=st.booleans(),
        ),
    ),
    max_size=20,
)


@given(_RECORDS, st.integers(0, 2**40))
def test_records_come_back_as_they_were(drawn: list[Record], first: int) -> None:
    records = tuple(record._replace(position=position) for position, record in enumerate(drawn, first))
    assert decode(encode(records), first=first, tell=lambda _: None) == records
    assert sum(kinds(records).values()) == sum(isinstance(record, Journaled) for record in records)
