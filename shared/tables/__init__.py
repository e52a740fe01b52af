"""All tables, so that their metadata is whole whichever of them is imported first."""

from shared.tables.artifacts import Artifact, Asset
from shared.tables.durations import ModelDuration
from shared.tables.events import Event
from shared.tables.gateway import GatewayView
from shared.tables.jobs import HeldAttempt, Job, JobNeed, JobRequest, JobResult
from shared.tables.lanes import GatewayCalls, Lane
from shared.tables.late import LateResult, LateState
from shared.tables.processes import HostSpool, Process
from shared.tables.projects import ApiKey, IdempotencyKey, Project, Scope

__all__ = [
    "ApiKey",
    "Artifact",
    "Asset",
    "Event",
    "GatewayCalls",
    "GatewayView",
    "HeldAttempt",
    "HostSpool",
    "IdempotencyKey",
    "Job",
    "JobNeed",
    "JobRequest",
    "JobResult",
    "Lane",
    "LateResult",
    "LateState",
    "ModelDuration",
    "Process",
    "Project",
    "Scope",
]
