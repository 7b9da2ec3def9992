"""The tables are the specification; these tests hold the machine, and the documentation's picture, against them."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest

from binance_session.state import (
    LINK_TABLE,
    SESSION_TABLE,
    IllegalTransition,
    LinkEvent,
    LinkState,
    Machine,
    SessionEvent,
    SessionState,
    reachable,
)
from tests.diagram import BEGIN, END, PAGE, diagram

TABLES: list[tuple[Any, type[Enum], type[Enum]]] = [
    (SESSION_TABLE, SessionState, SessionEvent),
    (LINK_TABLE, LinkState, LinkEvent),
]


def test_the_life_of_a_session_is_as_documented() -> None:
    """The whole table once more, as moves a user can read: a change of behaviour must be made twice."""
    moves = {(s.name, e.name, n.name) for s, row in SESSION_TABLE.items() for e, n in row.items()}
    assert moves == {
        ("NEW", "OPEN", "CONNECTING"),
        ("NEW", "CLOSE", "CLOSED"),
        ("CONNECTING", "CONNECTED", "LOGGING_ON"),
        ("CONNECTING", "SERVE", "READY"),
        ("LOGGING_ON", "SERVE", "READY"),
        ("CONNECTING", "LOST", "WAITING"),
        ("LOGGING_ON", "LOST", "WAITING"),
        ("READY", "LOST", "WAITING"),
        ("READY", "REVOKED", "LOGGING_ON"),
        ("WAITING", "RETRY", "CONNECTING"),
        ("CONNECTING", "FAIL", "FAILED"),
        ("LOGGING_ON", "FAIL", "FAILED"),
        ("READY", "FAIL", "FAILED"),
        ("WAITING", "FAIL", "FAILED"),
        ("CONNECTING", "CLOSE", "CLOSING"),
        ("LOGGING_ON", "CLOSE", "CLOSING"),
        ("READY", "CLOSE", "CLOSING"),
        ("WAITING", "CLOSE", "CLOSING"),
        ("CLOSING", "CLOSED", "CLOSED"),
        # what changes nothing
        ("LOGGING_ON", "CONNECTED", "LOGGING_ON"),
        ("READY", "CONNECTED", "READY"),
        ("READY", "SERVE", "READY"),
        ("WAITING", "CONNECTED", "WAITING"),
        ("WAITING", "LOST", "WAITING"),
        ("CLOSING", "CONNECTED", "CLOSING"),
        ("CLOSING", "SERVE", "CLOSING"),
        ("CLOSING", "LOST", "CLOSING"),
        ("CLOSING", "RETRY", "CLOSING"),
        ("CLOSING", "FAIL", "CLOSING"),
    }


class Light(Enum):
    RED = "red"
    GREEN = "green"


class Press(Enum):
    GO = "go"
    STOP = "stop"
    CRASH = "crash"


LIGHT = {Light.RED: {Press.GO: Light.GREEN, Press.STOP: Light.RED}, Light.GREEN: {Press.STOP: Light.RED}}


@pytest.mark.parametrize(
    ("state", "event", "new"),
    [
        (Light.RED, Press.GO, Light.GREEN),
        (Light.GREEN, Press.STOP, Light.RED),
        (Light.RED, Press.STOP, Light.RED),  # changes nothing
        (Light.GREEN, Press.GO, None),
        (Light.RED, Press.CRASH, None),
        (Light.GREEN, Press.CRASH, None),
    ],
)
def test_an_event_in_a_state(state: Light, event: Press, new: Light | None) -> None:
    """A legal event moves, and tells when the state is another; an illegal one changes and tells nothing."""
    told: list[Any] = []
    machine = Machine(LIGHT, state, lambda *change: told.append(change))
    cause = ValueError("why")
    if new is None:
        with pytest.raises(IllegalTransition, match=f"{event.name} is not possible while {state.name}"):
            machine.advance(event, cause)
    else:
        assert machine.advance(event, cause) is new
    assert machine.state is (new or state)
    assert told == ([(state, new, cause)] if new not in (None, state) else [])


@pytest.mark.parametrize(("table", "states", "events"), TABLES)
def test_a_table_names_every_state_and_no_dead_end_but_the_final_ones(table: Any, states: Any, events: Any) -> None:
    """Every state has its row, every event is used, every state can be reached and can reach an end."""
    start = next(iter(states))
    finals = [state for state in states if set(table[state].values()) <= {state}]
    assert set(table) == set(states)
    assert {event for row in table.values() for event in row} == set(events)
    for state in states:
        assert reachable(table, start, state)
        assert any(reachable(table, state, final) for final in finals)


def test_final_states() -> None:
    """CLOSED and FAILED are final, and nothing else is."""
    assert {state for state in SessionState if state.is_final} == {SessionState.CLOSED, SessionState.FAILED}
    assert not reachable(SESSION_TABLE, SessionState.CLOSING, SessionState.READY)
    assert reachable(SESSION_TABLE, SessionState.WAITING, SessionState.READY)


def test_the_documentation_shows_the_table_as_it_is() -> None:
    """The diagram is generated (``python -m tests.diagram``); this fails when the table moved on without it."""
    page = PAGE.read_text()
    assert page[page.index(BEGIN) + len(BEGIN) : page.index(END)].strip() == diagram().strip()
