"""Records the control messages that kombu publishes, for the golden test of the encoder.

    python -m venv V && V/bin/pip install -r compat/requirements-5.2.txt
    redis-server --port 7399 --save "" &
    V/bin/python record_frames.py redis://127.0.0.1:7399/0

It writes frames-kombu-VERSION.json beside itself: one entry for each command, with the channel, the message as published,
and the member that was in the reply bindings at that moment.
"""

import json
import pathlib
import sys

import celery
import kombu
import redis

COMMANDS = [
    ("ping", {}, None),
    ("active_queues", {}, None),
    ("active", {"safe": True}, None),
    ("registered", {"taskinfoitems": ["rate_limit"], "builtins": True}, ["w1@host", "w2@host"]),
    ("registered", {"taskinfoitems": ["Strategy"], "builtins": True}, ["w1@host", "w2@host"]),
    ("cancel_consumer", {"queue": "video"}, ["w1@host", "w2@host"]),
    ("add_consumer", {"queue": "video"}, ["w1@host"]),
]


def record(url):
    app = celery.Celery("recorder", broker=url)
    client = redis.Redis.from_url(url)
    listener = client.pubsub()
    listener.psubscribe("*")
    listener.get_message(timeout=5)
    frames = []
    for method, arguments, nodes in COMMANDS:
        # A reply is asked for, and nobody is there to give it.
        app.control.broadcast(method, arguments=arguments, destination=nodes, reply=True, timeout=0.1)
        message = listener.get_message(timeout=5)
        frames.append({
            "method": method,
            "arguments": arguments,
            "destination": nodes,
            "channel": message["channel"].decode(),
            "message": json.loads(message["data"]),
        })
    return {"celery": celery.__version__, "kombu": kombu.__version__, "frames": frames}


if __name__ == "__main__":
    recorded = record(sys.argv[1])
    path = pathlib.Path(__file__).with_name(f"frames-kombu-{recorded['kombu']}.json")
    path.write_text(json.dumps(recorded, indent=1) + "\n")
    print(path)
