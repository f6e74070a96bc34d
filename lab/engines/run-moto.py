"""Runs every scenario on standard input through the Step Functions API of moto in its parser mode, and prints what happened.

Moto calls Lambda functions at http://localhost:$MOTO_PORT, so a small server there answers from the scenario's script.
The machine is not changed, but moto's time is: the pause before a retry takes no time, and where a function of the batch
is to hang, time-outs are shortened to ten seconds, which all of the batch that does not hang keeps on a busy machine. The
settle time is 0 in the scenarios themselves.
"""

import json
import logging
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import unquote

os.environ.pop("AWS_CA_BUNDLE", None)
os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="us-east-1")
logging.disable(logging.CRITICAL)

scenarios = json.load(sys.stdin)
by_arn = {arn: (s, function) for s in scenarios for arn, function in s["functions"].items()}
calls = [{} for _ in scenarios]
lock = threading.Lock()
released = threading.Event()


class Functions(BaseHTTPRequestHandler):
    """Lambda's Invoke, answered from the script."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        scenario, function = by_arn[unquote(self.path).split("/")[-2]]
        key = function + " " + json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"))
        with lock:
            count = calls[scenarios.index(scenario)]
            count[key] = nth = count.get(key, 0) + 1
        script = scenario["answers"].get(key, [])
        answer = script[nth - 1] if nth <= len(script) else {"fails": "Unscripted"}
        if answer.get("hangs"):
            released.wait()
        failed = answer.get("fails")
        payload = {"errorType": failed, "errorMessage": "scripted"} if failed else answer.get("returns")
        data = json.dumps(payload).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        if failed:
            self.send_header("X-Amz-Function-Error", "Unhandled")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


functions = Server(("127.0.0.1", 0), Functions)
threading.Thread(target=functions.serve_forever, daemon=True).start()
os.environ["MOTO_PORT"] = str(functions.server_port)

import boto3  # noqa: E402  (moto reads MOTO_PORT when it is imported)
import requests  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl  # noqa: E402
from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import TimeoutSeconds  # noqa: E402
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser  # noqa: E402

parse, parsing = AmazonStateLanguageParser.parse, threading.Lock()


def parse_alone(definition):
    """Moto parses in the thread of each execution, and its parser shares tables among threads: now and then one finds them half made."""
    with parsing:
        return parse(definition)


AmazonStateLanguageParser.parse = staticmethod(parse_alone)
retrier_decl.time = SimpleNamespace(sleep=lambda seconds: None)
moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
moto.start()
host, port = moto.get_host_and_port()
endpoint = f"http://{host}:{port}"
requests.post(endpoint + "/moto-api/config", json={"stepfunctions": {"execute_state_machine": True}}).raise_for_status()
client = boto3.client("stepfunctions", endpoint_url=endpoint)


def start(i, scenario):
    machine = client.create_state_machine(
        name=f"scenario-{i}", definition=json.dumps(scenario["definition"]), roleArn="arn:aws:iam::123456789012:role/test"
    )
    return client.start_execution(stateMachineArn=machine["stateMachineArn"], input=json.dumps(scenario["input"]))["executionArn"]


def end(execution):
    while (described := client.describe_execution(executionArn=execution))["status"] == "RUNNING":
        time.sleep(0.05)
    return described


def history(execution):
    pages = client.get_paginator("get_execution_history").paginate(
        executionArn=execution, PaginationConfig={"PageSize": 1000}
    )
    path, items, item_of = [], {}, {}
    for event in (e for page in pages for e in page["events"]):
        # Each event says which one it follows: so it belongs to the item of that one.
        item = item_of.get(event.get("previousEventId"))
        if event["type"] == "MapIterationStarted":
            item = event["mapIterationStartedEventDetails"]["index"]
        if event["type"].startswith("MapState"):  # MapStateSucceeded follows the last event of an item.
            item = None
        item_of[event["id"]] = item
        if name := event.get("stateEnteredEventDetails", {}).get("name"):
            (path if item is None else items.setdefault(item, [])).append(name)
    return path, [items[i] for i in sorted(items)]


def hangs(scenario):
    return any(a.get("hangs") for script in scenario["answers"].values() for a in script)


results = {}
for slow in (False, True):
    if slow:
        # A Map without one has a time-out that never comes.
        TimeoutSeconds._eval_seconds = lambda self, env: self.timeout_seconds if self.is_default_value() else 10
    batch = {i: start(i, s) for i, s in enumerate(scenarios) if hangs(s) == slow}
    for i, execution in batch.items():
        described = end(execution)
        path, items = history(execution)
        output = json.loads(described["output"]) if described.get("output") else None
        results[i] = dict(
            status=described["status"], output=output, error=described.get("error", ""),
            cause=described.get("cause", ""), path=path, items=items, calls=calls[i],
        )  # fmt: skip
released.set()
json.dump([results[i] for i in range(len(scenarios))], sys.stdout)
sys.stdout.flush()
os._exit(0)  # Moto leaves threads behind.
