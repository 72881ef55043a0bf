"""FastAPI in front of Celery on Redis, as both document it: started by bench/side-by-side.ts.

uvicorn celery_service:app, and for its one worker: celery --app celery_service:tasks worker --pool solo.
Settings: RIVAL_URL (Redis), RIVAL_WORK_SECONDS and RIVAL_STORE_SECONDS of a job of the queue `work`.
"""

import json
import os
import time

import redis
from celery import Celery
from fastapi import FastAPI
from pydantic import BaseModel, Field

URL = os.environ["RIVAL_URL"]
tasks = Celery("rival", broker=URL)
tasks.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    task_routes={name: {"queue": name} for name in ("accept", "start", "work")},
)
told = redis.Redis.from_url(URL)


class Video(BaseModel):
    prompt: str = Field(min_length=1, max_length=4000)
    num_frames: int | None = Field(default=None, gt=0)
    num_steps: int | None = Field(default=None, gt=0)


@tasks.task(name="accept")
def accept(video):
    """Never worked off."""


@tasks.task(name="start")
def start(video):
    told.rpush("told", json.dumps({"began": time.time()}))


@tasks.task(name="work")
def work(video):
    began = time.time()
    time.sleep(float(os.environ["RIVAL_WORK_SECONDS"]))
    ended = time.time()
    time.sleep(float(os.environ["RIVAL_STORE_SECONDS"]))
    told.rpush("told", json.dumps({"began": began, "ended": ended}))


app = FastAPI()


# Not async: sending to the broker blocks, so FastAPI runs it in its pool of threads.
@app.post("/{purpose}")
def submit(purpose: str, video: Video):
    fields = video.model_dump()
    sent = tasks.tasks[purpose].delay(fields)
    return {"id": sent.id, "object": "video", "status": "queued", **fields}


@app.get("/health")
def health():
    return {"status": "ok"}
