"""Writes IntelliVue Data Export messages from values, by the layout that `adapters.intellivue_layout` reads.

What a client sends is here, and what a monitor sends for simulators, examples and recordings.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from adapters.intellivue_layout import (
    ACTION,
    ALERT,
    ALL_GROUPS,
    COMMAND,
    CONFIRMED_ACTION,
    CONFIRMED_EVENT,
    CONNECT_INDICATION,
    EVENT,
    HEAD,
    INVOKE,
    ITSELF,
    LINK,
    LINKED,
    LIST,
    NOMENCLATURE,
    NUMBER,
    OBJECTS,
    POLL,
    POLLED,
    REPORT,
    RESULT,
    SESSION,
    Alert,
    Polled,
    Told,
)


def rows_of(rows: Iterable[bytes]) -> bytes:
    """A list of these rows."""
    whole = tuple(rows)
    data = b"".join(whole)
    return LIST.pack(len(whole), len(data)) + data


def text_of(text: bytes) -> bytes:
    """A text with its length."""
    return NUMBER.pack(len(text)) + text


def attributes_of(attributes: Iterable[tuple[int, bytes]]) -> bytes:
    """A list of attributes."""
    return rows_of(LIST.pack(number, len(value)) + value for number, value in attributes)


def alert_of(alert: Alert, info: bytes = b"") -> bytes:
    """A row of an alert list; with `info` as the structure that carries its text."""
    return ALERT.pack(*alert, ITSELF, 516 if info else 513, len(info)) + info


def specification_of(kind: int, component: int, text: bytes) -> bytes:
    """A row of 092D."""
    return LIST.pack(kind, component) + text_of(text)


def told_of(told: Told) -> bytes:
    """The message that tells this."""
    attributes = attributes_of(told.attributes.items())
    is_indication = told.event == CONNECT_INDICATION
    inside = attributes if is_indication else told.object + attributes
    body = REPORT.pack(told.object, told.time, told.event, len(inside)) + inside
    command = EVENT if is_indication else CONFIRMED_EVENT
    return _message(
        NOMENCLATURE if is_indication else SESSION, INVOKE, told.invoke_id, command=command, body=body
    )


def created_result(told: Told) -> bytes:
    """The answer that the event with which a session begins waits for; invoke id and time are echoed."""
    body = REPORT.pack(told.object, told.time, told.event, 0)
    return _message(SESSION, RESULT, told.invoke_id, command=CONFIRMED_EVENT, body=body)


def poll_request(object_class: int, group: int, *, number: int) -> bytes:
    """Asks once for the objects of a class; the answer carries `number` as its invoke id."""
    asked = struct.pack(">HHHH", number, OBJECTS, object_class, group)
    body = ITSELF + struct.pack(">IHH", 0, POLL, len(asked)) + asked
    return _message(SESSION, INVOKE, number, command=CONFIRMED_ACTION, body=body)


def polled_of(polled: Polled, *, group: int = ALL_GROUPS, last: bool = False) -> bytes:
    """The message that brings this; `last`: no further linked one follows."""
    objects = rows_of(
        NUMBER.pack(handle) + attributes_of(one.items()) for handle, one in enumerate(polled.objects, 1)
    )
    contexts = rows_of((NUMBER.pack(0) + objects,) if polled.objects else ())
    head = POLLED.pack(polled.invoke_id, polled.time, b"\xff" * 8, OBJECTS, polled.object_class, group)
    answer = head + contexts
    body = ACTION.pack(ITSELF, POLL, len(answer)) + answer
    state = 3 if last else min(polled.part, 2)
    link = LINK.pack(state, polled.part) if polled.part else b""
    kind = LINKED if polled.part else RESULT
    return _message(SESSION, kind, polled.invoke_id, command=CONFIRMED_ACTION, body=body, link=link)


def _message(head: int, kind: int, invoke_id: int, *, command: int, body: bytes, link: bytes = b"") -> bytes:
    inside = link + COMMAND.pack(invoke_id, command, len(body)) + body
    return HEAD.pack(head, kind, len(inside)) + inside
