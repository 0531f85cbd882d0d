"""Knows the words that are said of people again, however they are written.

Rule: accents are let go, whether they are part of a letter or stand behind it, and so is the case; a word of
two letters counts, as names of people may be that short.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

_WORD: Final = re.compile(r"\w{2,}")


def words_of(text: str) -> Iterator[str]:
    """The words of a text, to be compared with those of another."""
    if not text.isascii():
        apart = unicodedata.normalize("NFKD", text.casefold())
        text = "".join(one for one in apart if not unicodedata.combining(one)).replace("đ", "d")
    return (word.casefold() for word in _WORD.findall(text))
