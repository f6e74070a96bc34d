"""What an application does to have work done: it sends Celery messages, and events by boto3.

Reads one JSON object a line and answers each with a line of JSON.

    {"send": "hold", "broker": URL, "args": ["gate"], "count": 2, "set": false, "options": {"queue": "video"}}
    {"put": [{"Source": ..., "DetailType": ..., "Detail": ...}], "endpoint": URL}

"set" appends a Python set to the arguments, which only the pickle serializer can carry. The options are those of
apply_async, and "protocol", the version of Celery's messages.
"""

import functools
import json
import sys

import boto3
from celery import Celery


@functools.cache
def app(broker, protocol):
    celery = Celery("producer", broker=broker)
    celery.conf.task_protocol = protocol
    return celery


@functools.cache
def events(endpoint):
    return boto3.client(
        "events",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def send(order):
    args = list(order["args"])
    if order.get("set"):
        args.append({"a", "b"})
    options = order["options"]
    celery = app(order["broker"], options.pop("protocol", 2))
    return [celery.send_task(order["send"], args=args, **options).id for _ in range(order["count"])]


def put(order):
    client = events(order["endpoint"])
    if not order["put"]:
        return []  # The client is made, which takes boto3 a while.
    answer = client.put_events(Entries=order["put"])
    return [entry.get("ErrorCode", "") for entry in answer["Entries"]]


for line in sys.stdin:
    order = json.loads(line)
    print(json.dumps(send(order) if "send" in order else put(order)), flush=True)
