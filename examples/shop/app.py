"""The shop's API: takes orders, hands the work to Celery, and says on EventBridge that there is work."""

import json
import logging
import os
from datetime import datetime, timezone

import boto3
from fastapi import FastAPI, Request
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from pydantic import BaseModel, Field

import ledger
import tasks

log = logging.getLogger("uvicorn.error")
events = boto3.client("events")
api = FastAPI(title="shop")
# The names that it is asked by. On a laptop its address alone: no web page with a name of its own for 127.0.0.1 gets in.
api.add_middleware(TrustedHostMiddleware, allowed_hosts=os.environ.get("SHOP_HOSTS", "*").split(","))


class Order(BaseModel):
    number: int
    lines: list[tuple[int, int]] = Field(max_length=100)  # Pairs of quantity and unit price in cents.
    rounds: int = Field(default=20_000, ge=1, le=1_000_000)
    express: bool = False


class Report(BaseModel):
    number: int
    days: int = Field(ge=1, le=366)
    seconds_per_day: float = Field(default=1.0, ge=0, le=60)


def ask_for_workers(request: Request) -> None:
    """Say that there is work, at most once a second for all processes of this API together.

    One event is enough for a burst: it brings up workers, and these take whatever has come meanwhile. The messages are
    enqueued before the event is sent, so who answers it can count them. No order fails for want of an event: the next
    sweep finds the work by itself.
    """
    if not ledger.store.set("shop:asked", 1, nx=True, px=1000):
        return
    # The rest of the detail is for those who look on: how long it takes, and the caller's trace, where he has one. An API that makes
    # spans itself has TraceContextTextMapPropagator().inject(detail) of opentelemetry-api instead.
    detail = {"scale_to": 1, "sent_at": datetime.now(timezone.utc).isoformat()}
    if parent := request.headers.get("traceparent"):
        detail["traceparent"] = parent
    try:
        answer = events.put_events(
            Entries=[
                {
                    "Source": "custom.celery.monitor",
                    "DetailType": "celery.task.queue_full",
                    "Detail": json.dumps(detail),
                }
            ]
        )
        if answer["FailedEntryCount"]:
            raise RuntimeError(answer["Entries"][0])
    except Exception:
        ledger.store.delete("shop:asked")
        log.exception("ask for workers")


def accept(signature, **options) -> dict:
    task = signature.apply_async(**options)
    ledger.record({"task": task.id, "kind": signature.task, "event": "accepted"})
    return {"task": task.id}


@api.post("/orders", status_code=202)
def post_orders(orders: list[Order], request: Request) -> list[dict]:
    accepted = [
        accept(
            tasks.confirm.s(order.number, order.lines, order.rounds),
            priority=tasks.EXPRESS if order.express else tasks.ORDINARY,
        )
        for order in orders
    ]
    ask_for_workers(request)
    return accepted


@api.post("/reports", status_code=202)
def post_reports(reports: list[Report], request: Request) -> list[dict]:
    accepted = [
        accept(tasks.report.s(report.number, report.days, report.seconds_per_day), priority=tasks.ORDINARY)
        for report in reports
    ]
    ask_for_workers(request)
    return accepted


@api.get("/results")
def get_results() -> dict:
    """The result of each task that has ended well, by the task's id, as Celery's result backend has it."""
    accepted = [row["task"] for row in ledger.rows() if row["event"] == "accepted"]
    results = {task: tasks.app.AsyncResult(task) for task in accepted}
    return {task: result.result for task, result in results.items() if result.successful()}


@api.get("/health")
def get_health() -> dict:
    return {"ok": True}
