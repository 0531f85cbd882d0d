"""Which of two questions a device is asked: the full one, or the shorter one that older software answers.

Rule 1: the full question is given up after UNANSWERED of them only, and for good only when it stays
unanswered right after the short one was answered: a device that was off for a while is not mistaken for old.
Rule 2: a new link, or a device silent for LOST short questions, is asked the full question again.
Rule 3: one question for each poll, never a second one for the same poll.
"""

from __future__ import annotations

from typing import Final

UNANSWERED: Final = 2
"""Full questions in a row without an answer before the short one is tried."""
LOST: Final = 3
"""Short questions in a row without an answer after which nothing is known of the device any more."""


class Asking:
    """The questions to one device; the questions are bytes, compared by value."""

    def __init__(self, *, full: bytes, short: bytes) -> None:
        self._full = full
        self._short = short
        self.begin()

    def begin(self) -> None:
        """A new link: nothing has been asked on it."""
        self._asked = b""
        self._answered = b""
        self._unanswered = 0
        self._is_old = False
        self._is_trial = False

    def hear(self, question: bytes) -> None:
        """A sound answer to this question has come."""
        self._answered = question

    def next(self) -> bytes:
        """The question to be asked, given whether the one before was answered."""
        answered, self._answered = self._answered, b""
        if answered or not self._asked:
            self._unanswered = 0
            self._is_old = self._is_old and answered == self._short
            self._is_trial = answered == self._short and not self._is_old
            self._asked = self._short if self._is_old else self._full
        elif self._is_trial:
            self._is_trial, self._is_old = False, True
            self._asked = self._short
        else:
            self._unanswered += 1
            self._asked = self._after_silence()
        return self._asked

    def _after_silence(self) -> bytes:
        if self._is_old and self._unanswered < LOST:
            return self._short
        self._is_old = False
        tried_enough = self._unanswered >= UNANSWERED and self._asked == self._full
        return self._short if tried_enough else self._full
