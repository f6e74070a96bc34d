"""The shop's tasks: what Celery workers do.

Both compute something that anybody can compute again and compare. Messages are acknowledged early, which is Celery's
default: a worker that is killed loses the task that it was executing. So the shop depends on nobody doing that.
"""

import functools
import hashlib
import os
import time

from celery import Celery

import ledger

app = Celery("shop", broker=ledger.URL, backend=ledger.URL)
app.conf.update(
    task_routes={"shop.confirm": {"queue": "orders"}, "shop.report": {"queue": "reports"}},
    # One message in hand per process: a short task shall not wait behind a long one while another worker is free.
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    result_expires=3600,
)

EXPRESS, ORDINARY = 0, 6  # On Redis, 0 is the highest priority.


def recorded(work):
    """Write in the ledger when a task starts and when it has ended, with the worker that ran it."""

    @functools.wraps(work)
    def run(task, *args, **kwargs):
        row = {"task": task.request.id, "kind": task.name, "node": task.request.hostname, "pid": os.getpid()}
        ledger.record({**row, "event": "started"})
        result = work(*args, **kwargs)
        ledger.record({**row, "event": "ended", "result": result})
        return result

    return run


def chain(seed: str, rounds: int) -> str:
    """A chain of hashes: the next one needs the one before, so nobody can skip the work."""
    link = seed.encode()
    for _ in range(rounds):
        link = hashlib.sha256(link).digest()
    return link.hex()


@app.task(name="shop.confirm", bind=True)
@recorded
def confirm(number: int, lines: list[list[int]], rounds: int) -> dict:
    """Price an order and sign its receipt. lines are pairs of quantity and unit price in cents."""
    net = sum(quantity * cents for quantity, cents in lines)
    tax = (net * 19 + 50) // 100
    return {"number": number, "total": net + tax, "receipt": chain(f"{number}:{net + tax}", rounds)}


@app.task(name="shop.report", bind=True)
@recorded
def report(number: int, days: int, seconds_per_day: float) -> dict:
    """Sum up some days of turnover, waiting for a slow warehouse for each of them."""
    turnover, digest = 0, str(number)
    for day in range(days):
        time.sleep(seconds_per_day)
        digest = chain(f"{digest}:{day}", 200)
        turnover += int(digest[:6], 16) % 100_000
    return {"number": number, "turnover": turnover, "digest": digest}
