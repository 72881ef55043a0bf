"""Drives the unmodified openai package: python openai_videos.py SCENARIO [ARGUMENT...].

Says one JSON value a line on stdout. OPENAI_BASE_URL and OPENAI_API_KEY are read by the package itself.
"""

import json
import sys
import time
import warnings

import openai
from openai import DefaultHttpx2Client, OpenAI

warnings.simplefilter("ignore", DeprecationWarning)


def say(value):
    print(json.dumps(value), flush=True)


def shown(video):
    return json.loads(video.model_dump_json())


def create_and_poll():
    """Says each answer as it comes, and goes on after the created video once a line came on stdin."""

    def on_response(response):
        if response.request.method == "POST":
            response.read()
            say({"created": response.json()["id"]})
            sys.stdin.readline()
        else:
            say({"polled_at": time.monotonic(), "poll_after_ms": response.headers.get("openai-poll-after-ms")})

    client = OpenAI(http_client=DefaultHttpx2Client(event_hooks={"response": [on_response]}))
    video = client.videos.create_and_poll(prompt="a paper boat", model="sora-2", seconds="4", size="1280x720")
    say({"video": shown(video)})


def download(video_id):
    client = OpenAI()
    for variant in ("video", "thumbnail", "spritesheet"):
        say(client.videos.download_content(video_id, variant=variant).read().decode())
    say(client.videos.download_content(video_id).read().decode())


def pages(count):
    """Submits, walks all pages, deletes while walking them again."""
    client = OpenAI()
    made = []
    for _ in range(int(count)):
        made.append(client.videos.create(prompt="a paper boat", extra_body={"num_frames": 5, "num_steps": 10}).id)
    say(made)
    say([video.id for video in client.videos.list(limit=3, order="asc")])
    say([client.videos.delete(video.id).id for video in client.videos.list(limit=3)])
    say([video.id for video in client.videos.list()])


def errors():
    client = OpenAI()
    unknown = OpenAI(api_key="sk-unknown")
    for call in (
        lambda: client.videos.create(prompt="a", size="1x1"),
        lambda: unknown.videos.create(prompt="a"),
        lambda: client.videos.retrieve("video_none"),
        lambda: client.videos.create_character(name="x", video=b"x"),
    ):
        try:
            call()
            say(None)
        except openai.APIStatusError as error:
            say({"class": type(error).__name__, "status": error.status_code, "code": error.code, "param": error.param, "request_id": error.request_id})


def image(path):
    with open(path, "rb") as file:
        say(shown(OpenAI().videos.create(prompt="a boat", input_reference=file, extra_body={"num_frames": 5, "i2v_condition": "tail"})))


def extras():
    fields = {"num_frames": 5, "num_steps": 10, "seed": 42, "guidance": 6.5, "metadata": {"shot": "12"}, "max_cost": "0.01"}
    client = OpenAI()
    video = client.videos.create(prompt="a", extra_body=fields)
    say(shown(video))
    remix = client.videos.remix(video.id, prompt="b")
    say(shown(remix))
    say([model.id for model in client.models.list()])


SCENARIOS = {"create-and-poll": create_and_poll, "download": download, "pages": pages, "errors": errors, "image": image, "extras": extras}
SCENARIOS[sys.argv[1]](*sys.argv[2:])
