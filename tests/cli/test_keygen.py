"""keygen: who can read what it writes, and what it never does."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO, Self

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from binance_session import Ed25519Key
from binance_session.cli import keygen, main
from tests.cli.program import run

posix_only = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")


def public_bytes(path: Path) -> bytes:
    return load_pem_public_key(path.read_bytes()).public_bytes_raw()  # type: ignore[union-attr]


def test_makes_a_pair_that_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "key.pem"
    assert main(["keygen", "--out", str(path)]) == 0
    private = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(private, Ed25519PrivateKey)
    public = tmp_path / "key.pem.pub"
    assert private.public_key().public_bytes_raw() == public_bytes(public)
    assert public.read_text() in capsys.readouterr().out


def test_never_shows_the_private_half(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "key.pem"
    main(["keygen", "--out", str(path)])
    shown = "".join(capsys.readouterr())
    assert "PRIVATE" not in shown
    assert path.read_text().splitlines()[1] not in shown


@posix_only
def test_nobody_else_can_read_the_private_half_at_any_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mode is given to the call that creates the file: there is no moment at which it is another."""
    opened: list[tuple[str, int, int]] = []
    real = os.open

    def spy(path: str, flags: int, mode: int = 0o777) -> int:
        opened.append((Path(path).name, flags, mode))
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", spy)
    umask = os.umask(0)
    try:
        assert main(["keygen", "--out", str(tmp_path / "key.pem")]) == 0
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    ((flags, mode),) = [(flags, mode) for name, flags, mode in opened if name == "key.pem"]
    assert mode == 0o600
    assert flags & os.O_EXCL
    assert flags & os.O_CREAT


@pytest.mark.parametrize(("existing", "absent"), [("key.pem", "key.pem.pub"), ("key.pem.pub", "key.pem")])
def test_never_overwrites(existing: str, absent: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whichever half exists stays as it is, and the other half is not left behind alone."""
    (tmp_path / existing).write_text("precious")
    assert main(["keygen", "--out", str(tmp_path / "key.pem")]) == 2
    assert (tmp_path / existing).read_text() == "precious"
    assert not (tmp_path / absent).exists()
    message = capsys.readouterr().err
    assert existing in message
    assert "exists already" in message


@posix_only
def test_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "key.pem").symlink_to(tmp_path / "elsewhere")
    assert main(["keygen", "--out", str(tmp_path / "key.pem")]) == 2
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keygen", "--out", str(tmp_path / "nowhere" / "key.pem")]) == 2
    assert "cannot be written (No such file or directory)" in capsys.readouterr().err


def test_encrypts_with_a_password_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEY_PASSWORD", "correct horse")
    path = tmp_path / "key.pem"
    assert main(["keygen", "--out", str(path), "--password-env", "KEY_PASSWORD"]) == 0
    assert "ENCRYPTED" in path.read_text()
    key = Ed25519Key.from_pem(path, api_key="k", password="correct horse")
    assert key.private_key.public_key().public_bytes_raw() == public_bytes(tmp_path / "key.pem.pub")
    shown = capsys.readouterr().out
    assert "correct horse" not in shown
    assert "--password-env KEY_PASSWORD" in shown


def test_a_password_that_is_not_set_makes_no_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "key.pem"
    assert main(["keygen", "--out", str(path), "--password-env", "NO_SUCH_VARIABLE"]) == 2
    assert list(tmp_path.iterdir()) == []
    assert "NO_SUCH_VARIABLE, which is not set" in capsys.readouterr().err


@posix_only
def test_a_name_beyond_ascii_where_only_that_is_known(tmp_path: Path) -> None:
    """The files are there, so the command must not end as if they were not."""
    path = tmp_path / "schl\u00fcssel.pem"
    result = run("keygen", "--out", str(path), PYTHONIOENCODING="ascii", LC_ALL="C")
    assert (result.returncode, result.stderr) == (0, "")
    assert "PUBLIC KEY" in result.stdout
    assert path.exists()


def test_a_name_that_steers_a_terminal_is_shown_harmless(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["keygen", "--out", str(tmp_path / "a\x1b[2J.pem")])
    assert "\x1b" not in capsys.readouterr().out


def test_what_it_says_fits_a_narrow_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["keygen"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 60


@posix_only
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_whatever_ends_it_in_the_middle_nothing_is_left(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = os.open

    class Full:
        def __init__(self, file: BinaryIO) -> None:
            self._file = file

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *error: object) -> None:
            self._file.close()

        def write(self, data: bytes) -> None:
            raise error

    def opened(descriptor: int, mode: str) -> Full | BinaryIO:
        file = os.fdopen(descriptor, "wb")
        return file if names[descriptor].endswith(".pub") else Full(file)

    names: dict[int, str] = {}

    def spy(path: str | Path, flags: int, mode: int = 0o777) -> int:
        descriptor = real(path, flags, mode)
        names[descriptor] = str(path)
        return descriptor

    monkeypatch.setattr(os, "open", spy)
    monkeypatch.setattr(keygen, "open", opened, raising=False)
    assert main(["keygen", "--out", str(tmp_path / "key.pem")]) == (2 if isinstance(error, OSError) else 130)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("password", "words"), [("x" * 2000, "too long"), ("\udcff", "not valid text")], ids=["long", "no text"]
)
def test_a_password_that_cannot_be_one(
    password: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEY_PASSWORD", password)
    assert main(["keygen", "--out", str(tmp_path / "key.pem"), "--password-env", "KEY_PASSWORD"]) == 2
    assert list(tmp_path.iterdir()) == []
    shown = capsys.readouterr().err
    assert words in shown
    assert password not in shown
