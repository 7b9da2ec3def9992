"""The documentation keeps its word: every snippet runs, every command exists, every link leads somewhere."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import binance_session
from binance_session import COIN_M, COIN_M_TESTNET, SPOT, USD_M, Ed25519Key, Session, simulator
from binance_session.cli import main
from binance_session.cli.verify.steps import STEPS
from binance_session.health import answer
from binance_session.simulator import LoopClock, Readings, Simulator
from tests.lists import probes as probes_as_markdown

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "binance_session" / "docs"
PAGES = {
    "README.md": (ROOT / "README.md").read_text(encoding="utf-8"),
    **{str(path.relative_to(DOCS)): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))},
}
README = PAGES["README.md"]
LLMS = (DOCS / "llms.txt").read_text(encoding="utf-8")
COMMANDS = {page: re.findall(r"^\$ (.*)$", text, re.MULTILINE) for page, text in PAGES.items()}
TIMEOUT = 60

#: what the snippets of each page print
EXPECTED = {
    "README.md": [
        # what the front door promises: one logon with a key, then nothing
        (
            r"READY True \w+\n\[ApiError\(.*\n"
            r"session\.logon \['apiKey', 'signature', 'timestamp'\]\n"
            r"userDataStream\.start \[\]\n"
            r"account\.balance \['timestamp'\]\n"
            r"order\.cancel \['orderId', 'symbol', 'timestamp'\]\n"
        ),
    ],
    "tutorial.md": [
        r"<Session 'COIN-M 1' COIN-M ready>\n200 \w+\n",
        r"unknown\nNEW\n",
        r"mine-1 NEW\nmine-1 FILLED\n",
    ],
    "benchmarks.md": [r"NEW 49000.0\nNEW 49100.0\nNEW 49200.0\n"],
    "concepts/keepalive.md": [r""],
    "concepts/keys.md": [r""],
    "concepts/life.md": [r""],
    "concepts/outcomes.md": [
        r"True order\.status FILLED\n<Fate: the request took effect, and its order is FILLED \(order\.status; .*>\n"
    ],
    "howto/accounts.md": [
        r"carol failed: LogonRejected\nalice READY \w+\nbob READY \w+\n(alice|bob) ACCOUNT_UPDATE\n",
        r"balanceUpdate\noutboundAccountPosition\n",
    ],
    "howto/blocking.md": [r"\w+\n200\n", r"200 OK\n\[b'ready'\]\n"],
    "howto/from-ccxt.md": [r"mine-1 NEW\nmine-1 NEW\n"],
    "howto/from-connectors.md": [r"mine-1\n"],
    "howto/from-python-binance.md": [r"mine-1 \w+\n-2013\n"],
    "howto/gaps.md": [r"filled: mine-1\nmissed something\? .*\nposition: 1\nfilled: mine-2\n"],
    "howto/health.md": [
        r"\('the session was not opened',\)\nTrue True \(\)\n",
        r"/livez 200\n/readyz 503\n",
    ],
    "howto/hooks.md": [
        (
            r"NEW -> CONNECTING \nCONNECTING -> LOGGING_ON \nsession\.logon 200\nLOGGING_ON -> READY \n"
            r"READY -> WAITING because .*\nWAITING -> CONNECTING \nCONNECTING -> LOGGING_ON \nsession\.logon 200\n"
            r"LOGGING_ON -> READY \nREADY -> CLOSING \nCLOSING -> CLOSED \n"
        )
    ],
    "howto/logging.md": [r""],
    "howto/network.md": [r""],
    "howto/numbers.md": [
        r"True\n1 True\n",
        r'binance_session_ready\{session="COIN-M \d",venue="COIN-M"\} 1\.0\n',
    ],
    "howto/recorder.md": [r"unknown\.jsonl\n", r"the session behaves as it did\n"],
    "howto/settings.md": [r"COIN-M testnet\n"],
    "howto/testing.md": [
        r"",
        r"PARTIALLY_FILLED\nFILLED\n\['session\.logon', 'order\.place', 'order\.status', 'order\.status'\]\n",
        (
            r"error ServerError unknown False\nno_answer RequestTimeout unknown True\n"
            r"drop_before ConnectionLost unknown False\ndrop_after ConnectionLost unknown True\n"
        ),
        r"\d\d pings, 2 connections\n",
    ],
    "howto/threads.md": [r"\w+\n"],
}
#: this page's bot is stopped by a signal: a test of its own
SIGNALLED = "howto/supervisor.md"

#: a process runs the snippets of a page, each in a namespace of its own
RUNNER = r"""
import json, sys
for snippet in json.load(sys.stdin):
    exec(compile(snippet, "<snippet>", "exec"), {"__name__": "__main__"})
    print("\0", end="", flush=True)
"""


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], re.DOTALL)


def prose(text: str) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def test_no_page_is_left_out() -> None:
    """A page with a snippet is named above; what is no Python is run elsewhere, or is looked at below."""
    assert {page for page in PAGES if blocks(page, "python")} == {*EXPECTED, SIGNALLED}
    assert {page for page in PAGES if blocks(page, "js")} == {
        "howto/languages.md",  # tests/cli/test_run.py
        "simulator.md",  # tests/cli/test_simulate_lines.py
    }
    fences = {fence for text in PAGES.values() for fence in re.findall(r"^```(\S+)$", text, re.MULTILINE)}
    directives = {"{eval-rst}", "{toctree}", "{include}", "mermaid"}
    assert fences <= {"python", "js", "console", "ini", "text", "toml", "yaml"} | directives


@pytest.mark.parametrize("page", EXPECTED)
def test_a_snippet_runs_and_prints_what_is_said(page: str) -> None:
    """With warnings as errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUNNER],
        input=json.dumps(blocks(page, "python")),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Exception ignored" not in done.stderr
    *printed, rest = done.stdout.split("\0")
    assert rest == ""
    for expected, shown in zip(EXPECTED[page], printed, strict=True):
        assert re.fullmatch(expected, shown), shown


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_bot_that_is_stopped_by_a_signal_ends_cleanly() -> None:
    [snippet] = blocks(SIGNALLED, "python")
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", snippet], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as bot:
        assert bot.stdout is not None
        assert bot.stdout.readline() == "ready\n"
        bot.send_signal(signal.SIGTERM)
        shown, errors = bot.communicate(timeout=TIMEOUT)
    assert (bot.returncode, shown) == (0, "stopped\n"), errors


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_the_service_starts_and_ends(tmp_path: Path) -> None:
    """Its command line, with a key that is made here and a simulator's addresses."""
    [unit] = blocks(SIGNALLED, "ini")
    settings = dict(line.split("=", 1) for line in unit.splitlines() if "=" in line)
    program, *arguments = shlex.split(settings["ExecStart"])
    assert program.endswith("/binance-session")
    assert settings["RestartPreventExitStatus"] == "2 3"
    statuses = set(re.findall(r"^\| (\d) \| [^|]+\|", PAGES["command-line.md"], re.MULTILINE))
    assert statuses == {"0", "1", "2", "3"}

    async def service() -> None:
        key, files = made(tmp_path)
        arguments[:] = [str(files.get(Path(argument).name, argument)) for argument in arguments]
        async with Simulator(COIN_M) as exchange:
            exchange.add_key(key.api_key, public_key=key.public_pem())
            urls = ["--url", exchange.url, "--stream-url", str(exchange.stream_url)]
            running = await started(*arguments, *urls)
            assert running.stdout is not None
            assert json.loads(await running.stdout.readline())["gap"]
            running.send_signal(signal.SIGTERM)
            await running.communicate()
            assert running.returncode == 0

    asyncio.run(asyncio.wait_for(service(), TIMEOUT))


def test_the_tests_for_a_bot_pass(tmp_path: Path) -> None:
    (tmp_path / "test_bot.py").write_text(blocks("howto/testing.md", "python")[0])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:anyio"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_probes_of_kubernetes_ask_what_is_answered() -> None:
    [manifest] = blocks("howto/health.md", "yaml")
    command = re.findall(r"^ +command: \[(.*)\]$", manifest, re.MULTILINE)[0].replace('"', "").split(", ")
    assert command[:2] == ["binance-session", "run"]
    port = command[command.index("--health") + 1].rpartition(":")[2]
    asked = re.findall(r"httpGet: \{path: (\S+), port: (\d+)\}", manifest)
    assert asked == [("/livez", port), ("/readyz", port)]
    for path, _ in asked:
        assert answer(Session(COIN_M), "GET", path)[0] in (200, 503)


def made(folder: Path) -> tuple[Ed25519Key, dict[str, Path]]:
    """Make a key and the files that hold it, by their names."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519Key.generate(api_key="rehearsal")
    pem = key.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    files = {"key.pem": pem, "api-key": key.api_key.encode(), "secret": b"a secret"}
    for name, content in files.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    return key, {name: folder / name for name in files}


async def started(*arguments: str, cwd: Path | None = None) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "binance_session", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
    )


def test_the_first_screen() -> None:
    """What it is and what is not proven, then a command, then a program, within some forty lines."""
    assert len(README.encode()) <= 10_000
    assert README.splitlines().index("```python") < 16
    first = README[: README.index("```python")]
    assert first.count("\n\n") <= 4
    assert "Not yet tried by us against the live exchange" in first


def test_the_commands_of_the_readme() -> None:
    """The two that set everything up are the ones that .ci/run executes."""
    install, test = COMMANDS["README.md"]
    assert install == "python3 -m venv .venv && .venv/bin/pip install --quiet . && .venv/bin/binance-session demo"
    assert test.startswith("python3 -m venv .venv && ")
    assert test.endswith("&& .venv/bin/python -m pytest -n auto")
    ci = (ROOT / ".ci" / "run").read_text()
    assert r"sed -n 's/^\$ \(python3 -m venv .*\)$/\1/p' README.md" in ci
    assert ci.count('bash -c "${commands[0]}"') == ci.count('bash -c "${commands[1]}"') == 1


def test_the_commands_of_the_pages() -> None:
    """Each is known here, and by the tests below."""
    assert {page: commands for page, commands in COMMANDS.items() if commands and page != "README.md"} == {
        "benchmarks.md": ["python -m benchmarks"],
        "command-line.md": [
            "binance-session keygen --out key.pem",
            "binance-session check --venue coin-m --key-file key.pem --api-key-file api-key",
        ],
        "contributing.md": [
            ".venv/bin/python -m pytest -n auto --all -m long",
            ".venv/bin/python -m pytest --loop uvloop tests/requests",
            ".venv/bin/python -m pytest -m sdk tests/foreign",
            ".venv/bin/mypy",
            ".venv/bin/ruff check",
            ".venv/bin/pip install --quiet '.[typing]'",
            ".venv/bin/basedpyright",
            ".venv/bin/pip install --quiet '.[docs]'",
            ".venv/bin/sphinx-build -n -W binance_session/docs /tmp/docs",
        ],
        "howto/verify.md": [
            "binance-session keygen --out key.pem",
            "binance-session verify --venue coin-m-testnet --key-file key.pem --api-key-file api-key --orders",
            "binance-session verify --from verify-coin-m-testnet.jsonl --as-readings",
            "binance-session simulate --venue coin-m --readings readings.json --json",
        ],
        "simulator.md": [
            "binance-session simulate --venue coin-m --json --api-key my-key --secret-file secret",
        ],
    }
    # in every block of code that shows commands, a line that is none is none by mistake
    for page in PAGES:
        assert all(line.startswith("$ ") for block in blocks(page, "console") for line in block.splitlines()), page


def test_a_key_is_made_and_tried(tmp_path: Path) -> None:
    keygen, check = (shlex.split(command)[1:] for command in COMMANDS["command-line.md"])

    async def walk() -> None:
        making = await started(*keygen, cwd=tmp_path)
        await making.communicate()
        assert making.returncode == 0
        (tmp_path / "api-key").write_text("rehearsal")
        (tmp_path / "api-key").chmod(0o600)
        async with Simulator(COIN_M) as exchange:
            exchange.add_key("rehearsal", public_key=(tmp_path / "key.pem.pub").read_text())
            trying = await started(*check, "--url", exchange.url, cwd=tmp_path)
            shown, errors = await trying.communicate()
            assert trying.returncode == 0, (shown, errors)

    asyncio.run(asyncio.wait_for(walk(), TIMEOUT))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.long
def test_an_exchange_is_verified(tmp_path: Path) -> None:
    """What was seen of it is what the simulator is set to."""
    keygen, verify, again, simulate = (shlex.split(command)[1:] for command in COMMANDS["howto/verify.md"])

    async def walk() -> None:
        making = await started(*keygen, cwd=tmp_path)
        await making.communicate()
        (tmp_path / "api-key").write_text("rehearsal")
        (tmp_path / "api-key").chmod(0o600)
        clock, readings = LoopClock(start=1_767_225_605), Readings(listen_key_per="key", expired_pushes=2)
        async with Simulator(COIN_M_TESTNET, clock=clock, readings=readings) as exchange:
            exchange.add_key("rehearsal", public_key=(tmp_path / "key.pem.pub").read_text())
            urls = ["--url", exchange.url, "--stream-url", str(exchange.stream_url), "--record", again[2]]
            asking = await started(*verify, *urls, cwd=tmp_path)
            shown, errors = await asking.communicate()
            assert asking.returncode == 1, (shown, errors)
        telling = await started(*again, cwd=tmp_path)
        shown, _ = await telling.communicate()
        (tmp_path / "readings.json").write_bytes(shown)
        assert json.loads(shown)["expired_pushes"] == 2
        running = await started(*simulate, cwd=tmp_path)
        assert running.stdout is not None
        assert json.loads(await running.stdout.readline())["url"].startswith("ws://127.0.0.1:")
        running.send_signal(signal.SIGTERM)
        await running.communicate()
        assert running.returncode == 0

    asyncio.run(asyncio.wait_for(walk(), TIMEOUT))


def test_open_questions_name_the_probes_that_answer_them() -> None:
    """And those that have none say so."""
    protocol = (ROOT / "binance_session" / "PROTOCOL.md").read_text(encoding="utf-8")
    questions = re.findall(r"^(\d+)\. (.*)$", protocol[protocol.index("## 11. Open questions") :], re.MULTILINE)
    assert [int(number) for number, _ in questions] == list(range(1, 16))
    probes = [probe for step in STEPS for probe in step.probes]
    for number, text in questions:
        linked = re.findall(r"\[`([a-z-]+)`\]\(docs/reference/probes\.md#\1\)", text)
        assert set(linked) <= {probe.name for probe in probes}
        assert {probe.name for probe in probes if probe.question == int(number)} <= set(linked), number
        assert linked or "No probe." in text, number


def test_the_probes_are_up_to_date() -> None:
    """If this fails: ``python -m tests.lists``."""
    assert probes_as_markdown() in PAGES["reference/probes.md"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_the_simulator_starts(tmp_path: Path) -> None:
    made(tmp_path)
    [command] = COMMANDS["simulator.md"]

    async def walk() -> None:
        running = await started(*shlex.split(command)[1:], cwd=tmp_path)
        assert running.stdout is not None
        first = json.loads(await running.stdout.readline())
        assert first["url"].startswith("ws://127.0.0.1:")
        assert first["stream_url"].startswith("ws://127.0.0.1:")
        running.send_signal(signal.SIGTERM)
        await running.communicate()
        assert running.returncode == 0

    asyncio.run(asyncio.wait_for(walk(), TIMEOUT))


def test_the_benchmarks_start() -> None:
    [command] = COMMANDS["benchmarks.md"]
    done = subprocess.run(
        [sys.executable, *shlex.split(command)[1:], "--help"],
        cwd=ROOT,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_tests_that_are_named_exist() -> None:
    """Their folders, the options of conftest.py, the markers of pyproject.toml."""
    conftest = (ROOT / "tests" / "conftest.py").read_text()
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["markers"]
    markers = {text.partition(":")[0] for text in declared}
    runs = [command for commands in COMMANDS.values() for command in commands if "-m pytest" in command]
    runs += re.findall(r"`\.venv/bin/(python -m pytest -m sdk)` \.\.\.", PAGES["simulator.md"])
    assert len(runs) == 5
    for command in runs:
        arguments = command.partition("-m pytest")[2]
        assert set(re.findall(r"-m (\w+)", arguments)) <= markers
        for option in re.findall(r"--\w+", arguments):
            assert f'"{option}"' in conftest
    named = {path for text in PAGES.values() for path in re.findall(r"\btests/[\w/]+(?:\.py)?", text)}
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_every_command_of_the_table_exists(capsys: pytest.CaptureFixture[str]) -> None:
    """The program's own help names no other; what is said with a command is an option of it."""
    table = set(re.findall(r"^\| `binance-session (\w+)`", PAGES["command-line.md"], re.MULTILINE))
    assert table == set(re.findall(r"^    (\w+) ", shown_help(capsys), re.MULTILINE))
    for page, text in {**PAGES, "llms.txt": LLMS}.items():
        for name, arguments in re.findall(r"binance-session (\w+)((?: [^`\n&]*)?)", text):
            assert name in table, (page, name)
            helped = shown_help(capsys, name)
            for option in re.findall(r"--[a-z-]+", arguments):
                assert f"{option} " in helped or option == "--help", (page, name, option)


def shown_help(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    return capsys.readouterr().out


def test_every_extra_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {name for text in PAGES.values() for name in re.findall(r"`\[(\w+)\]`", text)}
    assert named == set(extras)


def test_every_error_has_its_row() -> None:
    """The table of outcomes leaves none out that a caller may get."""
    from binance_session import errors

    abstract = {"BinanceSessionError", "InsecureTransportError"}
    raised = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    page = PAGES["concepts/outcomes.md"]
    table = page[page.index("## Errors and outcomes") : page.index("## Ask")]
    missing = {name for name in raised - abstract if f"`{name}`" not in table}
    assert missing == set()


def test_every_fault_of_the_table_has_its_test() -> None:
    """A row without a link, or with one to a test that is gone or was renamed, fails here."""
    table = [line for line in PAGES["concepts/faults.md"].splitlines() if line.startswith("| ")][1:]
    assert len(table) >= 60
    for row in table:
        found = re.search(r"\| \[([^]]+)\]\(\.\./\.\./\.\./(tests/[\w/]+\.py)\) \|$", row)
        assert found is not None, row
        title, path = found.groups()
        assert f"def test_{title.replace(' ', '_')}(" in (ROOT / path).read_text(encoding="utf-8"), title


def test_every_state_and_hook_has_its_row() -> None:
    states = re.findall(r"^\| ([A-Z_]+) \|", PAGES["concepts/life.md"], re.MULTILINE)
    assert states == [state.name for state in binance_session.SessionState]
    hooks = {name for name in dir(binance_session.Session) if name.startswith("on_")}
    assert set(re.findall(r"^\| `(on_\w+)\(", PAGES["howto/hooks.md"], re.MULTILINE)) == hooks


def test_the_table_of_names_names_what_there_is() -> None:
    """A module, or a class in it, that was renamed fails here."""
    page = PAGES["architecture.md"]
    table = page[page.index("## Names") : page.index("## The rooms")]
    rows = re.findall(r"^\| (?!word |---)([^|]+) \|", table, re.MULTILINE)
    words = [word for row in rows for word in row.split(", ")]
    assert len(words) == len(set(words))  # one thing for each word
    named = re.findall(r"`((?:config|connections|events|requests|websocket)\.[\w.]+)`", table)
    assert len(named) >= 15
    for name in named:
        module, _, kind = re.fullmatch(r"([a-z.]+[a-z])(\.([A-Z]\w+))?", name).group(1, 2, 3)  # type: ignore[union-attr]
        found = importlib.import_module(f"binance_session.{module}")
        assert kind is None or hasattr(found, kind), name


def test_the_methods_that_are_named_exist() -> None:
    methods = {*COIN_M.methods, *USD_M.methods, *SPOT.methods}
    named = {name for text in PAGES.values() for name in re.findall(r"request\(\"([^\"]+)\"", text)}
    assert len(named) >= 10
    assert named <= methods


def test_every_public_name_is_in_the_reference() -> None:
    reference = "".join(text for page, text in PAGES.items() if page.startswith("reference/"))
    for module in (binance_session, simulator):
        for name in module.__all__:
            documented = (
                rf"auto\w+:: {module.__name__}\.{name}(\(\))?$|py:data:: {name}\n   :module: {module.__name__}$"
            )
            assert re.search(documented, reference, re.MULTILINE), name


def test_llms_txt_has_every_name_and_page() -> None:
    """And no other."""
    for module in (binance_session, simulator):
        listed = re.search(rf"^Names of `{module.__name__}`:\n(.*?)\.\n\n", LLMS, re.DOTALL | re.MULTILINE)
        assert listed is not None
        assert [name.strip() for name in listed[1].split(",")] == module.__all__
    linked = {target for _, target in links(LLMS)}
    assert linked == set(PAGES) - {"README.md", "index.md", "howto/index.md", "concepts/index.md"}


def links(text: str) -> list[tuple[str, str]]:
    return re.findall(r"\[([^]\[]*)\]\(([^)\s]+)\)", prose(text))


def anchors(text: str, folder: Path) -> set[str]:
    """Return what a link into a page may name: its headings, as GitHub and MyST write them."""
    for included in re.findall(r"```\{include\} (\S+)", text):
        text += (folder / included).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, "llms.txt"])
def test_every_link_leads_somewhere(page: str) -> None:
    text = LLMS if page == "llms.txt" else PAGES[page]
    folder = ROOT if page == "README.md" else (DOCS / page).parent
    for title, target in links(text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = folder / path if path else folder / Path(page).name
        assert file.is_file(), (title, target)
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8"), file.parent), (title, target)


def test_the_site_is_not_in_the_wheel() -> None:
    """And PROTOCOL.md, which the code refers to, is."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert build["wheel"] == {"packages": ["binance_session"], "exclude": ["binance_session/docs"]}
    assert (ROOT / "binance_session" / "PROTOCOL.md").is_file()
