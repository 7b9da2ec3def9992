"""session.status, session.logon, session.logout, and what may be left out between them (PROTOCOL.md §4)."""

from __future__ import annotations

from typing import Any, Final

from binance_session.cli.verify.evidence import Evidence, Untold
from binance_session.cli.verify.examination import Examination
from binance_session.cli.verify.probe import FUTURES, Step, Told, agrees, differs
from binance_session.simulator.product import Product

__all__ = ["SESSION"]

SESSION: Final = Step("session", "logs on, reads the account, logs out")


@SESSION.action
async def do(x: Examination) -> None:
    """Ask for the status, log on, ask again, log out, ask again; leave the main connection logged on."""
    line = await x.main()
    began = x.wish.wall_clock()
    x.learn_time(await line.ask("status before", "session.status"), began)
    if "signature" not in x.wish.given:
        return
    method, params = x.absent_order
    await line.ask("order without proof", method, x.timed(params))
    if x.product is Product.SPOT:
        await line.ask("subscribe without logon", "userDataStream.subscribe")
    if (await x.log_on(line, "logon")).status != 200:
        return
    await line.ask("status after logon", "session.status")
    await line.ask("account", "account.balance" if x.product in FUTURES else "account.status", x.timed())
    if x.product in FUTURES:
        await line.ask("position", "account.position", x.timed())
    await line.ask("logout", "session.logout")
    line.logged_on = False
    await line.ask("status after logout", "session.status")
    await line.ask("order after logout", method, x.timed(params))
    await x.log_on(line, "logon again")


def _status(seen: Evidence, label: str) -> dict[str, Any]:
    answer = seen.answer(label)
    if answer.status != 200 or not isinstance(answer.result, dict):
        raise Untold(f"{label}: {answer}")
    return answer.result


@SESSION.probe(
    "status",
    asks="Does session.status answer before any logon, and say that nobody is logged on?",
    says="200; apiKey and authorizedSince are null; connectedSince and serverTime in ms; returnRateLimits",
    source="§4",
)
def status(seen: Evidence) -> Told:
    """Judge the first answer."""
    answer = seen.answer("status before")
    result = answer.result
    if answer.status != 200 or not isinstance(result, dict):
        return differs(str(answer))
    wrong = [name for name in ("apiKey", "authorizedSince") if result.get(name) is not None]
    wrong += [name for name in ("connectedSince", "serverTime") if type(result.get(name)) is not int]
    wrong += [] if isinstance(result.get("returnRateLimits"), bool) else ["returnRateLimits"]
    return (
        differs(f"unlike that: {', '.join(wrong)}")
        if wrong
        else agrees("apiKey and authorizedSince are null, the times in ms")
    )


@SESSION.probe(
    "logon",
    asks="Does a logon signed with Ed25519 log the connection on?",
    says="200 with the apiKey and authorizedSince; session.status says the same from then on",
    source="§4",
    needs=("logon",),
)
def logon(seen: Evidence) -> Told:
    """Judge the logon and the status behind it."""
    answer = seen.permitted("logon")
    if answer.status != 200:
        return differs(str(answer))
    if answer.field("apiKey") != "<apiKey>" or type(answer.field("authorizedSince")) is not int:
        return differs("answered with 200, but apiKey and authorizedSince do not say who is logged on")
    after = _status(seen, "status after logon")
    if after.get("apiKey") != "<apiKey>":
        return differs("accepted, and session.status does not know of it")
    return agrees("accepted, and session.status says so")


@SESSION.probe(
    "logon-refused",
    asks="What does a logon with an HMAC or RSA key bring?",
    says="futures: -4056 '... API key is not supported.' (captured for HMAC); Spot: -2028; status 400 (assumed)",
    source="§4",
    needs=("no logon",),
    documented=False,
    question=2,
)
def logon_refused(seen: Evidence) -> Told:
    """Judge the refusal."""
    answer = seen.answer("logon")
    wanted = -2028 if "spot" in seen.head.venue else -4056
    return (agrees if (answer.status, answer.code) == (400, wanted) else differs)(str(answer))


@SESSION.probe(
    "no-apikey",
    asks="After a logon, is a signed request taken with its timestamp alone?",
    says="200, without apiKey and without signature",
    source="§4",
    needs=("logon",),
)
def no_api_key(seen: Evidence) -> Told:
    """Judge the account's answer."""
    _logged_on(seen)
    answer = seen.permitted("account")
    return (agrees if answer.status == 200 else differs)(str(answer))


def _logged_on(seen: Evidence) -> None:
    if seen.answer("logon").status != 200:
        raise Untold("the logon was refused")


@SESSION.probe(
    "logout",
    asks="Does session.logout end the logon, and leave the connection open?",
    says="200 with apiKey and authorizedSince null; session.status says the same; a second logon is accepted",
    source="§4",
    needs=("logon",),
)
def logout(seen: Evidence) -> Told:
    """Judge the logout, the status behind it and the second logon."""
    _logged_on(seen)
    answer = seen.answer("logout")
    if answer.status != 200 or answer.field("apiKey") is not None:
        return differs(f"session.logout: {answer}, apiKey {answer.field('apiKey')}")
    if _status(seen, "status after logout").get("apiKey") is not None:
        return differs("session.status still names the apiKey after the logout")
    again = seen.answer("logon again")
    return (
        agrees("logged out; the second logon was accepted")
        if again.status == 200
        else differs(f"the second logon: {again}")
    )


@SESSION.probe(
    "no-proof",
    asks="What does a signed request bring without apiKey and signature, before a logon and after a logout?",
    says="no document names the answer; assumed: 400 with -1102, the mandatory apiKey is missing",
    source="§4, §9",
    needs=("signature",),
    documented=False,
)
def no_proof(seen: Evidence) -> Told:
    """Judge both refusals."""
    answers = [seen.answer("order without proof")]
    if seen.sent("order after logout") is not None:
        answers.append(seen.answer("order after logout"))
    right = all((each.status, each.code) == (400, -1102) for each in answers)
    return (agrees if right else differs)("; ".join(dict.fromkeys(map(str, answers))))


@SESSION.probe(
    "not-logged-on",
    asks="What does userDataStream.subscribe bring without a logon?",
    says="400 with -1193 'WebSocket session not authenticated' (captured; the code is in no document)",
    source="§4",
    needs=("signature",),
    products=frozenset({Product.SPOT}),
    documented=False,
    question=3,
)
def not_logged_on(seen: Evidence) -> Told:
    """Judge the refusal."""
    answer = seen.answer("subscribe without logon")
    return (agrees if (answer.status, answer.code) == (400, -1193) else differs)(str(answer))
