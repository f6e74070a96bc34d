"""The smallest Celery application: one task that says that it runs, and takes its time."""

import os
import time

from celery import Celery

app = Celery("app", broker=os.environ["BROKER"])


@app.task
def nap(seconds):
    print("nap begins", flush=True)
    time.sleep(seconds)
    print("nap ends", flush=True)
