"""Drives the unmodified openai and standardwebhooks packages: python openai_videos.py SCENARIO [ARGUMENT...].

Says one JSON value a line on stdout. OPENAI_BASE_URL and OPENAI_API_KEY are read by the package itself.
"""

import json
import sys
import time
import warnings

import openai
from openai import DefaultHttpx2Client, OpenAI
from standardwebhooks import Webhook, WebhookVerificationError

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
            poll_after_ms = response.headers.get("openai-poll-after-ms")
            say({"polled_at": time.monotonic(), "poll_after_ms": poll_after_ms})

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
        fields = {"num_frames": 5, "num_steps": 10}
        made.append(client.videos.create(prompt="a paper boat", extra_body=fields).id)
    say(made)
    say([video.id for video in client.videos.list(limit=3, order="asc")])
    say([client.videos.delete(video.id).id for video in client.videos.list(limit=3)])
    say([video.id for video in client.videos.list()])


def refusal(call):
    try:
        return {"answer": str(call())}
    except openai.APIStatusError as error:
        return {
            "class": type(error).__name__,
            "status": error.status_code,
            "code": error.code,
            "param": error.param,
            "request_id": error.request_id,
        }


def errors():
    """Reads cases (see error-cases.ts), one a line, and says of each what was raised."""
    for line in sys.stdin:
        case = json.loads(line)
        options = {} if case.get("retries") is None else {"max_retries": case["retries"]}
        client = OpenAI(api_key=case["key"], base_url=case["baseUrl"], **options)
        if case["call"] == "create":
            fields = {"num_frames": 5, "num_steps": 10, **case["fields"]}
            image = {}
            if case.get("imageBytes") is not None:
                image = {"input_reference": ("boat.png", bytes(case["imageBytes"]))}
            extra = {"extra_body": fields, "extra_headers": case.get("headers") or {}, **image}
            say(refusal(lambda: client.videos.create(prompt="another boat", **extra)))
        elif case["call"] == "remix":
            say(refusal(lambda: client.videos.remix(case["id"], prompt="at night")))
        else:
            name = {"downloadContent": "download_content"}.get(case["call"], case["call"])
            say(refusal(lambda: getattr(client.videos, name)(case["id"])))


def unsupported():
    client = OpenAI()
    video = ("x.mp4", b"x")
    say(refusal(lambda: client.videos.edit(prompt="x", video=video)))
    say(refusal(lambda: client.videos.extend(prompt="x", seconds="4", video=video)))
    say(refusal(lambda: client.videos.create_character(name="x", video=video)))
    say(refusal(lambda: client.videos.get_character("char_1")))


def retries():
    client = OpenAI()
    video = client.videos.create(prompt="a paper boat", extra_body={"num_frames": 5, "num_steps": 10})
    say(video.id)
    sys.stdin.readline()
    say(client.videos.remix(video.id, prompt="at night").id)
    sys.stdin.readline()
    say(client.videos.delete(video.id).deleted)


def deliveries():
    """Reads {raw, headers, secret}, one a line, and says what both libraries make of it."""
    client = OpenAI()
    for line in sys.stdin:
        case = json.loads(line)
        made = []
        for read in (
            lambda: json.loads(
                client.webhooks.unwrap(case["raw"], case["headers"], secret=case["secret"]).model_dump_json()
            ),
            lambda: Webhook(case["secret"]).verify(case["raw"], case["headers"]),
        ):
            try:
                made.append(read())
            except (openai.InvalidWebhookSignatureError, WebhookVerificationError) as error:
                made.append(type(error).__name__)
        say(made)


def endpoints(url):
    webhooks = OpenAI().webhooks
    say(webhooks.event_types.list().data)
    made = webhooks.create(url=url, name="the shop", event_types=["video.failed"])
    say(shown(made) | {"signing_secret": made.signing_secret})
    other = webhooks.create(url=url, name="another", event_types=["video.failed"])
    say([endpoint.id for endpoint in webhooks.list(limit=1)] == [other.id, made.id])
    say(shown(webhooks.update(made.id, name="the other shop", event_types=["video.completed"])))
    say(shown(webhooks.test(made.id, event_type="video.completed")))
    say(webhooks.rotate_secret(made.id).signing_secret != made.signing_secret)
    say(shown(webhooks.retrieve(made.id)))
    say([shown(webhooks.delete(endpoint.id)) for endpoint in webhooks.list()])


def image(path):
    with open(path, "rb") as file:
        fields = {"num_frames": 5, "i2v_condition": "tail"}
        say(shown(OpenAI().videos.create(prompt="a boat", input_reference=file, extra_body=fields)))


def extras():
    fields = {"num_frames": 5, "num_steps": 10, "seed": 42, "guidance": 6.5}
    fields |= {"metadata": {"shot": "12"}, "max_cost": "0.01"}
    client = OpenAI()
    video = client.videos.create(prompt="a", extra_body=fields)
    say(shown(video))
    remix = client.videos.remix(video.id, prompt="b")
    say(shown(remix))
    say([model.id for model in client.models.list()])
    say(client.models.retrieve("sora-2").id)


SCENARIOS = (
    create_and_poll,
    download,
    pages,
    errors,
    unsupported,
    retries,
    deliveries,
    endpoints,
    image,
    extras,
)
{scenario.__name__: scenario for scenario in SCENARIOS}[sys.argv[1].replace("-", "_")](*sys.argv[2:])
