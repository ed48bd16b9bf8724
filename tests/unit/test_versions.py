from crsr_video.versions import library_versions, version_of


def test_the_first_installed_package_counts():
    assert version_of("no-such-package", "numpy") == version_of("numpy") != "missing"
    assert version_of("no-such-package") == "missing"


def test_every_library_of_an_installation_has_a_version():
    versions = library_versions()
    assert set(versions) == {"torch", "av", "numpy", "opencv", "ai-edge-litert"}
    assert "missing" not in versions.values()
