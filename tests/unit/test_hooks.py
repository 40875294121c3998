"""Hooks: what observers are told."""

import dataclasses

import pytest

from happened import Event
from happened.hooks import Observer, Step


def test_a_step_is_a_frozen_record_in_which_only_kind_and_message_are_required() -> None:
    event = Event()
    step = Step(kind="received", message=event)
    assert (step.handler, step.stream, step.aggregate, step.events, step.error) == (
        *(None, None, None, (), None),
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        step.kind = "handled"  # type: ignore[misc]


def test_whatever_takes_a_step_is_an_observer() -> None:
    steps: list[Step] = []
    observer: Observer = steps.append
    observer(Step(kind="persisted", message=None))
    assert [step.kind for step in steps] == ["persisted"]
