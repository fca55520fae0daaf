"""TensorBoard event files, written at once.

tensorboardX's own writer hands events to a thread through a bounded queue; once that
thread has met a full disk, the eleventh event waits for ever. Here a failed write
raises where it is made.
"""

from __future__ import annotations

import pathlib
import time
from collections.abc import Mapping

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary


class Events:
    """One event file of a run."""

    def __init__(self, folder: pathlib.Path, start: int):
        """A new file in `folder`; others' steps from `start` on are void."""
        folder.mkdir(parents=True, exist_ok=True)
        self._file = EventsWriter(str(folder / "events"))
        self.purge_step = start
        restarted = SessionLog(status=SessionLog.START)
        self._add(Event(step=start, session_log=restarted))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """All scalars of one step."""
        scalars = [Summary.Value(tag=k, simple_value=v) for k, v in values.items()]
        self._add(Event(step=step, summary=Summary(value=scalars)))

    def _add(self, event: Event) -> None:
        event.wall_time = time.time()
        self._file.write_event(event)
        self._file.flush()

    def close(self) -> None:
        self._file.close()
