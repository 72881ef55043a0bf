"""Nothing is fetched while a runner runs: weights come from the operator's folders alone."""

from __future__ import annotations

from typing import MutableMapping

# Read by huggingface_hub (HF_HUB_OFFLINE, HF_HUB_DISABLE_TELEMETRY), and by libraries that predate it.
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
}


def keep_offline(environment: MutableMapping[str, str]) -> None:
    """Overrules what the environment says: an attempt that waits for a hub costs the time of a device."""
    environment.update(OFFLINE)
