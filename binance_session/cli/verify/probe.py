"""A probe asks one question; a step does what brings the answers to several of them.

What is *seen* is all in the recording, and a probe's judge is a pure function of that: a report can be made again from
a file. What a probe ``needs`` and was not given or allowed makes it "not asked".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from attrs import define, field, frozen

from binance_session.cli.verify.evidence import Evidence, Untold
from binance_session.cli.verify.examination import Examination
from binance_session.simulator.product import Product

__all__ = ["BROKEN", "FUTURES", "NEEDS", "Finding", "Probe", "Step", "Verdict", "agrees", "differs"]

#: what can be needed, and what to say where it is not there
NEEDS: Final[Mapping[str, str]] = {
    "key": "needs a key",
    "signature": "needs a key that can sign",
    "logon": "needs an Ed25519 key",
    "no logon": "needs an HMAC or RSA key: run it again with one",
    "other key": "needs the apiKey of another key of this account: --other-api-key-env or --other-api-key-file",
    "listen token": "needs a listenToken from REST: --listen-token-env",
    "orders": "needs --orders",
    "slow": "needs --slow",
    "revocation": "needs --revocation, and a key to be deleted meanwhile",
}
#: what is said of a message that this program has no eyes for
BROKEN: Final = "an answer has a form that verify does not know: please report it"
FUTURES: Final = frozenset({Product.COIN_M, Product.USD_M})
_ALL: Final = frozenset(Product)


class Verdict(StrEnum):
    """What came of a probe."""

    DOCUMENTED = "as documented"
    #: of what no document says: as PROTOCOL.md and the simulator take it
    ASSUMED = "as assumed"
    DIFFERS = "differs"
    UNTOLD = "cannot be told"
    NOT_ASKED = "not asked"


@frozen
class Told:
    """What a judge found: whether it is as written down, what was seen, and what that makes of the readings."""

    agrees: bool
    seen: str
    readings: Mapping[str, Any] = field(factory=dict)


def agrees(seen: str, **readings: Any) -> Told:
    """Return that it is as written down."""
    return Told(True, seen, readings)


def differs(seen: str, **readings: Any) -> Told:
    """Return that it is not."""
    return Told(False, seen, readings)


@frozen
class Finding:
    """What came of one probe; ``readings`` are the simulator's by what was seen."""

    probe: Probe
    verdict: Verdict
    seen: str
    readings: Mapping[str, Any] = field(factory=dict)


@frozen(eq=False)
class Probe:
    """One question to the exchange.

    ``says`` is what the documents say, or, unless ``documented``, what is assumed in their place; ``source`` is where
    that stands in PROTOCOL.md, and ``question`` the number of its open question (§11), if it is one.
    """

    name: str
    step: str
    asks: str
    says: str
    source: str
    judge: Callable[[Evidence], Told] = field(repr=False)
    needs: tuple[str, ...] = ()
    products: frozenset[Product] = _ALL
    documented: bool = True
    question: int | None = None

    def missing(self, given: Iterable[str]) -> str | None:
        """Return what of its needs is not given, in words; ``None`` if nothing is missing."""
        lacking = [need for need in self.needs if need not in given]
        return NEEDS[lacking[0]] if lacking else None

    def find(self, evidence: Evidence) -> Finding:
        """Judge what was seen."""
        try:
            told = self.judge(evidence)
        except Untold as why:
            return Finding(self, Verdict.UNTOLD, str(why))
        except Exception as error:  # likewise: one answer must not cost the whole report
            return Finding(self, Verdict.UNTOLD, f"{BROKEN} ({type(error).__name__}: {error})")
        if not told.agrees:
            return Finding(self, Verdict.DIFFERS, told.seen, told.readings)
        verdict = Verdict.DOCUMENTED if self.documented else Verdict.ASSUMED
        return Finding(self, verdict, told.seen, told.readings)


@define(eq=False)
class Step:
    """Something that is done at the exchange, once, for several probes.

    ``doing`` says what, for a person who waits. ``limit`` is the most seconds that it may take. It is done if one of
    its probes can be asked.
    """

    name: str
    doing: str
    limit: float = 120.0
    products: frozenset[Product] = _ALL
    probes: list[Probe] = field(factory=list)
    do: Callable[[Examination], Awaitable[None]] | None = None

    def action(self, do: Callable[[Examination], Awaitable[None]]) -> Callable[[Examination], Awaitable[None]]:
        """Take this function as what the step does."""
        self.do = do
        return do

    def probe(
        self,
        name: str,
        *,
        asks: str,
        says: str,
        source: str,
        needs: tuple[str, ...] = (),
        products: frozenset[Product] | None = None,
        documented: bool = True,
        question: int | None = None,
    ) -> Callable[[Callable[[Evidence], Told]], Callable[[Evidence], Told]]:
        """Take this function as the judge of a probe."""

        def add(judge: Callable[[Evidence], Told]) -> Callable[[Evidence], Told]:
            where = self.products if products is None else products
            self.probes.append(Probe(name, self.name, asks, says, source, judge, needs, where, documented, question))
            return judge

        return add

    def asked(self, product: Product, given: Iterable[str]) -> list[Probe]:
        """Return the probes that can be asked."""
        given = set(given)
        return [probe for probe in self.probes if product in probe.products and probe.missing(given) is None]
