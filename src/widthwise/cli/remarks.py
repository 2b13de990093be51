"""What is remarked on a model beside its plan."""

from __future__ import annotations

import click

from ..arch import draft_note
from ..cut.checkpoint import Checkpoint, locate


def remark_drafts(model: str) -> None:
    """Print to stderr that a cut of a model leaves draft layers out, where it has any."""
    path, name = locate(model)
    with Checkpoint(path, name) as checkpoint:
        note = draft_note(checkpoint.architecture)
    if note:
        click.echo(f"Note: {note}.", err=True)
