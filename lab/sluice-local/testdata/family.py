"""A task with a family: it starts children that start children, some of which want to survive at any price."""

import os
import signal
import subprocess
import sys
import time

LEVELS = 3

level = int(sys.argv[1]) if len(sys.argv) > 1 else 0
signal.signal(signal.SIGHUP, signal.SIG_IGN)
if level:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
if level < LEVELS:
    # The second of each leaves its session, as a daemon does.
    for daemon in False, True:
        subprocess.Popen([sys.executable, __file__, str(level + 1)], start_new_session=daemon)
if level == 1:
    os._exit(0)  # Its children are orphans now.
time.sleep(3600)
