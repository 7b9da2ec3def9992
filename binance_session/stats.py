"""What a session counts."""

from __future__ import annotations

from attrs import define

__all__ = ["Stats"]


@define
class Stats:
    """Counts since the session was made. ``session.stats`` gives a copy: it does not move under your eyes."""

    #: answers with a result that reached their futures
    answered: int = 0
    #: error answers that reached their futures
    refused: int = 0
    #: requests sent and not answered in time
    timed_out: int = 0
    #: requests that were in flight when their connection, or the session, ended
    lost: int = 0
    #: answers to requests that had already ended: timed out, cancelled, or answered before
    late: int = 0
    #: answers to ids that were never given out
    unknown: int = 0
    #: messages that were no JSON object, or binary
    malformed: int = 0
    #: events that were passed on, each once, however many sockets brought it
    events: int = 0
    #: times that a user data stream said that events may have been missed
    gaps: int = 0
    #: stream sockets that were opened, or on Spot subscriptions that were made
    stream_connections: int = 0
    #: events that wait now, in the user data stream in which most do
    event_backlog: int = 0
    #: the most events that ever waited in one
    event_backlog_peak: int = 0
    #: connections that became ready
    connections: int = 0
    #: ``userDataStream.ping`` of the keepalive policy answered, or a lapsed key started anew
    pings: int = 0
    #: such pings and starts that failed
    failed_pings: int = 0
    #: exceptions raised by hooks and policies
    hook_errors: int = 0
