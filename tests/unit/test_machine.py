import re

from crsr_video import __version__
from crsr_video.machine import library_versions, version_of
from tests.support.paths import ROOT


def test_the_citation_file_names_the_current_version():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_newest_release_of_the_changelog_is_the_current_version():
    releases = re.findall(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert releases[0] == __version__


def test_the_first_installed_package_counts():
    assert version_of("no-such-package", "numpy") == version_of("numpy") != "missing"
    assert version_of("no-such-package") == "missing"


def test_every_library_of_an_installation_has_a_version():
    versions = library_versions()
    assert set(versions) == {"torch", "av", "numpy", "opencv", "ai-edge-litert"}
    assert "missing" not in versions.values()
