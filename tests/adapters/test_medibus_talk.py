"""Our side of a MEDIBUS line: each command answered, one question at a time, and no silence too long."""

from __future__ import annotations

import pytest

from adapters.contract import Answer, Heard, Outcome
from adapters.medibus_adapter import WHO_WE_ARE, Medibus
from adapters.medibus_frames import COMMAND, RESPONSE, Flow, Frame, Frames, frame_of
from adapters.medibus_talk import ANSWER_S, LEFT_OUT_S, NAK, NOP, REPEATS, SETTLE_S, SILENT_S
from adapters.protocols.medibus import MedibusOptions, adapter

ICC, ID, STOP = 0x51, 0x52, 0x55
SAVINA = b"8250'Savina'03.10:04.00"
EVITA_4 = b"8240'Evita 4'04.20:04.00"
OLD = b"0007'Old'01.00:02.00"
FRAMING = frozenset({0x01, 0x0D, 0x1B, *Flow})
"""Bytes that cannot be the code of a command."""


def asks(code: int, data: bytes = b"") -> bytes:
    return frame_of(COMMAND, code, data)


def says(code: int, data: bytes = b"") -> bytes:
    return frame_of(RESPONSE, code, data)


def sent(outcomes: tuple[Outcome, ...]) -> list[tuple[int, int, bytes]]:
    """Start, code and data of all that was sent."""
    data = b"".join(one.data for one in outcomes if isinstance(one, Answer))
    return [(one.start, one.code, one.data) for one in Frames().feed(data) if isinstance(one, Frame)]


def questions(outcomes: tuple[Outcome, ...]) -> list[int]:
    """The codes of the commands that were sent."""
    return [code for start, code, _ in sent(outcomes) if start == COMMAND]


class Talk:
    """An adapter and what it sends, question by question."""

    def __init__(self, who: bytes = SAVINA, *, started: bool = True) -> None:
        self.adapter: Medibus = adapter(period_s=30)
        self.first = self.adapter.connected()
        if started:
            self.hear(says(ICC))
            assert questions(self.wait(SETTLE_S)) == [ID]
            self.hear(says(ID, who))

    def hear(self, data: bytes) -> tuple[Outcome, ...]:
        """The device sends this."""
        return (*self.adapter.elapsed(0), *self.adapter.feed(data))

    def wait(self, seconds: float) -> tuple[Outcome, ...]:
        """So much time passes."""
        return self.adapter.elapsed(seconds)

    def prepared(self) -> Talk:
        """All that is asked once is answered."""
        for code in (0x28, 0x4A, 0x4A):
            self.hear(says(code))
        return self


@pytest.mark.parametrize("code", sorted({*range(0x80)} - FRAMING))
def test_every_command_is_answered_with_its_own_code(code: int) -> None:
    data = WHO_WE_ARE if code == ID else b""
    for talk in (Talk(started=False), Talk().prepared()):
        assert sent(talk.hear(asks(code)))[0] == (RESPONSE, code, data)
        assert sent(talk.hear(says(0x27)[:2] + asks(code, b"argument")))[0] == (RESPONSE, code, data)


def test_a_command_without_a_fitting_checksum_is_answered_with_nak() -> None:
    talk = Talk().prepared()
    (answer,) = [one.data for one in talk.hear(b"\x1b\x3000\r") if isinstance(one, Answer)]
    assert answer == b"\x01\x1516\r"


def test_we_begin_and_name_ourselves_and_wait_before_the_first_question() -> None:
    talk = Talk(started=False)
    assert sent(talk.first) == [(COMMAND, ICC, b"")]
    said = talk.hear(b"\x01" + asks(ID) + says(ICC)[1:])
    assert sent(said) == [(RESPONSE, ID, WHO_WE_ARE)]
    assert sent(talk.wait(SETTLE_S - 0.01)) == []
    assert questions(talk.wait(0.01)) == [ID]


def test_the_device_may_begin_too() -> None:
    talk = Talk(started=False)
    assert sent(talk.hear(asks(ICC))) == [(RESPONSE, ICC, b"")]
    talk.wait(0.1)
    assert sent(talk.hear(asks(ID))) == [(RESPONSE, ID, WHO_WE_ARE)]
    assert sent(talk.wait(0.15)) == []
    assert questions(talk.wait(0.05)) == [ID]


def test_icc_is_sent_every_three_seconds_until_it_is_answered() -> None:
    talk = Talk(started=False)
    for _ in range(5):
        assert talk.adapter.due_s() == pytest.approx(SILENT_S)
        assert questions(talk.wait(SILENT_S)) == [ICC]


def test_one_question_at_a_time_and_the_next_as_soon_as_it_is_answered() -> None:
    talk = Talk(started=False)
    assert talk.adapter.poll() == b""
    talk.hear(says(ICC))
    talk.wait(SETTLE_S)
    answers = (says(ID, SAVINA), *map(says, (0x28, 0x4A, 0x4A, 0x27, 0x2E, 0x2A, 0x28, 0x24)))
    order = [questions(talk.hear(answer)) for answer in answers]
    assert order == [[0x28], [0x4A], [0x4A], [0x27], [0x2E], [0x2A], [0x28], [0x24], []]
    assert talk.adapter.poll() == asks(0x27)
    assert talk.adapter.poll() == b""


def test_devices_are_asked_for_no_more_than_we_read() -> None:
    talk = Talk()
    first, second = (sent(talk.hear(says(code)))[0] for code in (0x28, 0x4A))
    assert first == (COMMAND, 0x4A, b"\x24D6B9B8C60F")
    assert second == (COMMAND, 0x4A, b"\x2a621253631E54909192")


def test_an_old_device_gets_no_command_with_an_argument() -> None:
    talk = Talk(OLD)
    assert talk.adapter.poll() == asks(0x27)


def test_the_evita_4_is_not_asked_for_its_clock() -> None:
    talk = Talk(EVITA_4)
    for code in (0x4A, 0x4A):
        talk.hear(says(code))
    assert talk.adapter.poll() == asks(0x27)
    asked = [questions(talk.hear(says(code))) for code in (0x27, 0x2E, 0x2A, 0x24)]
    assert asked == [[0x2E], [0x2A], [0x24], []]


def test_without_a_poll_nothing_is_asked_but_the_link_is_kept() -> None:
    """So it is while the outbox has no room."""
    talk = Talk().prepared()
    for _ in range(40):
        assert questions(talk.wait(1.5)) == [NOP]
        assert sent(talk.hear(asks(NOP) + says(NOP))) == [(RESPONSE, NOP, b"")]


def test_a_slow_answer_is_waited_for_while_the_link_is_kept() -> None:
    talk = Talk().prepared()
    talk.adapter.poll()
    for _ in range(6):
        assert questions(talk.wait(1.5)) == [NOP]
        talk.hear(says(NOP))
    assert questions(talk.wait(0.9)) == []
    assert questions(talk.hear(says(0x27))) == [0x2E]


def test_a_question_without_an_answer_is_repeated_three_times_and_then_left_out_for_a_while() -> None:
    talk = Talk().prepared()
    assert talk.adapter.poll() == asks(0x27)
    asked = [code for code in _ask_in_vain(talk, seconds=5 * ANSWER_S) if code != NOP]
    assert asked[: REPEATS + 1] == [0x27] * REPEATS + [0x2E]
    for code in (0x2E, 0x2A, 0x28, 0x24):
        talk.hear(says(code))
    assert talk.adapter.poll() == asks(0x2E)
    for code in (0x2E, 0x2A, 0x28, 0x24):
        talk.hear(says(code))
    _ask_in_vain(talk, seconds=LEFT_OUT_S)
    assert talk.adapter.poll() == asks(0x27)


def test_on_a_new_link_what_was_left_out_is_asked_again() -> None:
    talk = Talk().prepared()
    talk.adapter.poll()
    _ask_in_vain(talk, seconds=(REPEATS + 1) * ANSWER_S)
    talk.adapter.connected()
    talk.hear(says(ICC))
    talk.wait(SETTLE_S)
    talk.hear(says(ID, SAVINA))
    for code in (0x28, 0x4A):
        talk.hear(says(code))
    assert questions(talk.hear(says(0x4A))) == [0x27]


def _ask_in_vain(talk: Talk, *, seconds: float) -> list[int]:
    """The device answers NOP and nothing else."""
    found = []
    for _ in range(int(seconds)):
        found += questions((*talk.wait(1.0), *talk.hear(says(NOP))))
    return found


def test_a_device_that_answers_nothing_is_begun_anew() -> None:
    talk = Talk().prepared()
    talk.adapter.poll()
    found = []
    for _ in range(int((REPEATS + 1) * ANSWER_S)):
        found += questions((*talk.wait(1.0), *talk.hear(b"\xd0")))
    assert [code for code in found if code != NOP] == [0x27] * REPEATS + [ICC]


@pytest.mark.parametrize("answer", [says(NAK), b"\x01\x2700\r"])
def test_a_question_that_was_not_understood_or_whose_answer_is_damaged_is_repeated_at_once(
    answer: bytes,
) -> None:
    talk = Talk().prepared()
    talk.adapter.poll()
    assert [questions(talk.hear(answer)) for _ in range(REPEATS)] == [[0x27]] * REPEATS
    assert questions(talk.hear(answer)) in ([0x2E], [ICC])


@pytest.mark.parametrize("answer", [says(NAK), b"\x01\x2700\r"])
def test_a_question_that_the_line_spoils_is_given_up_for_this_round_only(answer: bytes) -> None:
    talk = Talk().prepared()
    talk.adapter.poll()
    for _ in range(REPEATS):
        talk.hear(answer)
    assert questions(talk.hear(says(NOP) + answer)) == [0x2E]
    for code in (0x2E, 0x2A, 0x28, 0x24):
        talk.hear(says(code))
    assert talk.adapter.poll() == asks(0x27)


def test_a_second_answer_to_a_question_that_was_repeated_tells_no_state() -> None:
    talk = Talk().prepared()
    talk.adapter.poll()
    for code in (0x27, 0x2E, 0x2A, 0x28):
        talk.hear(says(code))
    values = says(0x24, b"D6  14")
    damaged_answer_to_nop = b"\x01\x3000\r"
    assert questions(talk.hear(damaged_answer_to_nop)) == [0x24]
    said = (*talk.hear(values), *talk.hear(values))
    assert [len(one.bodies) for one in said if isinstance(one, Heard)] == [1, 0]


def test_a_recorded_talk_tells_each_state_although_nobody_polls() -> None:
    talk = Talk().prepared()
    said = [one for _ in range(3) for one in talk.hear(says(0x2E) + says(0x2A) + says(0x24, b"D6  14"))]
    assert [len(one.bodies) for one in said if isinstance(one, Heard)] == [0, 0, 1] * 3


def test_three_seconds_of_silence_begin_anew_and_the_round_is_asked_again() -> None:
    talk = Talk().prepared()
    talk.adapter.poll()
    talk.hear(says(0x27))
    assert questions(talk.wait(SILENT_S)) == [ICC]
    talk.hear(says(ICC))
    talk.wait(SETTLE_S)
    talk.hear(says(ID, SAVINA))
    talk.prepared()
    assert not talk.adapter.poll()
    assert questions(talk.hear(says(0x27))) == [0x2E]


def test_a_device_that_begins_anew_is_answered_and_set_up_again() -> None:
    talk = Talk().prepared()
    talk.adapter.poll()
    assert sent(talk.hear(asks(ICC))) == [(RESPONSE, ICC, b"")]
    assert questions(talk.wait(SETTLE_S)) == [ID]
    assert questions(talk.hear(says(ID, SAVINA))) == [0x28]
    assert sent(talk.hear(says(0x28)))[0][1] == 0x4A


def test_a_round_that_was_heard_to_its_end_is_not_asked_again_after_a_new_start() -> None:
    talk = Talk().prepared()
    talk.adapter.poll()
    for code in (0x27, 0x2E, 0x2A, 0x28, 0x24):
        talk.hear(says(code))
    talk.hear(asks(ICC))
    talk.wait(SETTLE_S)
    talk.hear(says(ID, SAVINA))
    assert [questions(talk.hear(says(code))) for code in (0x28, 0x4A, 0x4A)] == [[0x4A], [0x4A], []]


def test_an_identification_that_nobody_asked_for_asks_nothing() -> None:
    talk = Talk().prepared()
    assert sent(talk.hear(says(ID, SAVINA) * 50)) == []
    assert talk.adapter.poll() == asks(0x27)
    assert questions(talk.hear(says(0x27))) == [0x2E]


def test_a_device_that_stops_is_sought_again() -> None:
    talk = Talk().prepared()
    assert sent(talk.hear(asks(STOP))) == [(RESPONSE, STOP, b"")]
    assert questions(talk.wait(SILENT_S)) == [ICC]


def test_nothing_is_sent_while_the_device_has_us_suspended() -> None:
    talk = Talk().prepared()
    talk.hear(b"\x11")
    assert talk.adapter.poll() == b""
    assert sent((*talk.wait(1.6), *talk.hear(asks(NOP)))) == []
    assert sent(talk.hear(b"\x13")) == [(RESPONSE, NOP, b""), (COMMAND, 0x27, b"")]


def test_a_suspension_ends_by_itself_after_three_seconds() -> None:
    talk = Talk().prepared()
    talk.hear(b"\x11")
    talk.adapter.poll()
    talk.wait(2.0)
    assert sent(talk.hear(asks(NOP))) == []
    assert sent(talk.wait(1.0)) == [(RESPONSE, NOP, b""), (COMMAND, 0x27, b"")]


def test_a_device_that_asks_on_and_on_while_it_has_us_suspended_is_answered() -> None:
    talk = Talk().prepared()
    assert len(sent(talk.hear(b"\x11" + asks(NOP) * 100))) == 100


def test_an_abort_gives_the_rest_of_the_round_up() -> None:
    talk = Talk().prepared()
    talk.adapter.poll()
    talk.hear(b"\x18")
    assert questions(talk.hear(says(0x27))) == []
    assert talk.adapter.poll() == asks(0x27)


def test_the_last_word_is_stop_and_then_nothing_more_is_said() -> None:
    talk = Talk().prepared()
    assert talk.adapter.farewell() == asks(STOP)
    assert talk.adapter.farewell() == b""
    assert talk.adapter.due_s() is None
    assert sent((*talk.wait(5), *talk.hear(says(STOP) + asks(ICC)))) == []


def test_without_a_link_nothing_is_due_and_nothing_said() -> None:
    fresh = adapter(period_s=30)
    assert (fresh.due_s(), fresh.farewell(), fresh.elapsed(10), fresh.poll()) == (None, b"", (), b"")


def test_a_reading_after_a_year_of_sleep_is_asked_for_once() -> None:
    talk = Talk().prepared()
    assert questions(talk.wait(3e7)) == [ICC]


def test_other_models_can_be_read_as_medibus_x() -> None:
    as_x = MedibusOptions.model_validate({"codes": "medibus-x"})(period_s=30)
    as_x.connected()
    said = as_x.feed(says(ID, b"0900'New'01.00:06.00") + says(0x27, b"O9FVENT ERR    "))
    kinds = [body.kind for one in said if isinstance(one, Heard) for body in one.bodies]
    assert kinds == ["identity", "fault"]
