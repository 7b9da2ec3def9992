"""The tables are the specification; these tests hold the machine, and the documentation's picture, against them."""

from __future__ import annotations

import itertools
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
EDGES = [
    (table, state, event, table[state].get(event))
    for table, states, events in TABLES
    for state in states
    for event in events
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
    }


@pytest.mark.parametrize(("table", "state", "event", "new"), EDGES)
def test_every_event_in_every_state(table: Any, state: Any, event: Any, new: Any) -> None:
    """A legal event moves and tells; an illegal one changes nothing, tells nothing, and names itself."""
    told: list[Any] = []
    machine: Machine[Any, Any] = Machine(table, state, lambda *change: told.append(change))
    cause = ValueError("why")
    assert machine.can(event) == (new is not None)
    if new is None:
        with pytest.raises(IllegalTransition, match=f"{event.name} is not possible while {state.name}"):
            machine.advance(event, cause)
        assert machine.state is state
        assert told == []
    else:
        assert machine.advance(event, cause) is new
        assert machine.state is new
        assert told == [(state, new, cause)]


@pytest.mark.parametrize(("table", "states", "events"), TABLES)
def test_a_table_names_every_state_and_no_dead_end_but_the_final_ones(table: Any, states: Any, events: Any) -> None:
    """Every state has its row, every event is used, every state can be reached and can reach an end."""
    start = next(iter(states))
    finals = [state for state in states if not table[state]]
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


@given(st.lists(st.sampled_from(SessionEvent), max_size=60))
def test_any_sequence_of_events_keeps_to_the_table(events: list[SessionEvent]) -> None:
    """Whatever comes in whatever order: the state is the one the table gives, and an end is an end."""
    told: list[tuple[SessionState, SessionState]] = []
    machine = Machine(SESSION_TABLE, SessionState.NEW, lambda old, new, cause: told.append((old, new)))
    expected = SessionState.NEW
    changes = 0
    for event in events:
        new = SESSION_TABLE[expected].get(event)
        if new is None:
            with pytest.raises(IllegalTransition):
                machine.advance(event)
        else:
            machine.advance(event)
            expected = new
            changes += 1
        assert machine.state is expected
    assert len(told) == changes
    assert all(a[1] is b[0] for a, b in itertools.pairwise(told))


def test_the_documentation_shows_the_table_as_it_is() -> None:
    """The diagram is generated (``python -m tests.diagram``); this fails when the table moved on without it."""
    page = PAGE.read_text()
    assert page[page.index(BEGIN) + len(BEGIN) : page.index(END)].strip() == diagram().strip()
