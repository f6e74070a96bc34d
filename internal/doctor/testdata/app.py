"""The application whose workers the tests plant faults in.

CELERY holds settings as JSON; "batches" among them adds a task of celery-batches. ANNOUNCE has a worker say in its heartbeats that it is another version of Celery. A `hold` lasts until
somebody opens its gate, a Redis list.
"""

import json
import os

import redis
from celery import Celery
from celery.worker import state

URL = os.environ.get("WORKER_REDIS") or os.environ["REDIS_URL"]

conf = json.loads(os.environ.get("CELERY", "{}"))
batches = conf.pop("batches", False)

app = Celery("app", broker=URL)
app.conf.update(conf)
if "ANNOUNCE" in os.environ:
    state.SOFTWARE_INFO["sw_ver"] = os.environ["ANNOUNCE"]

own = redis.Redis.from_url(URL, socket_timeout=None)


@app.task(name="hold")
def hold(gate, *rest):
    own.incr("began")
    own.blpop([gate], 0)


if batches:
    from celery_batches import Batches

    @app.task(name="batch", base=Batches, flush_every=2, flush_interval=600)
    def batch(requests):
        own.incr("began")
