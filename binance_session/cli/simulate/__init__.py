"""``binance-session simulate``: the simulated exchange as a server, for clients in any language."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

from binance_session.cli.keys import from_environment, from_file
from binance_session.cli.signals import on_stop_signal
from binance_session.cli.simulate.answers import as_line, shown_option, written
from binance_session.cli.simulate.options import fault_from_text, readings_of
from binance_session.cli.standardinput import answer_lines
from binance_session.cli.venues import VENUES, add_venue_option
from binance_session.errors import ConfigurationError
from binance_session.masking import masked, shown

if TYPE_CHECKING:
    from binance_session.simulator import DrivenClock, Simulator

__all__ = ["add"]

_NO_KEY = """\
No key yet, so only public methods answer. To add one:
  binance-session keygen --out simulated.pem
  binance-session simulate --api-key simulated \\
    --public-key simulated.pem.pub"""

_DRIVING = """\
Lines on standard input drive it, and each is answered by one line, "ok ..." or "error: ..." (JSON with --json):

  price BTCUSD_PERP 50000            orders that the price reaches are filled
  fill CLIENT_ORDER_ID 2             a part of an order is filled, at its price
  orders                             tells which orders are open
  fault late_answer method=order.place delay=2
  drop stream                        aborts connections: api, stream or all
  advance 3600                       moves the exchange's clock ahead
  help                               tells all that there is

A line may be JSON, too: {"id": 1, "command": "price", "symbol": "BTCUSD_PERP", "price": "50000"}"""


class _Proof(argparse.Action):
    """Collects (kind, value) pairs of all the options that prove a key, in the order in which they were given."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        namespace.proofs = [*namespace.proofs, (option, values)]


def add(commands: Any) -> None:
    """Describe the command to argparse."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "simulate",
        help="serve a simulated exchange",
        description="Serve a simulated exchange on this machine until it is interrupted. Each --api-key is followed by"
        " one of --public-key, --secret-env, --secret-file; give as many pairs as you need.",
        epilog=_DRIVING,
    )
    add_venue_option(parser, ("coin-m", "usd-m", "spot"))
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument(
        "--api-key", metavar="K", action="append", default=[], help="an apiKey to know; its key or secret comes next:"
    )
    parser.add_argument("--public-key", metavar="FILE", action=_Proof, help="file with its Ed25519 or RSA public key")
    parser.add_argument("--secret-env", metavar="VAR", action=_Proof, help="environment variable with its HMAC secret")
    parser.add_argument("--secret-file", metavar="FILE", action=_Proof, help="file with its HMAC secret")
    parser.add_argument(
        "--fault",
        metavar="'NAME [KEY=VALUE ...]'",
        action="append",
        default=[],
        help="what is to go wrong, for example 'late_answer delay=0.5 nth=2', or late_answer:delay=0.5,nth=2",
    )
    parser.add_argument("--list-faults", action="store_true", help="print all faults, a line each, and end")
    parser.add_argument(
        "--reading",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="how to read what Binance's documents leave open, for example revoked_closes=true",
    )
    parser.add_argument(
        "--readings", metavar="FILE", help="an object of JSON with readings, as verify --as-readings prints it"
    )
    parser.add_argument("--list-readings", action="store_true", help="print all readings, a line each, and end")
    parser.add_argument(
        "--listen-key-lifetime", metavar="S", type=float, help="seconds that a listenKey lives (default: 3600)"
    )
    parser.add_argument(
        "--connection-lifetime", metavar="S", type=float, help="seconds that a connection lives (default: 86400)"
    )
    parser.add_argument(
        "--end-with-input",
        action="store_true",
        help="end when standard input does, as when the program that feeds it ends",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help='begin with the line {"url": ..., "stream_url": ...}; answers and lists are lines of JSON too',
    )
    parser.set_defaults(run=_run, proofs=[])


def _run(arguments: argparse.Namespace) -> int:
    if arguments.list_faults or arguments.list_readings:
        if arguments.list_faults:
            _print_faults(arguments.json)
        if arguments.list_readings:
            _print_readings(arguments.json)
        return 0
    return asyncio.run(_serve(arguments))


async def _serve(arguments: argparse.Namespace) -> int:
    from binance_session.cli.simulate.commands import Driver
    from binance_session.simulator import DrivenClock

    clock = DrivenClock()
    simulator = _simulator(arguments, clock)
    driver = Driver(simulator, clock)
    keys = _add_keys(simulator, arguments.api_key, arguments.proofs)
    for text in arguments.fault:
        try:
            driver.inject(fault_from_text(text))
        except ValueError as error:
            raise ConfigurationError(f"--fault {text}: {error}") from None
    stop = asyncio.Event()
    on_stop_signal(lambda _number: stop.set())
    try:
        await simulator.start()
    except UnicodeError:
        raise ConfigurationError("--host is not a valid host name") from None
    except OSError as error:
        reason = error.strerror or error
        print(shown(f"binance-session simulate: cannot listen on {arguments.host}: {reason}"), file=sys.stderr)
        return 1
    try:
        _introduce(simulator, keys, as_json=arguments.json)

        def treat(line: str) -> tuple[str, bool]:
            return written(driver.treat(line), as_json=arguments.json), driver.over

        def ended() -> None:
            if driver.over or arguments.end_with_input:
                stop.set()

        answer_lines(treat, ended)
        await stop.wait()
    finally:
        await simulator.close()
    return 0


def _simulator(arguments: argparse.Namespace, clock: DrivenClock) -> Simulator:
    from attrs import evolve

    from binance_session.simulator import Simulator

    venue = VENUES[arguments.venue]
    if not 0 <= arguments.port <= 65535:
        raise ConfigurationError("--port is a number from 0 (a free one) to 65535")
    if not arguments.host:
        raise ConfigurationError("--host is an address to listen on, such as 127.0.0.1 or 0.0.0.0")
    lives = {"listen_key_lifetime": arguments.listen_key_lifetime, "lifetime": arguments.connection_lifetime}
    lives = {name: seconds for name, seconds in lives.items() if seconds is not None}
    if any(not 0 < seconds < float("inf") for seconds in lives.values()):
        raise ConfigurationError("--listen-key-lifetime and --connection-lifetime are numbers of seconds above 0")
    try:
        readings = readings_of(arguments.reading, arguments.readings)
    except ValueError as error:
        raise ConfigurationError(f"--reading: {error}") from None
    # Keep no records: nothing reads them here, and a server may run for long.
    return Simulator(
        evolve(venue, **lives), host=arguments.host, port=arguments.port, clock=clock, readings=readings, record=0
    )


def _add_keys(simulator: Simulator, api_keys: list[str], proofs: list[tuple[str, str]]) -> list[str]:
    """Add each key with its proof; return a line about each."""
    if len(api_keys) != len(proofs):
        raise ConfigurationError(
            f"{len(api_keys)} --api-key and {len(proofs)} of --public-key, --secret-env, --secret-file were given:"
            " they come in pairs"
        )
    if not all(api_keys):
        raise ConfigurationError("--api-key is the text that a client sends, and cannot be empty")
    lines = []
    for api_key, (kind, value) in zip(api_keys, proofs, strict=True):
        try:
            if kind == "--public-key":
                record = simulator.add_key(api_key, public_key=from_file(value, "the public key"))
            elif kind == "--secret-env":
                record = simulator.add_key(api_key, secret=from_environment(value, "the HMAC secret"))
            else:
                record = simulator.add_key(api_key, secret=from_file(value, "the HMAC secret"))
        except ConfigurationError:
            raise
        except ValueError as error:
            raise ConfigurationError(f"{kind} {value} cannot be used as a key: {error}") from None
        lines.append(f"{record.algorithm}, apiKey {masked(api_key)}")
    return lines


def _print_readings(as_json: bool) -> None:
    from binance_session.simulator.described import readings

    for each in readings():
        if as_json:
            values = list(each.choices) or each.values
            line = {"name": each.name, "values": values, "default": each.default, "text": each.text}
            print(as_line(line))
        else:
            print(f"{each.name}={each.values} (default: {each.shown_default}): {each.text}")


def _print_faults(as_json: bool) -> None:
    from binance_session.simulator.described import faults

    for each in faults():
        if as_json:
            line = {
                "name": each.name,
                "kind": each.kind,
                "about": each.about,
                "selectors": each.selectors,
                "options": each.options,
                "text": each.text,
            }
            print(as_line(line))
        else:
            options = "".join(f" {name}={shown_option(value)}" for name, value in each.options.items())
            print(f"{each.name}{options} ({each.kind}): {each.text}")


def _introduce(simulator: Simulator, keys: list[str], *, as_json: bool) -> None:
    """Print the simulator's URLs and keys at once: the program that started it waits for the first line."""
    if as_json:
        print(json.dumps({"url": simulator.url, "stream_url": simulator.stream_url}), flush=True)
        return
    print(f"A simulated {simulator.venue.name} exchange listens.\n\n  url         {simulator.url}")
    if simulator.stream_url is not None:
        print(f"  stream_url  {simulator.stream_url}")
    for line in keys:
        print(f"  key         {line}")
    if not keys:
        print(f"\n{_NO_KEY}")
    print("\nCtrl-C ends it.", flush=True)
