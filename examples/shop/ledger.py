"""What really happened, told by the processes in which it happened.

The API writes a row for each task that it accepted; a task writes one when it starts and one when it has ended. Whoever
reads the list afterwards can count what was lost (accepted, never ended), doubled (started or ended twice) or killed
(started, never ended) from facts, without believing anybody's counters.
"""

import json
import os
import time

import redis

URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
KEY = os.environ.get("SHOP_LEDGER", "shop:ledger")  # A Redis list; one JSON object a row, oldest first.

store = redis.Redis.from_url(URL)


def record(*rows: dict) -> None:
    """Append rows. RPUSH is atomic, so rows of different processes never mix."""
    now = time.time()
    store.rpush(KEY, *(json.dumps({**row, "at": now}) for row in rows))


def rows() -> list[dict]:
    """All rows so far, oldest first."""
    return [json.loads(row) for row in store.lrange(KEY, 0, -1)]
