"""The bodies of requests and answers. The routes send stored JSON text; a test holds it to these shapes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

MOST_ENTITIES = 1000

Entity = Annotated[str, Field(min_length=1, max_length=4096, description="Key of the output message.")]
LagMs = Annotated[
    int,
    Field(
        ge=0,
        description="All that the output topic held in this cluster this many milliseconds ago is in the answer; "
        "0: a second ago or less.",
    ),
]
Position = Annotated[
    str, Field(description="Opaque token of the message that the answer reflects.", examples=["v1.west.0.12.34.5"])
]


class Prediction(BaseModel):
    """The latest prediction of one entity."""

    model_config = ConfigDict(extra="forbid")

    entity: Entity
    prediction: dict[str, Any] = Field(description="The output record, as JSON.")
    event_time: datetime | None = Field(description="Time of the event that led to it; null where it had none.")
    published_time: datetime = Field(description="When the prediction was published, in its home cluster.")
    position: Position
    lag_ms: LagMs


class BatchRequest(BaseModel):
    """Entities to look up at once."""

    model_config = ConfigDict(extra="forbid")

    entities: Annotated[list[Entity], Field(min_length=1, max_length=MOST_ENTITIES)]


class BatchAnswer(BaseModel):
    """Predictions of one and the same state of the view, in the order asked for, and the entities that have none."""

    model_config = ConfigDict(extra="forbid")

    found: list[Prediction]
    missing: list[Entity]
    lag_ms: LagMs


class Model(BaseModel):
    """A model that the role may query."""

    model_config = ConfigDict(extra="forbid")

    name: str
    deployment: str
    topic: str = Field(description="The output topic that the predictions come from.")
    ready: bool = Field(description="False until the view has caught up with its topic for the first time.")
    entities: int = Field(ge=0, description="How many entities have a prediction.")
    positions: list[Position] = Field(description="Per partition, the last message that the view has taken.")
    lag_ms: int | None = Field(ge=0, description="As in a prediction; null until the view is ready.")


class Models(BaseModel):
    """A tenant's models."""

    model_config = ConfigDict(extra="forbid")

    models: list[Model]


class Problem(BaseModel):
    """RFC 9457 problem details: the form of every error."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Kind of problem, a URN that stays the same.")
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    instance: str = Field(description="Path of the request.")


class Health(BaseModel):
    """All is well."""

    model_config = ConfigDict(extra="forbid")

    status: str
