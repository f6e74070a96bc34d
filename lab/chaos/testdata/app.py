"""The application whose workers the chaos runs: tasks that take a while, and a ledger of what becomes of them.

A message is told apart by the id of its task and by how often that has been retried. The main process of a worker writes when
a message reaches it, the pool when a task starts and when it has ended.
"""

import functools
import json
import os
import time

import redis
from celery import Celery, signals
from celery.worker.control import Panel
from kombu.transport.redis import QoS

from ledger import record

URL = os.environ["REDIS_URL"]

app = Celery("app", broker=URL)
app.conf.update(broker_connection_retry_on_startup=True, task_ignore_result=True, broker_connection_max_retries=None)
app.conf.update(json.loads(os.environ.get("CHAOS_SETTINGS", "{}")))

# A worker gives back what others have held for too long each 100 s. No round lasts so long: here it is each 10 s, or each 5 s
# where the transport has an option for it. The lock for that, which a killed worker leaves behind, lasts five minutes.
QoS.restore_visible = functools.partialmethod(QoS.restore_visible, interval=1)
app.conf.broker_transport_options = {
    **app.conf.broker_transport_options,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "unacked_mutex_expire": 5,
}


def about(task) -> dict:
    return {"task": task.request.id, "attempt": task.request.retries, "pid": os.getpid()}


@app.task(name="work", bind=True, max_retries=None)
def work(task, seconds, retries=0):
    """Take some time, and so many further attempts."""
    record("started", **about(task))
    time.sleep(seconds)
    if task.request.retries < retries:
        record("retrying", **about(task), due=time.time() + 2)
        raise task.retry(countdown=2)
    record("ended", **about(task))


@app.task(name="limited", bind=True, rate_limit="30/m")
def limited(task, seconds):
    """Take some time, two seconds after the one before it: a worker holds the next one meanwhile."""
    record("started", **about(task))
    time.sleep(seconds)
    record("ended", **about(task))


@signals.task_received.connect
def received(request, **_):
    record(
        "received",
        task=request.id,
        attempt=request.request_dict["retries"],
        redelivered=bool(request.delivery_info.get("redelivered")),
        tag=str(request.message.delivery_tag),
    )


@signals.task_failure.connect
def failed(task_id, exception, **_):
    record("failed", task=task_id, error=repr(exception)[:200])


@signals.worker_ready.connect
def ready(**_):
    record("ready")


@signals.worker_shutting_down.connect
def stopping(sig, **_):
    record("stopping", error=str(sig))


def obeyed(name, handler):
    """Write down when the worker is told to fetch no more, or to fetch again."""

    @functools.wraps(handler)
    def handle(state, **arguments):
        record(name)
        return handler(state, **arguments)

    return handle


for command in ("cancel_consumer", "add_consumer"):
    Panel.data[command] = obeyed(command, Panel.data[command])


if os.environ.get("CHAOS_COUNTER"):
    # What a hand-made scaler goes by: the number of tasks that execute, which the application keeps.
    counter = redis.Redis.from_url(URL)

    @signals.task_prerun.connect
    def count_up(**_):
        counter.incr("celery:active_tasks")

    @signals.task_postrun.connect
    def count_down(**_):
        counter.decr("celery:active_tasks")
