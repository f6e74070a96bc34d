"""Sends tasks for the tests: reads one JSON object a line, and answers each with a line when its task is in its queue.

    {"task": "hold", "args": ["a"], "set": false, "options": {"queue": "video", "priority": 5, "countdown": 3600}}

"set" appends a Python set to the arguments, which only the pickle serializer can carry.
"""

import json
import sys

from app import app

for line in sys.stdin:
    order = json.loads(line)
    args = list(order["args"])
    if order.get("set"):
        args.append({"a", "b"})
    app.send_task(order["task"], args=args, **order.get("options", {}))
    print("sent", flush=True)
