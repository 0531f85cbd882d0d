"""The outbox on disk against a model in memory: whatever is done to it, and however it is cut short."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from adapters.host import disk
from adapters.host.lanes import Held, Lane, Room, Unsent
from adapters.host.spool import Spool, open_spool
from tests.adapters.host.fakes import dice

ROOM = Room(max_bytes=40_000, tail_bytes=1_000, tail_hours=1.0, reserve_bytes=0)
LANES = st.sampled_from(list(Lane))
KINDS = {Lane.URGENT: "alarm", Lane.BULK: "usage"}


@dataclass
class LaneModel:
    """What a lane should hold."""

    name: str
    supersedes: str | None = None
    held_from: int = 1
    confirmed: int = 0
    sent: int = 0
    payloads: list[bytes] = field(default_factory=list)
    """From `held_from` on."""
    tails: list[tuple[str, int, list[bytes]]] = field(default_factory=list)
    """Superseded streams: name, first number held, payloads."""

    @property
    def assigned(self) -> int:
        """The highest number given."""
        return self.held_from + len(self.payloads) - 1

    @property
    def start(self) -> int:
        """The number before the first that is not confirmed."""
        return max(self.confirmed, self.held_from - 1)

    @property
    def unconfirmed(self) -> list[bytes]:
        """What may not be lost."""
        return self.payloads[self.start - self.held_from + 1 :]


class SpoolMachine(RuleBasedStateMachine):
    """Puts, sends, confirmations, new journals, other copies, other machines, pruning, kills."""

    def __init__(self) -> None:
        super().__init__()
        self.folders = [tempfile.mkdtemp()]
        self.count = 0
        self.epochs = 0
        self.machine = "m0"
        self.rng = dice(1)
        self.mono_ms = 0
        self.spool: Spool
        self.lanes: dict[Lane, LaneModel] = {}

    @property
    def path(self) -> Path:
        """The file now in use."""
        return Path(self.folders[-1]) / "outbox.sqlite"

    @property
    def database(self) -> sqlite3.Connection:
        """What the outbox rests on: faults are planted and truth is read there."""
        return self.spool._db  # noqa: SLF001 - below the surface on purpose

    def open(self) -> None:
        """Open it as a host that starts."""
        self.spool = open_spool(self.path, machine=self.machine, mono_ms=0, rng=self.rng, room=ROOM)
        self.mono_ms = 0
        self.database.execute("PRAGMA synchronous = OFF")  # files are copied, no power is cut: only speed

    @initialize()
    def first_start(self) -> None:
        """Names are its own choice; all else is known."""
        self.open()
        standing = self.spool.standing()
        self.lanes = {lane: LaneModel(standing[lane].stream) for lane in Lane}

    def teardown(self) -> None:
        """Leave nothing behind."""
        if hasattr(self, "spool"):
            self.spool.close()
        for folder in self.folders:
            shutil.rmtree(folder)

    def cut_short(self, work: Callable[[], object], after: int) -> bool:
        """Do it, or fail after some steps of the database; whether it was done.

        An interrupt ends the whole transaction by itself; a statement that is denied leaves it open.
        """
        steps = 0

        def fails_now() -> bool:
            nonlocal steps
            steps += 1
            return steps == after // 2 + 1

        if after % 2:
            self.database.set_progress_handler(lambda: int(fails_now()), 25)
        else:
            self.database.set_authorizer(lambda *_: sqlite3.SQLITE_DENY if fails_now() else sqlite3.SQLITE_OK)
        try:
            work()
        except sqlite3.DatabaseError as error:
            planted = {sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_AUTH}
            # a function that is denied is told as a plain error, by its words alone
            if error.sqlite_errorcode not in planted and "not authorized" not in str(error):
                raise
            return False
        finally:
            self.database.set_progress_handler(None, 0)
            self.database.set_authorizer(None)
        return True

    # -- what happens -------------------------------------------------------------------------------------

    @rule(lanes=st.lists(LANES, max_size=12), after=st.integers(0, 160))
    def put(self, lanes: list[Lane], after: int) -> None:
        """Two groups in one commit, each whole."""
        unsent = []
        for lane in lanes:
            self.count += 1
            unsent.append(Unsent("vent", KINDS[lane], b"%d" % self.count, "boot", self.count))
        fits: list[bool] = []
        done = self.cut_short(lambda: fits.extend(self.spool.put([unsent[:5], unsent[5:]])), after)
        if done and fits[0]:
            for lane, message in zip(lanes[:5], unsent[:5], strict=True):
                self.lanes[lane].payloads.append(message.payload)
        if done and fits[1]:
            for lane, message in zip(lanes[5:], unsent[5:], strict=True):
                self.lanes[lane].payloads.append(message.payload)

    @rule(lane=LANES, window=st.integers(1, 30), limit=st.integers(1, 10), back=st.integers(0, 20))
    def take(self, lane: Lane, window: int, limit: int, back: int) -> None:
        """In order, from the mark or a place, within the window."""
        model = self.lanes[lane]
        place = (model.name, max(0, model.sent - back))
        begin = max(model.start, place[1])
        end = min(begin + limit, model.start + window, model.assigned)
        taken = self.spool.take(lane, after=place, window=window, limit=limit)
        expected = [
            Held(
                model.name, seq, "vent", KINDS[lane], model.payloads[seq - model.held_from], False, "boot", 0
            )
            for seq in range(begin + 1, end + 1)
        ]
        assert [(m.stream, m.seq, m.payload) for m in taken] == [
            (m.stream, m.seq, m.payload) for m in expected
        ]
        model.sent = max(model.sent, end)

    @rule(share=st.floats(0, 1), minutes=st.integers(0, 90), after=st.integers(0, 160))
    def confirm(self, share: float, minutes: int, after: int) -> None:
        """Marks of the same journal only ever rise."""
        marks = {model.name: int(model.sent * share) for model in self.lanes.values()}
        mono_ms = self.mono_ms + minutes * 60_000
        epoch = f"e{self.epochs}"
        if self.cut_short(lambda: self.spool.confirm(epoch, marks, mono_ms=mono_ms), after):
            self.mono_ms = mono_ms
            for model in self.lanes.values():
                model.confirmed = max(model.confirmed, marks[model.name])

    @rule(share=st.floats(0, 1), of_tail=st.one_of(st.none(), st.floats(0, 1)), after=st.integers(0, 200))
    def another_journal(self, share: float, of_tail: float | None, after: int) -> None:
        """Marks of another epoch may fall; tails that it lacks come back."""
        marks = {model.name: int(model.sent * share) for model in self.lanes.values()}
        if of_tail is not None:
            for model in self.lanes.values():
                marks |= {n: first - 1 + int(len(held) * of_tail) for n, first, held in model.tails}
        self.spool.confirm(f"e{self.epochs}", {}, mono_ms=self.mono_ms)
        if not self.cut_short(lambda: self.spool.confirm("next", marks, mono_ms=self.mono_ms), after):
            return
        self.epochs += 1
        self.spool.confirm(f"e{self.epochs}", marks, mono_ms=self.mono_ms)
        for lane, model in self.lanes.items():
            mark = marks[model.name]
            model.confirmed = mark
            kept = []
            for name, first, held in model.tails:
                unknown = 0 if mark < model.held_from else first - 1 + len(held)
                lacking = max(marks.get(name, unknown), first - 1) - first + 1
                model.payloads += held[lacking:]
                if held[:lacking]:
                    kept.append((name, first, held[:lacking]))
            model.tails = kept
            assert self.spool.standing()[lane].stream == model.name

    @rule(lane=LANES, beyond=st.integers(1, 50), after=st.integers(0, 200))
    def another_copy_has_spoken(self, lane: Lane, beyond: int, after: int) -> None:
        """A mark beyond what was sent."""
        model = self.lanes[lane]
        marks = {model.name: model.sent + beyond}
        epoch = f"e{self.epochs}"
        if self.cut_short(lambda: self.spool.confirm(epoch, marks, mono_ms=self.mono_ms), after):
            self.supersede(lane)

    def supersede(self, lane: Lane) -> None:
        """A new stream takes over all that is not confirmed, from 1."""
        model, standing = self.lanes[lane], self.spool.standing()[lane]
        assert standing.stream != model.name
        tail = model.payloads[: model.start - model.held_from + 1]
        tails = [*model.tails, (model.name, model.held_from, tail)] if tail else model.tails
        supersedes = model.name if model.sent else model.supersedes
        self.lanes[lane] = LaneModel(
            standing.stream, supersedes, payloads=list(model.unconfirmed), tails=tails
        )

    @rule()
    def prune(self) -> None:
        """Takes the oldest of the confirmed tail only, down to its bound."""
        before = {lane: list(model.unconfirmed) for lane, model in self.lanes.items()}
        while self.spool.prune():
            pass
        for lane, standing in self.spool.standing().items():
            model = self.lanes[lane]
            assert model.held_from <= standing.held_from <= model.start + 1
            model.payloads = model.payloads[standing.held_from - model.held_from :]
            model.held_from = standing.held_from
            assert model.unconfirmed == before[lane]
            held = dict(self.stored(lane))
            model.tails = [
                (name, first + len(payloads) - len(held[name]), held[name])
                for name, first, payloads in model.tails
                if name in held and payloads[len(payloads) - len(held[name]) :] == held[name]
            ]
        (size,) = self.database.execute("SELECT sum(tail_bytes) FROM stream").fetchone()
        assert size <= ROOM.tail_bytes

    @rule()
    def kill(self) -> None:
        """What is on disk at this moment is all that is left; the file is opened again."""
        left, self.folders = self.path.parent, [*self.folders, tempfile.mkdtemp()]
        for file in left.iterdir():
            if not file.name.endswith("-shm"):
                shutil.copy(file, self.folders[-1])
        self.spool.close()
        self.open()

    @precondition(lambda self: self.count < 150)
    @rule()
    def start_on_another_machine(self) -> None:
        """Both lanes begin new streams."""
        self.machine += "x"
        self.kill()
        for lane in Lane:
            self.supersede(lane)

    # -- what must hold -----------------------------------------------------------------------------------

    def stored(self, lane: Lane) -> list[tuple[str, list[bytes]]]:
        """Payloads on disk by stream, without holes between their numbers."""
        found: dict[str, list[tuple[int, bytes]]] = {}
        for name, seq, payload in self.database.execute(
            "SELECT name, seq, payload FROM message JOIN stream ON stream.id = message.stream"
            " WHERE lane = ? ORDER BY stream.id, seq",
            (lane,),
        ):
            found.setdefault(name, []).append((seq, payload))
        for numbered in found.values():
            assert [seq for seq, _ in numbered] == list(range(numbered[0][0], numbered[-1][0] + 1))
        return [(name, [payload for _, payload in numbered]) for name, numbered in found.items()]

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        """Nothing unconfirmed is ever gone; no number is missing."""
        if not self.lanes:
            return
        for lane, standing in self.spool.standing().items():
            model = self.lanes[lane]
            held = [(name, payloads) for name, _, payloads in model.tails]
            if model.payloads:
                held.append((model.name, model.payloads))
            assert self.stored(lane) == held
            assert standing.stream == model.name
            assert standing.supersedes == model.supersedes
            assert (standing.held_from, standing.confirmed) == (model.held_from, model.confirmed)
            assert (standing.sent, standing.assigned) == (model.sent, model.assigned)
            assert standing.unconfirmed == len(model.unconfirmed)

    @invariant()
    def bytes_are_counted_right(self) -> None:
        """Bounds rest on these figures."""
        if not self.lanes:
            return
        rows = self.database.execute(
            "SELECT pending_bytes, (SELECT coalesce(sum(size), 0) FROM message m"
            " WHERE m.stream = s.id AND seq > confirmed),"
            " tail_bytes, (SELECT coalesce(sum(size), 0) FROM message m WHERE m.stream = s.id AND"
            " (seq <= confirmed)) FROM stream s"
        )
        for pending, counted_pending, tail, counted_tail in rows:
            assert (pending, tail) == (counted_pending, counted_tail)


SpoolMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
TestSpool = SpoolMachine.TestCase


def test_free_space_is_that_of_the_disk(tmp_path: Path) -> None:
    assert 0 < disk.free_bytes(tmp_path / "outbox.sqlite") <= shutil.disk_usage(tmp_path).total
