"""Sends tasks for the tests: reads one JSON object a line, and answers each with the ids, on a line.

    {"task": "hold", "args": ["gate"], "count": 3, "set": false, "options": {"queue": "video", "priority": 5}}

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
    ids = [
        app.send_task(order["task"], args=args, **order.get("options", {})).id
        for _ in range(order.get("count", 1))
    ]
    print(json.dumps(ids), flush=True)
