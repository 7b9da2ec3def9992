"""What a recording comes to: the findings, the comparison with the simulator, in a table, in JSON, and as a status."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from attrs import frozen

from binance_session.cli.terminal import Terminal, wrapped
from binance_session.cli.venues import VENUES
from binance_session.cli.verify.comparison import Comparison, ask_simulator, compare_recordings
from binance_session.cli.verify.evidence import Evidence
from binance_session.cli.verify.probe import Finding, Verdict
from binance_session.cli.verify.recording import Recording
from binance_session.cli.verify.steps import STEPS
from binance_session.simulator.product import Product

__all__ = ["Report", "findings_of", "report_of"]

_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "none": frozenset(),
    "apiKey": frozenset({"key"}),
    "Ed25519": frozenset({"key", "signature", "logon"}),
    "HMAC": frozenset({"key", "signature", "no logon"}),
    "RSA": frozenset({"key", "signature", "no logon"}),
    "other": frozenset({"key", "signature", "logon"}),
}
#: columns of a probe's name and of its verdict
_NAME: Final = 25
_VERDICT: Final = 17
_INDENT: Final = "  "


@frozen
class Report:
    """All findings of a recording, in the order of the questions, and how the simulator compares."""

    recording: Recording
    findings: tuple[Finding, ...]
    comparison: Comparison
    #: labels of orders of which it is not known whether they are closed
    left_open: tuple[str, ...] = ()

    @property
    def readings(self) -> dict[str, Any]:
        """The simulator's readings by what was seen."""
        return {name: value for finding in self.findings for name, value in finding.readings.items()}

    @property
    def status(self) -> int:
        """0: all that was asked is as written down; 1: something differs; 3: something could not be told."""
        verdicts = {finding.verdict for finding in self.findings}
        if Verdict.DIFFERS in verdicts or self.comparison.found or self.left_open:
            return 1
        return 3 if Verdict.UNTOLD in verdicts else 0

    @property
    def verdict(self) -> str:
        """The outcome in one sentence."""
        counts = Counter(finding.verdict for finding in self.findings)
        parts = [f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict]]
        return f"{', '.join(parts)}; {len(self.comparison.found)} difference(s) from the simulator"

    def as_json(self) -> str:
        """Return the report as one JSON object."""
        findings = [
            {
                "probe": finding.probe.name,
                "verdict": finding.verdict,
                "asks": finding.probe.asks,
                "says": finding.probe.says,
                "documented": finding.probe.documented,
                "source": finding.probe.source,
                "question": finding.probe.question,
                "seen": finding.seen,
                "readings": dict(finding.readings),
            }
            for finding in self.findings
        ]
        differences = [
            {
                "about": each.about,
                "path": each.difference.path,
                "kind": each.difference.kind,
                "text": each.difference.text,
            }
            for each in self.comparison.found
        ]
        head = self.recording.head
        whole = {
            "venue": head.venue,
            "host": head.host,
            "began": head.began,
            "version": head.version,
            "status": self.status,
            "verdict": self.verdict,
            "findings": findings,
            "compared": {"answers": self.comparison.answers, "events": self.comparison.events},
            "differences": differences,
            "readings": self.readings,
            "left_open": list(self.left_open),
        }
        return json.dumps(whole, indent=2, ensure_ascii=False)

    def show(self, terminal: Terminal) -> None:
        """Print the table."""
        head = self.recording.head
        terminal.line(f"{terminal.bold(head.venue)}  {head.host}  {head.began}\n")
        self._show_findings(terminal)
        self._show_not_asked(terminal)
        self._show_differences(terminal)
        for label in self.left_open:
            terminal.line(terminal.bad(f"AN ORDER MAY BE OPEN: {label}. Look at the exchange, and cancel it by hand."))
        terminal.line()
        style = {0: terminal.good, 1: terminal.bad, 3: terminal.doubtful}[self.status]
        for line in wrapped(self.verdict, terminal.width):
            terminal.line(style(line))

    def _show_findings(self, terminal: Terminal) -> None:
        styles = {
            Verdict.DOCUMENTED: terminal.good,
            Verdict.ASSUMED: terminal.good,
            Verdict.DIFFERS: terminal.bad,
            Verdict.UNTOLD: terminal.doubtful,
        }
        before = len(_INDENT) + _NAME + _VERDICT
        for finding in self.findings:
            if finding.verdict is Verdict.NOT_ASKED:
                continue
            first, *more = wrapped(finding.seen, terminal.width - before) or [""]
            verdict = styles[finding.verdict](f"{finding.verdict:<{_VERDICT}}")
            terminal.line(f"{_INDENT}{finding.probe.name:<{_NAME}}{verdict}{first}")
            if finding.verdict is Verdict.DIFFERS:
                source = "documented" if finding.probe.documented else "assumed"
                more += wrapped(f"{source}: {finding.probe.says} ({finding.probe.source})", terminal.width - before)
            for line in more:
                terminal.line(f"{'':{before}}{terminal.dim(line)}")

    def _show_not_asked(self, terminal: Terminal) -> None:
        reasons: dict[str, list[str]] = {}
        for finding in self.findings:
            if finding.verdict is Verdict.NOT_ASKED:
                reasons.setdefault(finding.seen, []).append(finding.probe.name)
        if reasons:
            terminal.line("\nNot asked:")
        for reason, names in reasons.items():
            for line in wrapped(f"{', '.join(names)}: {reason}", terminal.width - len(_INDENT)):
                terminal.line(f"{_INDENT}{terminal.dim(line)}")

    def _show_differences(self, terminal: Terminal) -> None:
        compared = self.comparison
        terminal.line(
            f"\nThe simulator beside the exchange: {compared.answers} answers and {compared.events} kinds of events,"
            f" {len(compared.found)} difference(s)"
        )
        for each in compared.found:
            for line in wrapped(f"{each.about}: {each.difference.text}", terminal.width - len(_INDENT)):
                terminal.line(f"{_INDENT}{line}")


def report_of(recording: Recording, left_open: Iterable[str] = ()) -> Report:
    """Judge a recording, and put the same questions to the simulator.

    It runs an event loop of its own, in virtual time, so it must not be called on one.
    """
    findings = tuple(findings_of(recording))
    readings = {name: value for finding in findings for name, value in finding.readings.items()}
    comparison = compare_recordings(recording, ask_simulator(recording, readings))
    return Report(recording, findings, comparison, tuple(left_open))


def findings_of(recording: Recording) -> Iterable[Finding]:
    """Yield what came of each probe of this venue."""
    head = recording.head
    product = Product.of(VENUES[head.venue])
    given = _KEYS[head.key] | set(head.asked)
    for step in STEPS:
        evidence = Evidence(head, recording.records, step.name)
        for probe in step.probes:
            if product not in probe.products:
                continue
            missing = probe.missing(given)
            yield Finding(probe, Verdict.NOT_ASKED, missing) if missing is not None else probe.find(evidence)
