"""Signatures, the clock rule, keys that are none (PROTOCOL.md §3)."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from binance_session.cli.verify.evidence import Answer, Evidence, Untold
from binance_session.cli.verify.examination import Examination
from binance_session.cli.verify.probe import Step, Told, agrees, differs

__all__ = ["CLOCK", "SIGNING"]

SIGNING: Final = Step("signing", "signs requests on a connection that is not logged on, rightly and wrongly")

#: Spot's documents sign this one in an example
_NON_ASCII: Final = "\uff11\uff12\uff13\uff14\uff15\uff16"
_MADE_UP: Final = "made" * 16
_BAD_SIGNATURE: Final = -1022
#: seconds
_AHEAD: Final = 1.0
_WINDOW: Final = 5.0
_LONGEST_MS: Final = 60_000
#: how far from a border at least; the way there takes half a round trip, which may be unevenly halved
_MARGIN: Final = 0.15


def _percent_encoded(params: dict[str, Any]) -> str:
    return "&".join(f"{name}={quote(str(params[name]), safe='')}" for name in sorted(params))


@SIGNING.action
async def sign(x: Examination) -> None:
    """Ask for an order that does not exist, each time with another proof."""
    line = await x.api("signing")
    method, params = x.absent_order
    await line.ask("signed", method, x.signed(params))
    await line.ask("int as text", method, x.signed({**params, "recvWindow": "5000"}))
    await line.ask("non-ASCII", method, x.signed({**params, "symbol": _NON_ASCII}))
    encoded = x.signed({**params, "symbol": _NON_ASCII}, payload=_percent_encoded)
    await line.ask("percent-encoded", method, encoded)
    wrong = x.signed(params)
    await line.ask("another's signature", method, {**wrong, "origClientOrderId": "verify-another"})
    await line.ask("made-up apiKey", method, {**x.signed(params), "apiKey": _MADE_UP})
    await line.ask("malformed apiKey", method, {**x.signed(params), "apiKey": "no key at all!"})


def _accepted(answer: Answer) -> bool:
    """Return whether a signature was: the order of that name does not exist."""
    return bool(answer.status == 200 or answer.code == -2013)


@SIGNING.probe(
    "signature",
    asks="Is a request taken with its own apiKey and signature, without a logon?",
    says="yes, on every connection; the payload is all parameters, sorted by name, nothing percent-encoded",
    source="§3",
    needs=("signature",),
)
def signature(seen: Evidence) -> Told:
    """Judge the signed request: the order does not exist."""
    answer = seen.permitted("signed")
    return agrees("the signature was accepted") if _accepted(answer) else differs(str(answer))


@SIGNING.probe(
    "signature-covers",
    asks="Is a signature refused that covers other parameters?",
    says="400 with -1022",
    source="§3, §9",
    needs=("signature",),
)
def signature_covers(seen: Evidence) -> Told:
    """Judge the changed request."""
    if not _accepted(seen.answer("signed")):
        raise Untold("a right signature was refused too")
    answer = seen.answer("another's signature")
    return (agrees if (answer.status, answer.code) == (400, _BAD_SIGNATURE) else differs)(str(answer))


@SIGNING.probe(
    "signature-non-ascii",
    asks="Is a value outside ASCII signed as it is, or percent-encoded?",
    says="as it is, in UTF-8: 'no percent encoding here'",
    source="§3",
    needs=("signature",),
)
def signature_non_ascii(seen: Evidence) -> Told:
    """Judge which of the two was refused as a signature."""
    if not _accepted(seen.answer("signed")):
        raise Untold("no signature was accepted")
    plain, encoded = seen.answer("non-ASCII"), seen.answer("percent-encoded")
    refused = plain.code == _BAD_SIGNATURE, encoded.code == _BAD_SIGNATURE
    if refused == (False, True):
        return agrees(f"percent-encoded refused; as it is: {plain}")
    if refused == (False, False):
        raise Untold(f"the value was refused before any signature was looked at: {plain}")
    return differs(f"as it is: {plain}; percent-encoded: {encoded}")


@SIGNING.probe(
    "int-text",
    asks="Is an integer parameter (recvWindow) taken as a text?",
    says="integers are JSON integers; Binance's own SDKs send texts",
    source="§2",
    needs=("signature",),
    documented=False,
)
def int_text(seen: Evidence) -> Told:
    """Judge the request whose recvWindow is a text."""
    if not _accepted(seen.answer("signed")):
        raise Untold("a request with integers was refused too")
    answer = seen.answer("int as text")
    if answer.code == _BAD_SIGNATURE:
        raise Untold("the signature was refused: a text may be signed otherwise")
    if _accepted(answer):
        return agrees("taken", int_text=True)
    return differs(str(answer), int_text=False)


@SIGNING.probe(
    "unknown-key",
    asks="What does an apiKey bring that does not exist, or is none?",
    says="401 with -2015; 401 with -2014 where the text cannot be an apiKey",
    source="§9",
    needs=("signature",),
)
def unknown_key(seen: Evidence) -> Told:
    """Judge both refusals."""
    made_up, malformed = seen.answer("made-up apiKey"), seen.answer("malformed apiKey")
    text = f"made up: {made_up}; malformed: {malformed}"
    right = made_up.status == malformed.status == 401 and made_up.code in (-2014, -2015) and malformed.code == -2014
    return (agrees if right else differs)(text)


# The clock

CLOCK: Final = Step("clock", "sends timestamps at the borders of what is accepted")


@CLOCK.action
async def borders(x: Examination) -> None:
    """Ask on both sides of each border; how far off is decided by the round trip."""
    line = await x.main()
    method, params = x.absent_order
    longest = 0.0
    for number in range(3):
        began = x.wish.wall_clock()
        x.learn_time(await line.ask(f"time {number}", "session.status"), began)
        longest = max(longest, x.round_trip)
    margin = max(_MARGIN, longest + _MARGIN / 3)
    x.note("margin", margin)
    window = {"recvWindow": round(_WINDOW * 1000)}
    await line.ask("ahead, inside", method, x.proved(line, {**params, **window}, shift=_AHEAD - margin))
    await line.ask("ahead, outside", method, x.proved(line, {**params, **window}, shift=_AHEAD + margin))
    await line.ask("behind, inside", method, x.proved(line, {**params, **window}, shift=-_WINDOW + margin))
    await line.ask("behind, outside", method, x.proved(line, {**params, **window}, shift=-_WINDOW - margin))
    await line.ask("behind, default", method, x.proved(line, params, shift=-_WINDOW + margin))
    await line.ask("longest window", method, x.proved(line, {**params, "recvWindow": _LONGEST_MS}, shift=-30))
    await line.ask("longer window", method, x.proved(line, {**params, "recvWindow": _LONGEST_MS + 1}))


def _in_time(answer: Answer) -> bool:
    """Return whether a timestamp was accepted. Raises :class:`Untold` if the request was refused for something else."""
    if answer.code == -1021:
        return False
    if _accepted(answer):
        return True
    raise Untold(f"refused for another reason: {answer}")


@CLOCK.probe(
    "clock-rule",
    asks="Which timestamps are accepted?",
    says="less than 1000 ms ahead of the exchange's time and at most recvWindow behind it; else 400 with -1021",
    source="§3, Timing",
    needs=("signature",),
)
def clock_rule(seen: Evidence) -> Told:
    """Judge both sides of both borders."""
    margin = seen.note("margin")
    if margin > _AHEAD / 2:
        raise Untold(f"the way to the exchange is too long: answers take {margin - _MARGIN / 3:.2f} s")
    wrong = []
    for border in ("ahead", "behind"):
        if not _in_time(inside := seen.answer(f"{border}, inside")):
            wrong.append(f"{margin * 1000:.0f} ms inside ({border}): {inside}")
        if _in_time(outside := seen.answer(f"{border}, outside")) or outside.status != 400:
            wrong.append(f"{margin * 1000:.0f} ms outside ({border}): {outside}")
    return (
        differs("; ".join(wrong))
        if wrong
        else agrees(f"accepted inside, -1021 outside, to within {margin * 1000:.0f} ms")
    )


@CLOCK.probe(
    "recv-window",
    asks="What is recvWindow without being said, and the longest?",
    says="5000 ms by default, 60000 at most; more is refused",
    source="§3, Timing",
    needs=("signature",),
)
def recv_window(seen: Evidence) -> Told:
    """Judge the default, the longest and one more."""
    default, longest = seen.answer("behind, default"), seen.answer("longest window")
    longer = seen.answer("longer window")
    wrong = [f"almost 5 s behind, without recvWindow: {default}"] if not _in_time(default) else []
    wrong += [f"30 s behind with 60000: {longest}"] if not _in_time(longest) else []
    wrong += ["60001 was taken"] if _accepted(longer) else []
    return differs("; ".join(wrong)) if wrong else agrees(f"5000 and 60000; 60001: {longer}")
