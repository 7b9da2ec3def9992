"""What a session counts."""

from __future__ import annotations

from attrs import define

__all__ = ["Stats"]


@define
class Stats:
    """Counts since the session was made. ``session.stats`` gives a copy: it does not move under your eyes.

    ::

        answered            answers with a result that reached their futures
        refused             error answers that reached their futures
        timed_out           requests that were sent and not answered in time
        lost                requests that were in flight when their connection, or the session, ended
        late                answers to requests that had already ended: timed out, cancelled, or answered before
        unknown             answers to ids that the session never gave out
        malformed           messages that were no JSON object, or binary
        events              events that were passed on, each once, however many sockets brought it
        gaps                times that a user data stream said that events may have been missed
        stream_connections  stream sockets that were opened, or on Spot subscriptions that were made
        event_backlog       events that wait now, in the user data stream in which most do
        event_backlog_peak  the most events that ever waited in one
        connections         connections that became ready
        failovers           times that a standby connection took over
        pings               ``userDataStream.ping`` of the keepalive policy answered, or a lapsed key started anew
        failed_pings        such pings and starts that failed
        hook_errors         exceptions raised by hooks and policies
        unsettled_dropped   requests with an unknown outcome dropped from ``session.unsettled``
    """

    answered: int = 0
    refused: int = 0
    timed_out: int = 0
    lost: int = 0
    late: int = 0
    unknown: int = 0
    malformed: int = 0
    events: int = 0
    gaps: int = 0
    stream_connections: int = 0
    event_backlog: int = 0
    event_backlog_peak: int = 0
    connections: int = 0
    failovers: int = 0
    pings: int = 0
    failed_pings: int = 0
    hook_errors: int = 0
    unsettled_dropped: int = 0
