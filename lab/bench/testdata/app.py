"""The application of the benchmark's workers. As a program: send tasks, or ask the workers by Celery's own client.

    app.py hold|compute COUNT       sends so many tasks
    app.py inspect TIMES WORKERS    asks for the active tasks, and prints how many milliseconds each time took
"""

import json
import os
import sys
import time

import redis
from celery import Celery

url = os.environ["BENCH_REDIS"]
app = Celery("app", broker=url)
# Acknowledged late, a task that executes fills a place of the prefetch window: no worker fetches a task that it cannot start, and
# as many tasks as there are processes keep all of them busy.
app.conf.update(broker_connection_retry_on_startup=True, worker_prefetch_multiplier=1, task_acks_late=True)
# No time-outs: redis-py 8 gives up on a blocking pop after 5 seconds by itself.
own = redis.Redis.from_url(url, socket_timeout=None)


@app.task(name="hold")
def hold():
    """Keep a pool process busy, without the processor, until one task is let go."""
    own.blpop(["gate"], 0)


@app.task(name="compute")
def compute():
    """Keep a pool process busy, with the processor, until the worker is killed."""
    while True:
        sum(i * i for i in range(10_000))


def inspect(times, workers):
    took = []
    for _ in range(times):
        began = time.perf_counter()
        answers = app.control.inspect(timeout=1).active()
        took.append((time.perf_counter() - began) * 1e3)
        if len(answers or {}) != workers:
            sys.exit(f"{len(answers or {})} of {workers} workers answered")
    print(json.dumps(took))


if __name__ == "__main__":
    if sys.argv[1] == "inspect":
        inspect(int(sys.argv[2]), int(sys.argv[3]))
    else:
        for _ in range(int(sys.argv[2])):
            app.send_task(sys.argv[1])
