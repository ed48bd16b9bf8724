"""Installation of the effect."""

import json
import os
import shutil
import stat
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from click.testing import CliRunner

from crsr_video.cli import main
from crsr_video.errors import PluginError
from crsr_video.plugins import frei0r, installation
from tests.integration.plugins.conftest import ROOT, needs

PARAMETERS = ("strength", "min_face", "model", "compare", "debug", "tracks", "persons", "head")


def run(*words):
    return CliRunner().invoke(main, ["plugin", *(str(word) for word in words)])


def tree(folder):
    """Return every file below a folder with its content."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


pytestmark = pytest.mark.usefixtures("built")  # Skips where nothing can be compiled.


@pytest.fixture
def installed(home, program):
    """A home folder in which the effect is installed."""
    assert run("install", "--command", program).exit_code == 0
    return home


def test_everything_lands_where_programs_look(installed, program):
    here = installation.user_places()
    assert here.effect == installed / ".frei0r-1/lib/crsr.so"
    assert stat.S_IMODE(here.effect.stat().st_mode) == 0o755
    assert os.fsencode(program) in here.effect.read_bytes()  # what it starts its server with
    described = installed / ".local/share/kdenlive/effects/frei0r_crsr.xml"
    assert described.read_bytes() == frei0r.source_file(frei0r.KDENLIVE_DESCRIPTION).read_bytes()
    assert not list(installed.rglob("*.part"))
    loaded = frei0r.load(here.effect)
    assert (loaded.name, loaded.parameters) == ("crsr", PARAMETERS)


def test_status_lists_each_part(installed, program):
    done = run("status", "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == 0
    assert told["works"] and told["loads"] and told["current"] and told["command_found"]
    assert told["command"] == str(program)
    assert [file["state"] for file in told["files"]] == ["ok", "ok"]
    assert told["effect"]["parameters"] == list(PARAMETERS)
    effect = installed / ".frei0r-1/lib/crsr.so"
    for host in told["hosts"]:
        assert host["effect"] == (str(effect) if host["able"] else None)
        assert host["able"] or host["path"] is None
    assert "loads    version" in run("status").stdout


def test_status_before_and_after(home, program):
    before = run("status", "--json")
    assert before.exit_code == 1
    assert json.loads(before.stdout)["installed_version"] is None
    assert run("install", "--command", program).exit_code == 0
    (home / ".frei0r-1/lib/crsr.so").write_bytes(b"no effect at all")
    told = json.loads((done := run("status", "--json")).stdout)
    assert done.exit_code == 1
    assert not told["loads"] and "cannot be loaded" in told["trouble"]
    assert {file["state"] for file in told["files"]} == {"ok", "changed"}


def test_a_second_install_changes_nothing_and_an_update_replaces(installed, program):
    before = tree(installed)
    again = run("install", "--command", program)
    assert "is up to date" in again.stdout and "wrote" not in again.stdout
    assert tree(installed) == before
    other = installed / "crsr-video"
    shutil.copy(program, other)
    done = run("install", "--command", other)
    assert done.exit_code == 0, done.stderr
    assert os.fsencode(other) in (installed / ".frei0r-1/lib/crsr.so").read_bytes()


def test_uninstall_removes_exactly_what_was_installed(home, program):
    mine = home / ".frei0r-1/lib/mine.so"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    (home / ".config").mkdir()
    before = tree(home)
    assert run("install", "--command", program).exit_code == 0
    done = run("uninstall")
    assert done.exit_code == 0, done.stderr
    assert tree(home) == before
    assert sorted(p.name for p in home.iterdir()) == [".config", ".frei0r-1"]
    again = run("uninstall")
    assert again.exit_code == 1 and "is not installed" in again.stderr


def test_files_of_others_are_neither_replaced_nor_removed(home, program):
    theirs = home / ".frei0r-1/lib/crsr.so"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    refused = run("install", "--command", program)
    assert refused.exit_code == 1 and "not from crsr-video" in refused.stderr
    assert tree(home) == {theirs.relative_to(home): b"theirs"}
    assert run("install", "--command", program, "--force").exit_code == 0
    theirs.write_bytes(b"changed since")
    refused = run("install", "--command", program)
    assert refused.exit_code == 1 and "was changed" in refused.stderr
    done = run("uninstall")
    assert done.exit_code == 0 and str(theirs) in done.stderr
    assert tree(home) == {theirs.relative_to(home): b"changed since"}


def test_shotcut_gets_its_filter_where_it_is_unpacked(home, program, tmp_path):
    filters = tmp_path / "Shotcut.app/share/shotcut/qml/filters"
    filters.mkdir(parents=True)
    done = run("install", "--command", program, "--shotcut", tmp_path / "Shotcut.app")
    assert done.exit_code == 0, done.stderr
    assert sorted(p.name for p in (filters / "crsr").iterdir()) == ["meta.qml", "ui.qml"]
    assert run("uninstall").exit_code == 0
    assert not (filters / "crsr").exists() and filters.is_dir()
    wrong = run("install", "--command", program, "--shotcut", home)
    assert wrong.exit_code == 1 and "is Shotcut installed there" in wrong.stderr


@pytest.mark.parametrize(
    ("compiler_says", "told"),
    [
        ("none", "apt install gcc"),
        ("no header", "frei0r-plugins-dev"),
        ("nosuchcc -O3", "'nosuchcc'"),
        ("'", "$CC is not a valid command"),
        ("false", "cannot compile C programs: false: failed without a message"),
    ],
)
def test_missing_tools_are_named(home, program, monkeypatch, tmp_path, compiler_says, told):
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.delenv("CC", raising=False)
    if compiler_says == "no header":
        # Compiles anything but what asks for frei0r.h.
        fake = tools / "cc"
        fake.write_text('#!/bin/sh\nfor a; do case "$a" in *.c) f="$a";; esac; done\n')
        fake.write_text(fake.read_text() + 'while read -r l; do case "$l" in *frei0r*) exit 1;; ')
        fake.write_text(fake.read_text() + 'esac; done <"$f"\n')
        fake.chmod(0o755)
    elif compiler_says != "none":
        (tools / "false").symlink_to("/bin/false")
        monkeypatch.setenv("CC", compiler_says)
    done = run("install", "--command", program)
    assert done.exit_code == 1 and told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert tree(home) == {}


def test_a_source_that_does_not_compile_is_told_in_a_line(tmp_path, program):
    broken = tmp_path / "broken.c"
    broken.write_text("int f0r_init(void) { return missing; }\n")
    with pytest.raises(PluginError, match="missing") as caught:
        frei0r.build(broken, tmp_path / "broken.so", command=program)
    assert "\n" not in str(caught.value)


def test_a_library_that_is_no_effect_is_refused(tmp_path, program):
    other = tmp_path / "other.c"
    other.write_text("int other(void) { return 0; }\n")
    frei0r.build(other, tmp_path / "other.so", command=program)
    with pytest.raises(PluginError, match="not a frei0r effect"):
        frei0r.load(tmp_path / "other.so")


@pytest.mark.usefixtures("installed")
def test_a_damaged_list_is_not_believed():
    installation.user_places().manifest.write_text('{"format": 1, "files": 3}')
    for words in (("status",), ("uninstall",)):
        done = run(*words)
        assert done.exit_code == 1 and "damaged" in done.stderr


@pytest.mark.usefixtures("home")
def test_without_a_program_to_start_there_is_a_line(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    done = run("install")
    assert done.exit_code == 1 and "--command" in done.stderr


# The same effect by other builders --------------------------------------------------------------


@pytest.mark.plugins
@needs("cmake")
def test_cmake_builds_the_same_effect(built, program, tmp_path):
    source = ROOT / "plugins/frei0r"
    words = ["cmake", "-S", source, "-B", tmp_path, f"-DCRSR_COMMAND={program}"]
    subprocess.run(words, check=True, capture_output=True, timeout=100)
    subprocess.run(["cmake", "--build", tmp_path], check=True, capture_output=True, timeout=100)
    assert frei0r.load(tmp_path / "crsr.so") == frei0r.load(built / "crsr.so")
    assert os.fsencode(program) in (tmp_path / "crsr.so").read_bytes()


@pytest.mark.plugins
@needs("meson", "ninja")
def test_meson_builds_the_same_effect(built, program, tmp_path):
    source = ROOT / "plugins/frei0r"
    words = ["meson", "setup", tmp_path, source, f"-Dcommand={program}"]
    subprocess.run(words, check=True, capture_output=True, timeout=100)
    subprocess.run(["ninja", "-C", tmp_path], check=True, capture_output=True, timeout=100)
    assert frei0r.load(tmp_path / "crsr.so") == frei0r.load(built / "crsr.so")
    assert os.fsencode(program) in (tmp_path / "crsr.so").read_bytes()


# The editors' descriptions -----------------------------------------------------------------------


def test_kdenlive_s_description_fits_the_effect(built):
    root = ElementTree.parse(frei0r.source_file(frei0r.KDENLIVE_DESCRIPTION)).getroot()
    assert root.tag == "effect" and root.get("tag") == root.get("id") == "frei0r.crsr"
    found = {p.get("name"): p for p in root.findall("parameter")}
    assert tuple(found) == frei0r.load(built / "crsr.so").parameters
    kinds = ("animated", "constant", "list", "bool", "bool", "url", "keywords", "bool")
    assert tuple(p.get("type") for p in found.values()) == kinds
    assert all(p.findtext("name") for p in found.values())
    for parameter in found.values():
        low, high = float(parameter.get("min", 0)), float(parameter.get("max", 1))
        if parameter.get("type") in ("animated", "constant"):
            value = float(parameter.get("default")) * float(parameter.get("factor"))
            assert low <= value <= high == float(parameter.get("factor"))
        names = parameter.findtext("paramlistdisplay")
        if names is not None:
            assert len(names.split(",")) == len(parameter.get("paramlist").split(";"))


def test_shotcut_s_description_fits_the_effect():
    meta, controls = (frei0r.source_file(name).read_text() for name in frei0r.SHOTCUT_DESCRIPTION)
    assert "mlt_service: 'frei0r.crsr'" in meta and "qml: 'ui.qml'" in meta
    for number, name in enumerate(PARAMETERS):
        own = name.replace("_f", "F")
        assert f"readonly property string {own}: '{number}'" in controls
        assert f"filter.set({own}, " in controls
    assert controls.count("{") == controls.count("}")
    assert controls.count("(") == controls.count(")")


def test_the_files_are_where_the_build_takes_them_from():
    assert all((ROOT / "plugins" / name).is_file() for name in frei0r.SOURCES)
