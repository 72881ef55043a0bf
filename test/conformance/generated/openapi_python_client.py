"""Used with what openapi-python-client makes of /openapi.json: create, list, read, download."""

import json
import os
import sys
from io import BytesIO

from sluice import AuthenticatedClient
from sluice.api.videos import create_video, list_videos, retrieve_video, video_content
from sluice.models import CreateVideoFilesBody, CreateVideoFilesBodyMetadata, Error, Video, VideoRequest
from sluice.models import VideoRequestMetadata
from sluice.types import File

client = AuthenticatedClient(base_url=os.environ["BASE_URL"], token=os.environ["KEY"])


def submit(image: str) -> None:
    metadata = VideoRequestMetadata.from_dict({"shot": "12"})
    request = VideoRequest(prompt="a paper boat", num_frames=5, metadata=metadata)
    made = create_video.sync(client=client, body=request)
    assert isinstance(made, Video), made
    with open(image, "rb") as file:
        form = CreateVideoFilesBody(
            prompt="a kite",
            num_frames=5,
            refine_prompt=False,
            metadata=CreateVideoFilesBodyMetadata.from_dict({"shot": "13"}),
            input_reference=File(payload=BytesIO(file.read()), file_name="image.png", mime_type="image/png"),
        )
    with_image = create_video.sync(client=client, body=form)
    assert isinstance(with_image, Video), with_image
    page = list_videos.sync(client=client, limit=2)
    one = retrieve_video.sync(client=client, id=made.id)
    none = retrieve_video.sync(client=client, id="nothing")
    assert isinstance(none, Error)
    said = {
        "made": made.id,
        "with_image": [with_image.mode, with_image.metadata.to_dict()],
        "listed": [video.id for video in page.data],
        "read": [one.status.value, one.created_at, one.error, one.metadata.to_dict()],
        "refused": none.error.code,
    }
    print(json.dumps(said))


def download(video: str) -> None:
    file = video_content.sync(client=client, id=video)
    part = video_content.sync_detailed(client=client, id=video, range_="bytes=0-2")
    print(json.dumps([file.payload.read().decode(), part.status_code, part.parsed.payload.read().decode()]))


{"submit": submit, "download": download}[sys.argv[1]](sys.argv[2])
