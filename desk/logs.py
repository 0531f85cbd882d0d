"""What the processes say of their work: one line an event on standard error, of our modules and of libraries.

Rule 1: no line carries what a message carries; tracebacks come without the values of variables.
Rule 2: an event is one line whatever stands in it; in JSON its name is what the code says before it fills in
values, and never changes with them.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from desk.settings import Log

_EXTRAS: Final = structlog.stdlib.ExtraAdder()
"""What a call of the standard library gives as `extra`."""
_TIME: Final = structlog.processors.TimeStamper(fmt="iso", utc=True, key="at")


def log_to_stderr(log: Log, *, verbose: bool = False) -> None:
    """Send what every logger says to standard error, as the settings want it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(log, terminal=sys.stderr.isatty()))
    level = logging.getLevelNamesMapping()[log.level.upper()]
    level = min(level, logging.INFO) if verbose else level
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # it speaks at every look at the ledger's version
    logging.getLogger("alembic").setLevel(max(level, logging.WARNING) if level > logging.DEBUG else level)


def formatter(log: Log, *, terminal: bool) -> logging.Formatter:
    """Makes a line of a record: JSON, for a terminal, or plain."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            _EXTRAS,
            _without_colour,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
        ],
        processors=_json() if log.format == "json" else _coloured() if terminal else _plain(),
    )


def _json() -> Sequence[Processor]:
    return [
        _named,
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        _TIME,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(serializer=partial(json.dumps, ensure_ascii=False)),
    ]


def _coloured() -> Sequence[Processor]:
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        _on_one_line,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
        structlog.dev.ConsoleRenderer(pad_event_to=0, exception_formatter=structlog.dev.plain_traceback),
    ]


def _plain() -> Sequence[Processor]:
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        _on_one_line,
        _line,
    ]


def _named(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The event under its name, and the whole sentence beside it."""
    record: logging.LogRecord = event["_record"]
    event["message"], event["event"] = event["event"], str(record.msg)
    return event


def _on_one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Line ends and escape codes, which somebody else may have written, made visible."""
    return {
        key: _visible(value) if isinstance(value, str) and key != "exception" else value
        for key, value in event.items()
    }


def _without_colour(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Uvicorn says its sentences twice, the second time with colours."""
    event.pop("color_message", None)
    return event


def _visible(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Level, sentence, then what was said beside it as key=value, then a traceback."""
    level, sentence = event.pop("level").upper(), event.pop("event")
    event.pop("logger", None)
    traceback = event.pop("exception", "")
    beside = "".join(f" {key}={value}" for key, value in event.items())
    return f"{level} {sentence}{beside}" + (f"\n{traceback}" if traceback else "")
