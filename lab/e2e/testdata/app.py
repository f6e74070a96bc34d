"""The application whose workers the tests run.

Each task writes into a ledger when it starts and when it ends, so that the test can count what was lost or done twice
without believing anybody else's counters. A `hold` lasts until the test opens its gate, a Redis list, so that no test
depends on how long anything takes.
"""

import json
import os

import redis
from celery import Celery

URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")

conf = json.loads(os.environ.get("CELERY", "{}"))
batches = conf.pop("batches", False)

app = Celery("app", broker=URL)
app.conf.update(conf)

# No time-outs: redis-py gives up on a blocking pop after 5 seconds by itself.
own = redis.Redis.from_url(URL, socket_timeout=None)


def record(request, event):
    own.rpush("ledger", json.dumps({"task": request.id, "event": event}))


@app.task(name="hold", bind=True)
def hold(task, gate, *rest):
    """Hold a place in the pool until the test lets one task through the gate."""
    record(task.request, "started")
    own.blpop([gate], 0)
    record(task.request, "ended")


@app.task(name="quick", bind=True)
def quick(task, *rest):
    """Be done at once."""
    record(task.request, "started")
    record(task.request, "ended")


if batches:
    from celery_batches import Batches

    @app.task(name="batch", base=Batches, flush_every=2, flush_interval=600)
    def batch(requests):
        """Hold a place in the pool with two messages until the test opens their gate."""
        for request in requests:
            record(request, "started")
        own.blpop([requests[0].args[0]], 0)
        for request in requests:
            record(request, "ended")
