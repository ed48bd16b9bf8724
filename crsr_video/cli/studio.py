"""``crsr-video studio``: preview and export in the browser."""

import webbrowser
from pathlib import Path

import click

from crsr_video.cli import process
from crsr_video.cli.commands import command, option, section
from crsr_video.cli.values import WholeNumber


@command(short_help="Preview and export in the browser.")
@click.argument("paths", type=click.Path(path_type=Path, exists=True), nargs=-1)
@section(
    "Options",
    option(
        "--port",
        type=WholeNumber(0, 65535, example="8080"),
        default=0,
        help="Port; 0 takes a free one.",
    ),
    option("--host", default="127.0.0.1", help="Address to listen on."),
    option("--no-browser", is_flag=True, help="Print the address and do not open a browser."),
    option("--jobs", type=WholeNumber(1), default=1, help="Exports at a time."),
    option(
        "--work-folder",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder for uploads and the queue, instead of the user's cache.",
    ),
)
def studio(
    paths: tuple[Path, ...],
    port: int,
    host: str,
    no_browser: bool,
    jobs: int,
    work_folder: Path | None,
) -> None:
    """Open the studio in the browser.

    PATHS are files, or folders whose videos and pictures are offered. Other files can be dropped
    onto the page.

    \b
    crsr-video studio ~/Videos
    crsr-video studio interview.mp4
    """
    from crsr_video.files import cache_folder
    from crsr_video.studio.app import create_app
    from crsr_video.studio.serving import PageServer, listen
    from crsr_video.studio.workspace import Workspace
    from crsr_video.track import litert

    if host not in ("127.0.0.1", "localhost", "::1"):
        click.echo(
            f"crsr-video: warning: other computers can reach the studio at {host}. Everybody who "
            "knows the address with its token can read the files you named.",
            err=True,
        )
    process.limit_library_threads("auto")
    litert.prepare_process()
    place = listen(host, port)
    workspace = Workspace(
        tuple(path for path in paths if path.is_dir()),
        tuple(path for path in paths if path.is_file()),
        work_folder or cache_folder("studio"),
        parallel=jobs,
        on_loaded=process.finish_loading,
        release_memory=process.release_memory,
    )
    app = create_app(workspace, token=place.token, hosts=place.hosts)
    click.echo(f"crsr-video: the studio is at {place.address}", err=True)
    click.echo("crsr-video: press Ctrl-C to stop it", err=True)
    if not no_browser:
        webbrowser.open(place.address)
    PageServer(app, place, on_exit=workspace.begin_closing).serve_here()
