"""Says for each line {"pattern": ..., "event": ...} of standard input whether moto's matcher matches."""

import json
import sys

from moto.events.models import EventPattern

for line in sys.stdin:
    case = json.loads(line)
    pattern = EventPattern.load(json.dumps(case["pattern"]))
    print("1" if pattern.matches_event(case["event"]) else "0")
