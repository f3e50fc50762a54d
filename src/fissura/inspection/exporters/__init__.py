"""The formats that an inspection is written in; each exporter is a context manager.

    with cracks_table(path) as add:
        for record in records:
            add(record)

Entering it opens a temporary file and gives `add(record)`, leaving it closes the file and gives it
its name, and an error inside it leaves whatever stood there before. So all exporters are fed in one
pass over the records, none of them keeps a record, and a new format is one function more.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from fissura.inspection.records.record import Record

Add = Callable[[Record], None]
Exporter = AbstractContextManager[Add]
