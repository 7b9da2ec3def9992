"""``binance-session run``: the session as a program, for bots in any language: events out, one line of JSON each."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import logging
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NoReturn

from binance_session.checks import check_url
from binance_session.cli.keys import KEY_OPTIONS, add_key_options, checked_credentials
from binance_session.cli.run.lines import Lines
from binance_session.cli.run.log import Log
from binance_session.cli.run.writer import Writer, watch_reader
from binance_session.cli.signals import on_stop_signal
from binance_session.cli.venues import VENUES, add_venue_option
from binance_session.credentials import Credentials
from binance_session.errors import ConfigurationError
from binance_session.responses import Event

__all__ = ["add"]

Write = Callable[[Event], Awaitable[None]]
Say = Callable[[Mapping[str, Any]], Awaitable[None]]

_log: Final = logging.getLogger("binance_session")
_STOPPED: Final = 0
_UNWRITABLE: Final = 1
_REFUSED: Final = 3
#: seconds that the last line is given to be read
_GRACE: Final = 1.0
#: seconds that the end may take in all: less than a process manager waits between its signal and its kill
_LONGEST_END: Final = 8.0

_DESCRIPTION: Final = """\
Log on, keep the account's user data stream alive, and write its events to standard output, one line of JSON each, the \
moment they come. What breaks is replaced, for ever, also when the exchange is not there yet. A log for people goes to \
standard error."""

_EPILOG: Final = """\
each line of output:
  {"type":"ORDER_TRADE_UPDATE","time":1736996475556,
   "gap":false,"data":{...}}
    type  the event's "e"
    time  its "E", in ms of the exchange's clock; 0 if it has none
    gap   whether events may be missing here; false for those of the exchange
    data  the event as it came, but that a listenKey is masked (it opens the stream to everybody who has it), and that \
integers beyond 2^53 are text ("i":"8389766145050669870"): JavaScript, jq and others would round them; --ids number \
leaves them numbers
  {"type":"gap","time":1736996480000,"gap":true,"data":
   {"cause":"...","since":1736996475556,
    "until":1736996480000}}
    Events may have been missed between "since" and "until" (ms): ask the exchange about orders and positions, and \
read on. The first line is always one, with "since":0; it comes when the stream is open. A gap that lasts is written \
when it is noticed, and again when it is over.
  {"type":"malformed","time":1736996480000,"gap":true,
   "data":{...}}
    An event came that cannot be written as JSON; the rest is as in a gap.
  A last line without its end is incomplete.

with --commands, each line of input is a request:
  {"id":1,"method":"order.place","params":{...},
   "timeout":5}
    "params" are the method's, without apiKey, timestamp and signature; "timeout" is in s. Sent \
in the order of the lines. One line comes for each:
  {"type":"answer","id":1,"outcome":"answered",
   "status":200,"result":{...}}
  {"type":"error","id":1,"outcome":"rejected",
   "error":"ApiError","message":"...","code":-2010}
    "outcome": rejected (by the exchange), not_sent, or unknown: the order may stand. Find out what became of one by
  {"id":2,"settle":1,"within":30}
  {"type":"fate","id":2,"took_effect":true,...}

If nobody reads, up to --buffer events wait, and the session lives on. What comes then is lost: a gap, once the rest \
was read.

exit status:
  0  SIGINT or SIGTERM ended it (a second one kills it at once)
  1  standard output is read no more, or cannot be written
  2  the options, the key's file or the environment cannot be right; nothing was sent
  3  the exchange refuses the key; or its address was never right: a certificate that is not accepted, HTTP 4xx"""


def add(commands: Any) -> None:
    """Describe the command to argparse."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "run",
        help="write the account's events as lines of JSON, for ever",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    add_venue_option(parser)
    parser.add_argument("--url", help="instead of the venue's: a simulator, a gateway")
    parser.add_argument("--stream-url", metavar="URL", help="likewise, for the events; futures need both or neither")
    parser.add_argument(
        "--simulate", action="store_true", help="bring a simulated exchange, with a key and some orders"
    )
    parser.add_argument(
        "--buffer", type=int, default=10_000, metavar="N", help="events that may wait to be written (default: 10000)"
    )
    parser.add_argument(
        "--ids",
        metavar="FORM",
        choices=("text", "number"),
        default="text",
        help="how integers beyond 2^53 are written: text, or number, which many JSON readers round (default: text)",
    )
    parser.add_argument(
        "--stop-on-exit",
        action="store_true",
        help="end the listenKey at the end, for every client of the account (futures)",
    )
    parser.add_argument(
        "--commands", action="store_true", help="take requests as lines of JSON on standard input, see below"
    )
    parser.add_argument(
        "--health", metavar="HOST:PORT", help="answer /livez and /readyz over HTTP, for who watches the process"
    )
    parser.add_argument(
        "--metrics", metavar="HOST:PORT", help="serve metrics for Prometheus at /metrics (extra [prometheus])"
    )
    parser.add_argument("--quiet", action="store_true", help="log only what goes wrong")
    add_key_options(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from binance_session.cli.run.sidecar import Refused, Unwritable

    _check(arguments)
    key, warnings = (None, []) if arguments.simulate else checked_credentials(arguments)
    if key is None and not arguments.simulate:
        raise ConfigurationError("events are an account's: name its key, or --simulate (see --help)")
    lines = Lines(arguments.ids)
    if key is not None:
        lines.hide(key.api_key)
    with contextlib.ExitStack() as afterwards:
        log = Log(logging.WARNING if arguments.quiet else logging.INFO, lambda text: lines.secrets.mask(text))
        afterwards.callback(log.close)
        writer = Writer(sys.stdout.fileno())
        afterwards.callback(writer.close, _GRACE)
        for warning in warnings:
            _log.warning("%s", warning)

        async def write(event: Event) -> None:
            await writer.write(lambda: lines.line(event))

        async def say(message: Mapping[str, Any]) -> None:
            await writer.write(lambda: lines.answer(message))

        try:
            return asyncio.run(_until_told(arguments, key, lines, write, say, afterwards))
        except Unwritable as error:
            _log.error("standard output cannot be written: %s", error)
            return _UNWRITABLE
        except Refused as error:
            _log.error("%s; trying again would not help", str(error).removesuffix("."))
            return _REFUSED


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be meant."""
    has_stream = VENUES[arguments.venue].stream_url is not None
    if arguments.health is not None:
        from binance_session.cli.run.watched import host_and_port

        host_and_port("--health", arguments.health)
    if arguments.metrics is not None:
        from binance_session.cli.run.watched import host_and_port

        host_and_port("--metrics", arguments.metrics)
        if importlib.util.find_spec("prometheus_client") is None:
            raise ConfigurationError("--metrics needs prometheus-client: install binance-session[prometheus]")
    if arguments.buffer < 1:
        raise ConfigurationError("--buffer is a number of events, at least 1")
    if has_stream and (arguments.url is None) != (arguments.stream_url is None):
        raise ConfigurationError("--url and --stream-url come together: one account's events are at one exchange")
    for option, url in (("--url", arguments.url), ("--stream-url", arguments.stream_url)):
        if url is not None:
            check_url(option, url, None)
    if not has_stream and arguments.stream_url is not None:
        raise ConfigurationError(f"--stream-url: {arguments.venue} has none, its events come over --url")
    if arguments.simulate:
        for option in ("url", "stream_url", *KEY_OPTIONS):
            if getattr(arguments, option) is not None:
                raise ConfigurationError(f"--simulate brings its own: leave --{option.replace('_', '-')} out")


async def _until_told(
    arguments: argparse.Namespace,
    key: Credentials | None,
    lines: Lines,
    write: Write,
    say: Say,
    afterwards: contextlib.ExitStack,
) -> int:
    """Run until a signal comes or nobody reads any more; return the exit status."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def end(status: int, why: str) -> None:
        if not ended.done():
            _log.info("the end: %s", why)
            ended.set_result(status)
            # The lookup of a name, for one, cannot be interrupted, and takes very long without a network.
            last_resort = threading.Timer(_LONGEST_END, os._exit, (status,))
            last_resort.daemon = True
            last_resort.start()
            afterwards.callback(last_resort.cancel)

    on_stop_signal(lambda number: end(_STOPPED, number.name))
    watch_reader(sys.stdout.fileno(), lambda: end(_UNWRITABLE, "standard output is read no more"))
    work = loop.create_task(_follow(arguments, key, lines, write, say))
    both: set[asyncio.Future[Any]] = {work, ended}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        await work
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    return ended.result()


async def _follow(
    arguments: argparse.Namespace, key: Credentials | None, lines: Lines, write: Write, say: Say
) -> NoReturn:
    from binance_session.cli.run.sidecar import Sidecar
    from binance_session.cli.run.watched import HealthServer, SystemdNotifier, host_and_port

    venue, url, stream_url = VENUES[arguments.venue], arguments.url, arguments.stream_url
    async with contextlib.AsyncExitStack() as simulation:
        if arguments.simulate:
            from binance_session.cli.run.rehearsal import rehearsal

            exchange, key = await simulation.enter_async_context(rehearsal(venue))
            url, stream_url = exchange.url, exchange.stream_url
            _log.info("a simulated %s exchange, at %s", venue.name, url)
        assert key is not None
        sidecar = Sidecar(
            venue,
            key,
            write,
            hide=lines.hide,
            url=url,
            stream_url=stream_url,
            buffer=arguments.buffer,
            stop_on_exit=arguments.stop_on_exit,
        )
        if arguments.commands:
            from binance_session.cli.run.commands import Commands

            commands = Commands(sidecar, say)
            simulation.callback(commands.close)
            commands.start()
        if arguments.health is not None:
            server = HealthServer(sidecar, *host_and_port("--health", arguments.health))
            simulation.callback(server.close)
            _log.info("health is told at port %d", server.port)
        if arguments.metrics is not None:
            from binance_session.cli.run.metrics import serve_metrics

            close, port = serve_metrics(sidecar, *host_and_port("--metrics", arguments.metrics))
            simulation.callback(close)
            _log.info("metrics are told at port %d", port)
        telling = asyncio.get_running_loop().create_task(SystemdNotifier(sidecar).run(), name="systemd")
        simulation.callback(telling.cancel)
        await sidecar.run()
