"""The Python client of Darkroom.

    from api.client import Darkroom

    with Darkroom("http://127.0.0.1:8000", "dk_…") as darkroom:
        job = darkroom.jobs.create(model="nano-banana", prompt="a paper boat at dawn")
        job = darkroom.jobs.wait(job.id)
        darkroom.artifacts.download(job.artifacts[0], Path("boat.png"))

Every call raises a `ClientError`; what it changes at Darkroom, it changes once.
"""

from api.client.artifacts import Artifact
from api.client.assets import Asset
from api.client.darkroom import Darkroom
from api.client.errors import ApiError, BadDownload, ClientError, Unreachable
from api.client.gateway import Balance, CredentialBalance, GatewayBalance
from api.client.jobs import Job, JobBody, JobEvent
from api.client.keys import Key
from api.client.lanes import Lane
from api.client.models import Model
from api.client.pages import Page
from api.client.usage import Usage, UsageGroup

__all__ = [
    "ApiError",
    "Artifact",
    "Asset",
    "BadDownload",
    "Balance",
    "ClientError",
    "CredentialBalance",
    "Darkroom",
    "GatewayBalance",
    "Job",
    "JobBody",
    "JobEvent",
    "Key",
    "Lane",
    "Model",
    "Page",
    "Unreachable",
    "Usage",
    "UsageGroup",
]
