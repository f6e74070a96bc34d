"""What really happened, told by the processes in which it happened.

Each row is one JSON object in a line of a file that nothing but these rows ever touches. A row is one write in append mode, so
rows of different processes never mix, and what was written stays written when its process is killed the moment after.
"""

import json
import os
import time

FILE = os.open(os.environ["CHAOS_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
HOST = os.environ.get("HOSTNAME", "")  # Of the ECS task; the names of nodes are not always unique.


def record(event: str, **row) -> None:
    os.write(FILE, json.dumps({"event": event, "at": time.time(), "host": HOST, **row}).encode() + b"\n")
