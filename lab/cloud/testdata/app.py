"""A Celery application for the tests: it writes what it has done into Redis."""

import os

from celery import Celery

app = Celery("app", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])


@app.task
def add(a, b):
    return a + b
