"""The application that the tests' workers run.

A task holds its pool slot until the test lets it go through a Redis list, so that no test depends on how long anything
takes. SLUICE_CELERY is the application's configuration as JSON; SLUICE_REDIS is the URL of the tests' own keys, which have
no prefix and are in no way Celery's. "transport_object" in the configuration puts an object, which no serializer but pickle can
carry, into the transport options, as a credential provider would be; "batches" adds a task of celery-batches.
"""

import json
import os

import redis
from celery import Celery

conf = json.loads(os.environ["SLUICE_CELERY"])
if conf.pop("transport_object", False):
    conf.setdefault("broker_transport_options", {})["object"] = object()

batches = conf.pop("batches", False)

app = Celery("app")
app.conf.update(conf)

# No time-outs: redis-py 8 gives up on a blocking pop after 5 seconds by itself.
own = redis.Redis.from_url(os.environ["SLUICE_REDIS"], socket_timeout=None)


@app.task(name="hold")
def hold(gate, *rest):
    """Report the start, wait until the test lets one task through the gate, report the end."""
    own.incr("started:" + gate)
    own.blpop(["gate:" + gate], 0)
    own.incr("ended:" + gate)


@app.task(name="hold_late", acks_late=True)
def hold_late(gate, *rest):
    """Like hold, but acknowledged at its end."""
    hold(gate)


@app.task(name="quick")
def quick(gate, *rest):
    """Report that it ran."""
    own.incr("ended:" + gate)


@app.task(name="seldom", rate_limit="1/h")
def seldom(gate):
    """Report that it ran. A worker runs one of these an hour and keeps the others."""
    own.incr("ended:" + gate)


if batches:
    from celery_batches import Batches

    @app.task(name="batch", base=Batches, flush_every=2, flush_interval=600)
    def batch(requests):
        """Like hold, for two messages at once."""
        hold(requests[0].args[0])
