"""What an application does to have work done: it sends Celery messages.

Reads one JSON object a line, {"task": id, "name": "work", "args": [...], "countdown": 3, "priority": 6}, sends it to the queue
"work", and writes into the ledger what came of it. "unsure" is a message that may or may not have been sent: its sender would
send another one, so nobody waits for it.
"""

import json
import os
import sys
import time

from celery import Celery

from ledger import record

app = Celery("producer", broker=os.environ["REDIS_URL"])
app.conf.broker_transport_options = {"socket_timeout": 3, "socket_connect_timeout": 3}

for line in sys.stdin:
    order = json.loads(line)
    task, options = order["task"], {k: order[k] for k in ("countdown", "priority") if order.get(k)}
    record("sending", task=task, due=time.time() + order["countdown"] if order.get("countdown") else 0)
    try:
        app.send_task(order["name"], args=order["args"], task_id=task, queue="work", retry=False, **options)
        record("sent", task=task)
    except Exception as error:
        record("unsure", task=task, error=repr(error)[:200])
