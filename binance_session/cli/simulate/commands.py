"""What a line on standard input does to the simulator: one function for each word that a line can begin with."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from binance_session.cli.simulate.options import fault_of, value
from binance_session.simulator.refusals import Refusal
from binance_session.venues import nearest

if TYPE_CHECKING:
    from binance_session.simulator import Account, Connection, DrivenClock, Fault, Injected, Order, Simulator

__all__ = ["COMMANDS", "Driver"]

Answer = dict[str, Any]

#: seconds of one jump of the clock: a year, in which each connection is pinged 175,000 times
_LONGEST: Final = 366 * 86400


@frozen
class Command:
    """A word that a line can begin with, what follows it (``[IN BRACKETS]`` what may), and what it does."""

    usage: str
    text: str
    act: Callable[..., Answer]

    @property
    def needed(self) -> list[str]:
        """The names of what must follow, in order."""
        return [word.lower() for word in self.usage.split()[1:] if word.isupper() and word[0] != "["]

    @property
    def names(self) -> list[str]:
        """The names of what may follow, in order; all of them in lower case."""
        return [word.strip("[]").lower() for word in self.usage.split()[1:] if "=" not in word and word != "...]"]

    @property
    def takes_more(self) -> bool:
        """Whether any KEY=VALUE may follow."""
        return "KEY=VALUE" in self.usage


#: Every command, by its first word.
COMMANDS: Final[dict[str, Command]] = {}


def _command(usage: str, text: str) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    def enter(act: Callable[..., Answer]) -> Callable[..., Answer]:
        COMMANDS[usage.split()[0]] = Command(usage, text, act)
        return act

    return enter


class Driver:
    """Drives a simulator by lines such as ``price BTCUSD_PERP 50000``, or the same as JSON, which may have an ``id``.

    ``{"command": "price", "symbol": "BTCUSD_PERP", "price": "50000"}``
    """

    def __init__(self, simulator: Simulator, clock: DrivenClock) -> None:
        self.simulator = simulator
        self.clock = clock
        #: whether a line has asked for the end
        self.over = False
        #: the faults that were put to work, by number
        self.faults: dict[int, Injected] = {}
        self._numbers = 0

    def inject(self, fault: Fault) -> int:
        """Put a fault to work, and return its number. Raises :class:`ValueError` for one that would never strike."""
        injected = self.simulator.inject(fault)
        self._numbers += 1
        self.faults[self._numbers] = injected
        return self._numbers

    def treat(self, line: str) -> Answer:
        """Do what a line asks for and return the answer: ``ok``, and what there is to tell, or ``error``."""
        answer: Answer = {}
        try:
            name, options, answer = _read(line)
            return {**answer, "ok": True, **self._command(name, options)}
        except Refusal as refusal:
            return {**answer, "ok": False, "error": refusal.message}
        except ValueError as error:
            return {**answer, "ok": False, "error": str(error)}

    def _command(self, name: str, options: Mapping[str, Any]) -> Answer:
        command = _known(name)
        missing = [each for each in command.needed if each not in options]
        unknown = [each for each in options if each not in command.names]
        if missing or (unknown and not command.takes_more):
            raise ValueError(f"{name} is used like this: {command.usage}")
        return command.act(self, **options)

    # What commands share

    @property
    def accounts(self) -> list[Account]:
        """Every account."""
        return self.simulator.exchange.accounts

    def orders(self) -> Iterator[Order]:
        """Yield every open order."""
        for account in self.accounts:
            yield from account.open_orders()

    @contextmanager
    def filled(self, answer: Answer) -> Iterator[None]:
        """Put the orders that were filled meanwhile, wholly or in part, into the answer."""
        before = [(order, order.executed) for order in self.orders()]
        yield
        answer["filled"] = [_order(order) for order, executed in before if order.executed != executed]

    def connections(self, which: str) -> list[Connection]:
        """Return the live connections of a kind: ``api``, ``stream`` or ``all``."""
        _one_of("the sockets", which, ("api", "stream", "all"))
        return [
            each
            for each in self.simulator.connections
            if which == ("stream" if each.stream else "api") or which == "all"
        ]


@_command("price SYMBOL PRICE", "moves the market: resting orders that the price reaches are filled")
def _price(driver: Driver, symbol: Any, price: Any) -> Answer:
    answer: Answer = {}
    with driver.filled(answer):
        driver.simulator.set_price(_symbol(driver, symbol), _number("a price", price))
    return answer


@_command("fill CLIENT_ORDER_ID [QUANTITY] [SYMBOL]", "fills a resting order, or so much of it, at its own price")
def _fill(driver: Driver, client_order_id: Any, quantity: Any = None, symbol: Any = None) -> Answer:
    found = [
        order
        for order in driver.orders()
        if order.client_order_id == client_order_id and symbol in (None, order.symbol)
    ]
    if len(found) != 1:
        raise ValueError(
            f"{len(found) or 'no'} open orders have the client order id {client_order_id!r}"
            + (
                ": name the symbol too"
                if found
                else _meant(client_order_id, [each.client_order_id for each in driver.orders()])
            )
        )
    [order] = found
    amount = order.quantity - order.executed if quantity is None else _number("a quantity", quantity)
    answer: Answer = {}
    with driver.filled(answer):
        driver.simulator.exchange.fill(order.symbol, order.client_order_id, amount)
    return answer


@_command("orders", "tells which orders are open")
def _orders(driver: Driver) -> Answer:
    return {"orders": [_order(order) for order in driver.orders()]}


@_command("transfer ASSET CHANGE", "adds to a balance, or takes from it (-5), and tells of it")
def _transfer(driver: Driver, asset: Any, change: Any) -> Answer:
    driver.simulator.transfer(_text("an asset", asset), _number("a change", change, negative=True))
    return {"balance": str(driver.simulator.exchange.account.balances[asset])}


@_command("event TYPE [KEY=VALUE ...]", "sends a user data event of this type, the documents' example, fields changed")
def _event(driver: Driver, type: Any, **fields: Any) -> Answer:  # noqa: A002 - the word that is typed
    return {"streams": driver.simulator.push_event(_text("a type", type), **fields)}


@_command("fault NAME [KEY=VALUE ...]", "lets a fault strike, as --fault does; answers with its number")
def _fault(driver: Driver, name: Any, **options: Any) -> Answer:
    return {"fault": driver.inject(fault_of(_text("a fault", name), options))}


@_command("faults", "tells which faults were put to work, by --fault too, and how often each has struck")
def _faults(driver: Driver) -> Answer:
    listed = [
        {"fault": number, "name": each.fault.name, "seen": each.seen, "struck": each.struck}
        for number, each in driver.faults.items()
    ]
    return {"faults": listed}


@_command("remove FAULT", "takes a fault back, by its number, or all")
def _remove(driver: Driver, fault: Any) -> Answer:
    numbers = (
        list(driver.faults) if fault == "all" else [number for number in driver.faults if str(number) == str(fault)]
    )
    if not numbers and fault != "all":
        raise ValueError(f"no fault has the number {fault!r}; the command 'faults' tells the numbers")
    for number in numbers:
        driver.faults.pop(number).remove()
    return {"removed": len(numbers)}


@_command("drop [SOCKETS]", "aborts the TCP connections: api, stream or all (as if nothing is said)")
def _drop(driver: Driver, sockets: Any = "all") -> Answer:
    connections = driver.connections(sockets)
    for connection in connections:
        connection.drop()
    return {"dropped": len(connections)}


@_command("advance SECONDS", "moves the exchange's clock ahead: listenKeys lapse, connections grow old")
def _advance(driver: Driver, seconds: Any) -> Answer:
    driver.clock.advance(float(_number("the time in seconds", seconds, most=_LONGEST)))
    return {"time": driver.simulator.exchange.state.now_ms}


@_command("expire WHAT", "listenkey: lets the listenKeys lapse now")
def _expire(driver: Driver, what: Any) -> Answer:
    _one_of("what can expire", what, ("listenkey",))
    return {"expired": sum(driver.simulator.expire_listen_keys(account) for account in driver.accounts)}


@_command("stop WHAT", "listenkey: stops the listenKeys as another client of the account does")
def _stop(driver: Driver, what: Any) -> Answer:
    _one_of("what can be stopped", what, ("listenkey",))
    return {"stopped": sum(driver.simulator.stop_listen_keys(account) for account in driver.accounts)}


@_command(
    "token [SECONDS]", "makes a listenToken, as REST does for margin accounts on Spot's host, good for a day or less"
)
def _token(driver: Driver, seconds: Any = 86400) -> Answer:
    validity = float(_number("the time in seconds", seconds, most=86400))
    return {"token": driver.simulator.create_listen_token(validity=validity)}


@_command("shutdown", "sends serverShutdown to every API connection")
def _shutdown(driver: Driver) -> Answer:
    driver.simulator.broadcast_shutdown()
    return {"told": len(driver.connections("api"))}


@_command("revoke API_KEY", "makes a key invalid")
def _revoke(driver: Driver, api_key: Any) -> Answer:
    driver.simulator.revoke(_api_key(driver, api_key))
    return {}


@_command("restore API_KEY", "makes a revoked key valid again")
def _restore(driver: Driver, api_key: Any) -> Answer:
    driver.simulator.restore(_api_key(driver, api_key))
    return {}


@_command("quit", "ends the simulator")
def _quit(driver: Driver) -> Answer:
    driver.over = True
    return {}


@_command("help", "tells the commands")
def _help(_driver: Driver) -> Answer:
    return {"commands": [f"{each.usage}: {each.text}" for each in COMMANDS.values()]}


# Reading a line


def _read(line: str) -> tuple[str, dict[str, Any], Answer]:
    """Return the command, what it was given by name, and what the answer begins with."""
    if not line.lstrip().startswith("{"):
        name, *words = shlex.split(line)
        return name, _by_name(_known(name), words), {}
    message = json.loads(line)
    answer = {"id": message.pop("id")} if "id" in message else {}
    name = message.pop("command", None)
    if not isinstance(name, str):
        raise ValueError('a line of JSON is {"command": "price", "symbol": ..., "price": ...}; the command is missing')
    return name, {key.lower(): each for key, each in message.items()}, answer


def _by_name(command: Command, words: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    names = iter(command.names)
    for word in words:
        key, equals, rest = word.partition("=")
        if equals and key.isidentifier() and (command.takes_more or key in command.names):
            options[key] = value(rest) if command.takes_more else rest
            continue
        name = next((each for each in names if each not in options), None)
        if name is None:
            raise ValueError(f"{command.usage.split()[0]} is used like this: {command.usage}")
        options[name] = word
    return options


def _known(name: str) -> Command:
    if name not in COMMANDS:
        raise ValueError(f"there is no command {name!r}; there are {', '.join(COMMANDS)}{_meant(name, list(COMMANDS))}")
    return COMMANDS[name]


def _meant(name: Any, names: list[str]) -> str:
    meant = nearest(name, names) if isinstance(name, str) else None
    return "" if meant is None else f"; did you mean {meant!r}?"


def _one_of(what: str, given: Any, names: tuple[str, ...]) -> None:
    if given not in names:
        raise ValueError(f"{what}: {', '.join(names)}, not {given!r}{_meant(given, list(names))}")


def _text(what: str, given: Any) -> str:
    if not isinstance(given, str) or not given:
        raise ValueError(f"{what} must be a text, not {given!r}")
    return given


def _number(what: str, given: Any, *, negative: bool = False, most: int = 10**15) -> Decimal:
    try:
        number = Decimal(str(given))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or (number <= 0 and not negative) or abs(number) > most:
        above = "" if negative else " above 0"
        raise ValueError(f"{what} must be a number{above}, at most {most}, not {str(given)[:40]!r}")
    return number


def _symbol(driver: Driver, name: Any) -> str:
    symbols = driver.simulator.exchange.market.symbols
    if not isinstance(name, str) or name not in symbols:
        raise ValueError(f"{name!r} is not listed; there are {', '.join(symbols)}{_meant(name, list(symbols))}")
    return name


def _api_key(driver: Driver, name: Any) -> str:
    if not isinstance(name, str) or name not in driver.simulator.exchange.state.keys:
        raise ValueError("the simulator does not know this apiKey")
    return name


def _order(order: Order) -> Answer:
    return {
        "symbol": order.symbol,
        "clientOrderId": order.client_order_id,
        "orderId": order.order_id,
        "status": order.status,
        "quantity": str(order.quantity),
        "executed": str(order.executed),
    }
