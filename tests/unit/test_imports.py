"""Rules of the package's structure, read from its sources: layers of imports, and names."""

import ast
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

import crsr_video

PACKAGE = Path(crsr_video.__file__).parent

LAYERS = [
    ["_version"],
    ["crsr_video"],  # the version, and lazy names
    ["errors", "types", "checks", "config", "closing"],
    ["files", "formatting", "keyword_settings", "machine", "parsing", "records", "stopwatch"],
    ["private_folder"],
    ["imaging"],
    ["networks"],
    ["weights"],
    ["runtime", "io"],
    ["stages"],
    ["track"],
    ["restoration"],
    ["pipeline"],
    ["runner"],
    ["report"],
    ["inspection", "jobs", "live", "server", "export"],
    ["api"],
    ["plugins", "bench", "studio"],
    ["training", "evaluation"],
    ["cli"],
    ["__main__"],
]
"""From the ground up; a part imports from lower layers, and from itself."""
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
SAME_LAYER = {
    *LAYERS[2],
    "inspection",
    "jobs",
    "live",
    "server",
    "training",
    "evaluation",
    "bench",
}
"""Parts that may also use their neighbours (their order is checked by Python itself)."""

STAGES = ["people", "budget", "heads", "align", "consistify", "superres", "head_detail", "smooth"]
STAGES += ["backoff", "carry", "paste"]

BORDER = {"jobs.segments.packets", "report.media", "training.codec"}
BORDER |= {"bench.clip", "bench.live"}
"""Where PyAV's objects may be touched, beside `io`."""

INFERENCE = {name for names in LAYERS[: RANK["training"]] for name in names}


@dataclass(frozen=True)
class Import:
    """An import: the importing module, the imported one, and whether it runs on loading."""

    by: str
    of: str
    top: bool
    line: int

    @property
    def part(self) -> str:
        """Return the first part of the importing module's name below the package."""
        return self.by.split(".")[0]


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield path, ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "crsr_video"


def exists(name):
    path = PACKAGE.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def for_types_only(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports_of(path, name):
    """Return every import of a module, except those for the type checker."""

    def visit(node, top):
        for child in ast.iter_child_nodes(node):
            if for_types_only(child):
                for other in child.orelse:
                    yield from visit(ast.Module([other], []), top)
                continue
            inner = top and not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(name, own(alias.name), top, child.lineno)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{name}:{child.lineno}: relative import"
                for alias in child.names:
                    yield Import(name, own(child.module, alias.name), top, child.lineno)
            yield from visit(child, inner)

    return list(visit(ast.parse(path.read_text(encoding="utf-8")), True))


def own(module, imported=None):
    """Return the name of a module, without the package's name for our own."""
    if module != "crsr_video" and not module.startswith("crsr_video."):
        return f"foreign:{module}"
    inside = module.removeprefix("crsr_video").removeprefix(".")
    deeper = f"{inside}.{imported}".removeprefix(".") if imported else inside
    if imported and exists(deeper):
        return deeper
    return inside or "crsr_video"


ALL = [found for path, name in modules() for found in imports_of(path, name)]
OURS = [i for i in ALL if not i.of.startswith("foreign:")]


def users(library, *, top_only=False):
    """Return the modules that import a library."""
    return {
        i.by
        for i in ALL
        if i.of.removeprefix("foreign:").split(".")[0] == library
        and i.of.startswith("foreign:")
        and (i.top or not top_only)
    }


def test_the_reader_of_imports_finds_something():
    assert len(OURS) > 50
    assert any(i.by == "restoration" and i.of == "stages.smooth" and i.top for i in OURS)
    assert any(i.by == "track.litert" and i.of.startswith("foreign:ai_edge_litert") for i in ALL)


def test_every_module_has_its_layer():
    unknown = {name for _, name in modules() if name.split(".")[0] not in RANK}
    assert not unknown, "add them to LAYERS, where they belong"


def test_imports_run_from_leaves_to_the_command_line():
    wrong = []
    for found in OURS:
        target = found.of.split(".")[0]
        mine, theirs = RANK[found.part], RANK[target]
        inside = found.part == target
        if inside or theirs < mine or (theirs == mine and found.part in SAME_LAYER):
            continue
        wrong.append(f"{found.by}:{found.line} imports {found.of}")
    assert not wrong


def stage_of(name):
    """Return the stage to which a module belongs."""
    return name.removeprefix("stages.").split(".")[0] if name.startswith("stages.") else ""


def test_stages_do_not_know_each_other():
    wrong = [
        f"{i.by}:{i.line} imports {i.of}"
        for i in OURS
        if stage_of(i.by) in STAGES
        and stage_of(i.of) in STAGES
        and stage_of(i.by) != stage_of(i.of)
    ]
    assert not wrong


def test_stages_import_no_torch_but_where_networks_run():
    assert {by for by in users("torch") if by.startswith("stages")} <= {"stages.networks"}


def test_tracking_and_servers_know_only_the_contract_of_stages():
    outside = {(i.by, i.of) for i in OURS if i.part == "track" and i.of.startswith("stages")}
    assert {of for _, of in outside} <= {"stages.base"}


def test_inference_never_imports_training_or_evaluation():
    wrong = [
        f"{i.by}:{i.line}"
        for i in OURS
        if i.of.split(".")[0] in ("training", "evaluation") and i.part in INFERENCE
    ]
    assert not wrong


def test_networks_know_only_torch_and_each_other():
    wrong = [
        f"{i.by}:{i.line} imports {i.of}"
        for i in ALL
        if i.part == "networks"
        and i.of.split(".")[0] not in ("networks", "foreign:torch")
        and i.of.removeprefix("foreign:").split(".")[0] not in sys.stdlib_module_names
    ]
    assert not wrong


def test_only_the_ends_know_pyav():
    assert {name for name in users("av") if name.split(".")[0] != "io"} <= BORDER


def test_only_tracking_runs_mediapipe_s_models():
    assert {by.split(".")[0] for by in users("ai_edge_litert")} == {"track"}
    assert users("mediapipe") == set()  # its models run on LiteRT; only tests compare the two


def test_the_light_leaves_need_no_heavy_library():
    light = {"crsr_video", "errors", "types", "config", "runner"}
    light |= {"imaging", "imaging.geometry", "imaging.colour"}
    heavy = {by for library in ("torch", "cv2", "av", "mediapipe") for by in users(library)}
    assert not light & heavy


def speaks(name):
    """Return whether a module belongs to a command line, and so may print and exit."""
    return name.split(".")[0] in ("cli", "__main__") or name.endswith("__main__")


def test_only_command_lines_use_click():
    assert {name for name in users("click") if not speaks(name)} == set()


def test_only_command_lines_print_and_exit():
    wrong = []
    for path, name in modules():
        if speaks(name):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called in ("print", "exit", "quit", "sys.exit", "os._exit", "click.echo"):
                wrong.append(f"{name}:{node.lineno} {called}")
            if isinstance(node, ast.Raise) and "SystemExit" in ast.unparse(node):
                wrong.append(f"{name}:{node.lineno} SystemExit")
    assert not wrong


HEAVY = ["torch", "av", "mediapipe", "cv2", "scipy", "kornia", "safetensors", "tqdm"]


@pytest.mark.parametrize("module", ["crsr_video", "crsr_video.cli"])
def test_importing_loads_no_heavy_library(module):
    code = f"import sys, {module}; print([n for n in {HEAVY} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=PACKAGE.parent,
    )
    assert done.stdout.strip() == "[]"


def test_public_names_are_there():
    for name in crsr_video.__all__:
        assert getattr(crsr_video, name) is not None
    with pytest.raises(AttributeError, match="nothing_such"):
        crsr_video.nothing_such  # noqa: B018 - the access is the test


def test_every_public_class_has_a_name_of_its_own():
    names = Counter(
        node.name
        for path, _ in modules()
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []
