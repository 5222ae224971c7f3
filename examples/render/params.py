"""What the two sides say to each other. Both import this module; it needs pydantic only."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Film(BaseModel):
    """A film to be rendered."""

    textures: list[str] = []
    frames: int = Field(default=24, ge=1, le=10_000)
    width: int = Field(default=96, ge=16, le=1920, multiple_of=2)
    height: int = Field(default=64, ge=16, le=1080, multiple_of=2)


class Textures(BaseModel):
    """Files to be fetched before a film can be rendered."""

    names: list[str]
    seconds_each: float = 0.2


class Still(BaseModel):
    """One frame of a stored film."""

    film: str
    """URI of the film's file."""
    frame: int = Field(default=0, ge=0)
