"""The application of the conformance tests' workers.

A task holds its pool slot until the test ends it, through a Redis list of its own, so that no test depends on how long anything
takes. What it does it writes into the list "log". SLUICE_CELERY is the application's configuration as JSON; SLUICE_LOG is the
URL of the tests' own Redis, which is not the broker. SLUICE_POP is after how many seconds a pop ends that found nothing.
"""

import json
import os

import redis
from celery import Celery
from kombu.transport.redis import Channel, Transport

# There is an option, polling_interval, but it also puts worker and client to sleep where they would not.
Transport.brpop_timeout = int(os.environ["SLUICE_POP"])
if Channel._brpop_start.__defaults__ == (1,):  # Before kombu 5.5.
    Channel._brpop_start.__defaults__ = (Transport.brpop_timeout,)

app = Celery("app")
app.conf.update(json.loads(os.environ["SLUICE_CELERY"]))

# No time-outs: redis-py 8 gives up on a blocking pop after 5 seconds by itself.
own = redis.Redis.from_url(os.environ["SLUICE_LOG"], socket_timeout=None)


def _hold(label):
    own.rpush("log", "start " + label)
    own.blpop(["gate:" + label], 0)
    own.rpush("log", "end " + label)


@app.task(name="hold")
def hold(label, *rest):
    """Report the start, wait until the test lets it go, report the end."""
    _hold(label)


@app.task(name="hold_late", acks_late=True)
def hold_late(label, *rest):
    """Like hold, but acknowledged at its end."""
    _hold(label)


@app.task(name="seldom", rate_limit="1/h")
def seldom(label):
    """Like hold. A worker starts one of these an hour and keeps the others."""
    _hold(label)


@app.task(name="again", bind=True, max_retries=None)
def again(self, label, retries, countdown):
    """Like hold, but ends by sending itself again, so many times."""
    _hold(label)
    if self.request.retries < retries:
        raise self.retry(countdown=countdown)
