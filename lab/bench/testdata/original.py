"""What Sluice replaces, written anew for the benchmark: one function that sets the count which the event asks for, and one
that reads the queue and a counter that the application keeps. @HANDLER@ says which. The loop at the end is the least
that a Python runtime of Lambda can be; AWS's own does more.
"""

import json
import os
import urllib.request

import boto3

ecs = boto3.client("ecs")
cluster, service = os.environ["CLUSTER"], os.environ["SERVICE"]


def scale_out(event):
    count = event["detail"]["scale_to"]
    ecs.update_service(cluster=cluster, service=service, desiredCount=count)
    return {"status": "scaled", "desired_count": count}


def check(event):
    import redis

    broker = redis.Redis.from_url(os.environ["REDIS_URL"])
    waiting = broker.llen("queue-0")
    active = int(broker.get("celery:active_tasks") or 0)
    desired = ecs.describe_services(cluster=cluster, services=[service])["services"][0]["desiredCount"]
    return {
        "should_scale_in": waiting == 0 and active == 0 and desired > 0,
        "queue_len": waiting,
        "active_tasks": active,
        "desired_count": desired,
        "error": None,
    }


api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(api + "next") as answer:
        request, event = answer.headers["Lambda-Runtime-Aws-Request-Id"], json.load(answer)
    body = json.dumps(@HANDLER@(event)).encode()
    urllib.request.urlopen(urllib.request.Request(api + request + "/response", data=body)).close()
