"""``binance-session verify``: ask the exchange itself what no document settles, and say what it means.

A run is a list of steps (:mod:`~binance_session.cli.verify.steps`), each of which answers several probes. All that goes
over the wire is recorded, and the report is made from the recording alone.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import os
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO
from urllib.parse import urlsplit

from binance_session.checks import check_number, check_url, insecure, is_exposed, is_loopback
from binance_session.cli.keys import add_key_options, checked_credentials, from_environment, from_file
from binance_session.cli.signals import on_stop_signal
from binance_session.cli.terminal import Terminal, wrapped
from binance_session.cli.venues import VENUES, add_venue_option, symbol_of
from binance_session.credentials import ApiKey, Credentials, Ed25519Key, HmacKey, RsaKey
from binance_session.errors import ConfigurationError

if TYPE_CHECKING:
    from binance_session.cli.verify.examination import Wish
    from binance_session.cli.verify.probe import Step
    from binance_session.cli.verify.recording import Head

__all__ = ["add"]

#: where orders may be sent without --live: nothing is worth anything there (PROTOCOL.md §1.1, §1.4)
_TEST_HOSTS: Final = frozenset(
    {"testnet.binancefuture.com", "ws-api.testnet.binance.vision", "demo-ws-api.binance.com"}
)
_INTERRUPTED: Final = 130
_WAITS: Final = {
    "revocation": "NOW: delete this key at the exchange, or take its permissions away (within 5 minutes)",
    "trigger": "waiting up to a minute for the price to rise a little",
}
_DESCRIPTION: Final = """\
Ask the exchange what its documents leave open, and whether it does what they say. \
Without --orders nothing is sent that trades. All that goes over the wire is recorded, with every secret replaced, in \
a file that you can read before you send it to anybody. \
Exit status: 0 all that was asked is as written down, 1 something differs, 3 something could not be told."""


def add(commands: Any) -> None:
    """Describe the command to argparse."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "verify", help="check the exchange itself against its documents", description=_DESCRIPTION
    )
    add_venue_option(parser)
    parser.add_argument("--url", help="instead of the venue's: a simulator, a demo, a gateway")
    parser.add_argument("--stream-url", help="likewise, of the stream socket (futures): --url goes with it")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="S", help="for each answer (default: 10)")
    parser.add_argument("--record", metavar="FILE", help="the recording (default: verify-VENUE-TIME.jsonl, here)")
    parser.add_argument("--from", dest="source", metavar="FILE", help="make the report of a recording, without network")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument(
        "--as-readings", action="store_true", help="print what simulate --readings takes, instead of a table"
    )
    parser.add_argument("--list", action="store_true", help="print all probes, and end")
    more = parser.add_argument_group("what may be done beyond reading")
    more.add_argument(
        "--orders", action="store_true", help="place the smallest order far from the market, post-only, and cancel it"
    )
    more.add_argument("--live", action="store_true", help="even where it is no testnet or demo")
    more.add_argument("--symbol", help="of what (default: BTCUSD_PERP or BTCUSDT)")
    more.add_argument("--quantity", metavar="N", help="how much, if the smallest of BTC is not it")
    more.add_argument("--stop", action="store_true", help="stop the listenKey even if it was active before")
    more.add_argument("--slow", action="store_true", help="wait for pings, and leave some unanswered: up to 15 minutes")
    more.add_argument("--revocation", action="store_true", help="wait while you delete the key at the exchange")
    other = more.add_mutually_exclusive_group()
    other.add_argument("--other-api-key-env", metavar="VAR", help="another apiKey of the same account")
    other.add_argument("--other-api-key-file", metavar="FILE", help="likewise, in a file")
    more.add_argument("--listen-token-env", metavar="VAR", help="a listenToken from REST (Spot)")
    add_key_options(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.list:
        _print_list(arguments)
        return 0
    if arguments.source is not None:
        from binance_session.cli.verify.recording import load

        return _tell(arguments, load(arguments.source))
    return _examine(arguments)


def _tell(arguments: argparse.Namespace, recording: Any, left_open: tuple[str, ...] = ()) -> int:
    """Print the report, in the form that was asked for, and return its status."""
    from binance_session.cli.verify.report import report_of

    report = report_of(recording, left_open)
    terminal = Terminal()
    if arguments.as_readings:
        terminal.line(json.dumps(report.readings, indent=2))
    elif arguments.json:
        terminal.line(report.as_json())
    else:
        report.show(terminal)
    return report.status


def _print_list(arguments: argparse.Namespace) -> None:
    from binance_session.cli.verify.probe import NEEDS
    from binance_session.cli.verify.steps import STEPS
    from binance_session.simulator.product import Product

    terminal = Terminal()
    product = Product.of(VENUES[arguments.venue])
    for step in STEPS:
        for probe in step.probes:
            if product not in probe.products:
                continue
            needs = "".join(f"; {NEEDS[need]}" for need in probe.needs)
            said = "documented" if probe.documented else "assumed"
            terminal.line(terminal.bold(probe.name))
            for text in (f"{probe.asks}", f"{said}: {probe.says} ({probe.source}){needs}"):
                for line in wrapped(text, terminal.width - 2):
                    terminal.line(f"  {line}")


# A run


def _examine(arguments: argparse.Namespace) -> int:
    from binance_session.cli.verify.recording import Recording

    progress = Terminal(sys.stderr)
    wish, head = _wish(arguments, progress)
    path = arguments.record or f"verify-{head.venue}-{datetime.now():%Y%m%d-%H%M%S}.jsonl"
    with _new_file(path) as file:
        began = time.monotonic()
        recording = Recording(head, clock=lambda: time.monotonic() - began, file=file)
        for secret, word in (
            (wish.key.api_key if wish.key else "", "apiKey"),
            (wish.other_api_key or "", "other apiKey"),
            (wish.listen_token or "", "listenToken"),
        ):
            if secret:
                recording.masks.add(secret, word)
        recording.begin()
        progress.line(f"Asking {head.venue} ({head.host}); recorded in {path}")
        interrupted, left_open = asyncio.run(_ask(wish, recording, progress))
    status = _tell(arguments, recording, left_open)
    if not arguments.json and not arguments.as_readings:
        print(f"\nRecorded in {path}: read it before you send it.", file=sys.stderr)
    return _INTERRUPTED if interrupted and not left_open else status


async def _ask(wish: Wish, recording: Any, progress: Terminal) -> tuple[bool, tuple[str, ...]]:
    from binance_session.cli.verify.examination import Examination
    from binance_session.cli.verify.run import run_steps
    from binance_session.cli.verify.steps import STEPS

    examination = Examination(wish, recording)
    asked = [step for step in STEPS if step.asked(examination.product, wish.given)]

    def tell(step: Step) -> None:
        progress.line(f"  {asked.index(step) + 1} of {len(asked)}  {step.doing}")

    task = asyncio.ensure_future(run_steps(examination, STEPS, tell))

    def stop(_number: object) -> None:
        progress.line("  interrupted: cleaning up (once more ends it at once)")
        task.cancel()

    on_stop_signal(stop)
    interrupted = await task
    return interrupted, tuple(placed.label for placed in examination.left_open)


def _wish(arguments: argparse.Namespace, progress: Terminal) -> tuple[Wish, Head]:
    """Return what is to be asked. Raises :class:`ConfigurationError` for what cannot be, before anything is sent."""
    from binance_session.cli.verify.examination import Wish, given_by
    from binance_session.cli.verify.recording import Head

    venue = VENUES[arguments.venue]
    url = arguments.url or venue.url
    # the listenKey of a simulator, or of a demo, is not for the venue's own stream host
    stream_url = arguments.stream_url or (venue.stream_url if arguments.url is None else None)
    check_number("--timeout", arguments.timeout)
    key, warnings = checked_credentials(arguments)
    for name, address in (("--url", url), ("--stream-url", stream_url)):
        if address is not None:
            check_url(name, address, None)
            if key is not None and is_exposed(address, None):
                raise insecure(name)
    for warning in warnings:
        progress.line(warning)
    asked = {name for name in ("orders", "slow", "revocation") if getattr(arguments, name)}
    _check_orders(arguments, url, key)
    other = _other_key(arguments)
    token = None
    if arguments.listen_token_env is not None:
        token = from_environment(arguments.listen_token_env, "the listenToken")
    asked |= ({"other key"} if other else set()) | ({"listen token"} if token else set())
    symbol = arguments.symbol or symbol_of(venue)
    wish = Wish(
        venue=venue,
        url=url,
        stream_url=stream_url,
        key=key,
        symbol=symbol,
        quantity=arguments.quantity,
        given=frozenset(given_by(key) | asked),
        stop=arguments.stop,
        other_api_key=other,
        listen_token=token,
        timeout=arguments.timeout,
        wall_clock=time.time,
        outside=lambda what: progress.line(f"     {_WAITS[what]}"),
    )
    head = Head(
        arguments.venue,
        urlsplit(url).hostname or "",
        f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        _kind(key),
        importlib.metadata.version("binance-session"),
        symbol,
        tuple(sorted(asked | ({"stop"} if arguments.stop else set()))),
    )
    return wish, head


def _check_orders(arguments: argparse.Namespace, url: str, key: Credentials | None) -> None:
    host = urlsplit(url).hostname or ""
    if arguments.orders and host not in _TEST_HOSTS and not is_loopback(host) and not arguments.live:
        raise ConfigurationError(
            f"--orders would send orders to {host}, which is no testnet and no demo: say --live as well if you mean it"
        )
    if arguments.orders and (key is None or isinstance(key, ApiKey)):
        raise ConfigurationError("--orders needs a key that can sign: --key-file, --secret-env or --secret-file")
    if arguments.quantity is not None:
        try:
            check_number("--quantity", float(arguments.quantity), unit="")
        except ValueError:
            raise ConfigurationError("--quantity is a number such as 0.001") from None


def _other_key(arguments: argparse.Namespace) -> str | None:
    if arguments.other_api_key_env is not None:
        return from_environment(arguments.other_api_key_env, "the other apiKey")
    if arguments.other_api_key_file is not None:
        return from_file(arguments.other_api_key_file, "the other apiKey", secret=True)
    return None


def _kind(key: Credentials | None) -> str:
    kinds = ((Ed25519Key, "Ed25519"), (RsaKey, "RSA"), (HmacKey, "HMAC"), (ApiKey, "apiKey"))
    return next((name for kind, name in kinds if isinstance(key, kind)), "none" if key is None else "other")


def _new_file(path: str) -> TextIO:
    """Create the recording's file, which only its owner may read."""
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(f"{path} exists: the recording is written to a new file (--record)") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise ConfigurationError(f"{path} cannot be written ({reason})") from None
    return os.fdopen(number, "w", encoding="utf-8")
