"""The render command: what it prints and writes, and what it says about wrong arguments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_ha.render.__main__ import main
from otel_ha.render.kinds import KINDS, FromCatalogs

ROOT = Path(__file__).parents[2]
OURS = "otel_ha.vocabulary.ingest"
RENDERED_FROM_CATALOGS = [name for name, kind in KINDS.items() if isinstance(kind, FromCatalogs)]


def render(*arguments: str, path: Path = ROOT, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(path))), "PYTHONWARNINGS": "error"}
    environment |= options.pop("environment", {})
    command = [sys.executable, "-m", "otel_ha.render", *arguments]
    defaults = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    return subprocess.run(command, env=environment, check=False, timeout=60, **(defaults | options))


def a_module(folder: Path, name: str, code: str) -> str:
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    return name


@pytest.mark.parametrize("kind", RENDERED_FROM_CATALOGS)
def test_the_same_catalog_gives_the_same_bytes_in_every_process(kind):
    one, other = (render(kind, environment={"PYTHONHASHSEED": seed}) for seed in ("1", "2"))
    assert one.returncode == other.returncode == 0, one.stderr
    assert one.stdout == other.stdout != ""


@pytest.mark.parametrize("kind", RENDERED_FROM_CATALOGS)
def test_the_files_are_those_that_are_printed(kind, tmp_path):
    done = render(kind, "--out", str(tmp_path / "new" / "folder"))
    paths = [Path(line.removesuffix(": written")) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    assert "".join(path.read_text(encoding="utf-8") for path in paths) == render(kind).stdout


def test_a_file_that_has_not_changed_is_not_written_again(tmp_path, capfdbinary):
    rules = ["rules", "--out", str(tmp_path)]
    assert main(rules) == 0
    (file,) = tmp_path.iterdir()
    os.utime(file, (1, 1))
    assert main(rules) == 0
    assert file.stat().st_mtime == 1
    assert capfdbinary.readouterr().out.decode() == f"{file}: written\n{file}: unchanged\n"


def test_the_written_files_are_printed_as_json_on_request(tmp_path):
    for written in (True, False):
        done = render("rules", "--out", str(tmp_path), "--json")
        assert json.loads(done.stdout) == {"files": [{"path": str(tmp_path / "otel_ha.rules.yml"), "written": written}]}


def test_the_texts_are_printed_as_json_on_request():
    (file,) = json.loads(render("rules", "--json").stdout)["files"]
    assert file == {"name": "otel_ha.rules.yml", "text": render("rules").stdout}


ACME = """
from otel_ha import Catalog, Counter
from otel_ha.vocabulary import ingest
OPENINGS = Counter("acme.window.openings", unit="{opening}", description="Windows that were opened.")
CATALOG = Catalog(OPENINGS)
ALL = ingest.CATALOG | CATALOG
"""


@pytest.mark.parametrize(
    ("catalogs", "name"),
    [(["acme"], "acme"), (["acme:ALL"], "otel_ha"), (["acme", OURS], "otel_ha"), ([], "otel_ha")],
)
@pytest.mark.parametrize("kind", ["rules", "alerts"])
def test_a_file_without_our_events_stands_beside_ours_and_one_with_them_replaces_it(kind, catalogs, name, tmp_path):
    a_module(tmp_path, "acme", ACME)
    named = [argument for catalog in catalogs for argument in ("--catalog", catalog)]
    render(kind, *named, "--out", str(tmp_path / "out"), path=tmp_path)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"{name}.{kind}.yml"]


def test_several_catalogs_are_rendered_together():
    others = ("--catalog", "otel_ha.vocabulary.messaging", "--catalog", "otel_ha.vocabulary.runtime")
    both = render("rules", "--catalog", OURS, *others).stdout
    assert both == render("rules").stdout
    alone = render("rules", "--catalog", OURS).stdout
    assert "job:process_threads" in both
    assert "job:process_threads" not in alone


def test_the_text_is_utf_8_whatever_the_terminal_speaks():
    assert render("reference", environment={"PYTHONIOENCODING": "ascii"}).stdout == render("reference").stdout


CLASH = """
from otel_ha import Catalog, Counter
CATALOG = Catalog(Counter("homeassistant.event.received", unit="{event}", description="Mine."))
"""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise RuntimeError('one\\ntwo')", "cannot import 'mine': RuntimeError: one two; --catalog names a module"),
        ("import sys; sys.exit('bye')", "cannot import 'mine': SystemExit: bye; --catalog names"),
        ("CATALOG = 3", "mine:CATALOG is not a Catalog but 3; write MODULE:NAME of a Catalog"),
        (
            "def __getattr__(name): raise RuntimeError('one\\ntwo')",
            "cannot read mine:CATALOG: RuntimeError: one two; --cat",
        ),
        (
            "def __getattr__(name): raise SystemExit('bye')",
            "cannot read mine:CATALOG: SystemExit: bye; --catalog names",
        ),
        (CLASH, f"cannot unite {OURS}:CATALOG and mine:CATALOG: two instruments are named 'homeassistant.event.rec"),
    ],
    ids=["raises", "leaves", "no catalog", "raises later", "leaves later", "clashes"],
)
def test_a_catalog_that_cannot_be_rendered_is_one_line_and_no_traceback(tmp_path, code, said):
    done = render("rules", "--catalog", OURS, "--catalog", a_module(tmp_path, "mine", code), path=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    usage, error = done.stderr.splitlines()
    assert usage.startswith("usage:")
    assert said in error


HALF = """
from otel_ha import Catalog, Counter
CATALOG = Catalog(Counter("acme.opened", unit="1", description="Opened \\udc80."))
"""


@pytest.mark.parametrize("kind", ["reference", "registry", "dashboards"])
def test_half_of_a_surrogate_pair_is_printed_and_written_by_its_number(tmp_path, kind):
    mine = a_module(tmp_path, "mine", HALF)
    printed = render(kind, "--catalog", mine, path=tmp_path)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert "Opened \\udc80." in printed.stdout.replace("DC80", "dc80")
    written = render(kind, "--catalog", mine, "--out", str(tmp_path / "out"), path=tmp_path)
    assert (written.returncode, written.stderr) == (0, "")


def test_a_module_may_make_its_catalog_when_asked_and_have_no_text_as_its_docstring(tmp_path):
    code = (
        f"__doc__ = 5\ndef __getattr__(name):\n    print('hello')\n    from {OURS} import CATALOG\n    return CATALOG\n"
    )
    done = render("rules", "--catalog", a_module(tmp_path, "mine", code), path=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "hello" not in done.stdout


def test_what_a_users_module_prints_is_no_part_of_the_file(tmp_path):
    mine = a_module(tmp_path, "mine", f"from {OURS} import CATALOG\nprint('hello')\n")
    done = render("rules", "--catalog", mine, path=tmp_path)
    assert done.returncode == 0
    assert "hello" not in done.stdout
    assert "hello" in done.stderr


@pytest.mark.parametrize("arguments", [("rules",), ("rules", "--out", "folder")], ids=["text", "paths"])
def test_a_reader_that_leaves_early_is_no_error_message(tmp_path, arguments):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = render(*arguments, stdout=writer, cwd=tmp_path)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_line_and_no_traceback():
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = render("rules", stdout=full)
    assert done.returncode == 2
    assert "cannot print: No space left on device; --out DIR writes files instead" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_written_is_one_line_and_no_traceback(tmp_path):
    (tmp_path / "file").touch()
    done = render("rules", "--out", str(tmp_path / "file"))
    assert done.returncode == 2
    assert "file/otel_ha.rules.yml: " in done.stderr
    assert "; --out names a folder to write to" in done.stderr
    assert "Traceback" not in done.stderr
