"""The studio's HTTP API, and the page that uses it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, WebSocket
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.staticfiles import StaticFiles

from crsr_video._version import __version__
from crsr_video.errors import CrsrError
from crsr_video.studio.camera import CameraSession, camera_devices
from crsr_video.studio.library import LibraryError
from crsr_video.studio.playing import MAX_WIDTH, PlaySession
from crsr_video.studio.serving import AccessControl
from crsr_video.studio.settings import FORMATS, Export, StudioSettings
from crsr_video.studio.sockets import PageSession, Send, converse
from crsr_video.studio.workspace import Workspace

_STATIC = Path(str(resources.files("crsr_video.studio"))) / "static"


class FrameRequest(BaseModel):
    """A single frame of a file, before and after."""

    at: Annotated[float, Field(ge=0)] = 0.0
    """Seconds from the beginning of the file."""
    width: Annotated[int, Field(ge=16, le=MAX_WIDTH)] = 1280
    """Largest width in pixels of the pictures."""
    settings: StudioSettings = StudioSettings()
    job: str = ""
    """Finished export whose result is the picture after, instead of a preview."""


class Regrouping(BaseModel):
    """A change of which tracks are the same person."""

    action: Annotated[str, Field(pattern="^(merge|split)$")]
    people: Annotated[list[int], Field(min_length=1)]


Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def protected_app(
    title: str, *, token: str, hosts: frozenset[str], lifespan: Lifespan | None = None
) -> FastAPI:
    """Return an application that serves the static files to those who have the token.

    Args:
        title: Name of the application.
        token: Secret that opens the page; see `access`.
        hosts: Names and ports by which the application may be addressed.
        lifespan: Context manager that is entered at the start, and left at the end.
    """
    app = FastAPI(
        title=title,
        version=__version__,
        description="Preview and export videos with enhanced faces.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(AccessControl, token=token, hosts=hosts)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    return app


def static_page(name: str) -> HTMLResponse:
    """Return one of the pages."""
    return HTMLResponse((_STATIC / name).read_text("utf-8"))


def create_app(workspace: Workspace, *, token: str, hosts: frozenset[str]) -> FastAPI:
    """Return the studio as an ASGI application.

    Args:
        workspace: Files, people, jobs and networks.
        token: Secret that opens the page.
        hosts: Names and ports by which the studio may be addressed.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        workspace.start()
        yield
        await run_in_threadpool(workspace.close)

    app = protected_app("crsr-video studio", token=token, hosts=hosts, lifespan=lifespan)

    @app.exception_handler(CrsrError)
    async def explain(_: Request, error: CrsrError) -> JSONResponse:
        status = 404 if isinstance(error, LibraryError) else 422
        return JSONResponse({"detail": str(error)}, status_code=status)

    _add_pages(app)
    _add_files(app, workspace)
    _add_people(app, workspace)
    _add_exports(app, workspace)
    _add_streams(app, workspace)
    return app


def _add_pages(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return static_page("index.html")

    @app.get("/docs", include_in_schema=False)
    async def documentation() -> HTMLResponse:
        return static_page("docs.html")


def _add_files(app: FastAPI, workspace: Workspace) -> None:
    @app.get("/api/options")
    async def options() -> dict[str, Any]:
        """Return the models and output formats that can be chosen."""
        formats = [
            {"name": f.name, "title": f.title, "hint": f.hint, "qualities": list(f.qualities)}
            for f in FORMATS
        ]
        return {"models": workspace.models(), "formats": formats, "version": __version__}

    @app.get("/api/files")
    async def files() -> dict[str, Any]:
        """Return all files that may be opened."""
        return {"files": await run_in_threadpool(workspace.list_files)}

    @app.post("/api/files", status_code=201)
    async def upload(request: Request, name: Annotated[str, Query(max_length=500)]) -> Any:
        """Store a file. The request's body is the content of the file."""
        item = await workspace.library.store(name, request.stream())
        workspace.events.publish("files", {})
        return {"id": item.id, "name": item.name}

    @app.get("/api/files/{file_id}")
    async def file(file_id: str) -> dict[str, Any]:
        """Return the properties of one file: size, frame rate, duration, codec."""
        return await run_in_threadpool(workspace.file_facts, file_id)

    @app.get("/api/files/{file_id}/content")
    async def content(file_id: str) -> FileResponse:
        """Return the file itself."""
        item = workspace.library.item(file_id)
        return FileResponse(item.path, filename=item.name)

    @app.get("/api/files/{file_id}/thumbnail")
    async def thumbnail(
        file_id: str,
        at: Annotated[float, Query(ge=0)] = 0.0,
        width: Annotated[int, Query(ge=16, le=640)] = 160,
    ) -> Response:
        """Return a small JPEG of the frame at a time, unenhanced."""
        data = await run_in_threadpool(workspace.thumbnail, file_id, at, width)
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "max-age=600"})

    @app.post("/api/files/{file_id}/frame")
    async def frame(file_id: str, wanted: FrameRequest) -> Response:
        """Return one frame before and after.

        The answer is the length of a JSON header (u32, little-endian), the header, a JPEG of the
        picture before, and a JPEG of the part that differs after. In the header, "before" and
        "after" are the lengths of the pictures, "size" is the width and height of the picture
        after, and "area" is the place of the part in it: left, top, width, height. If nothing
        differs, "after" is 0.
        """
        data = await run_in_threadpool(
            workspace.frame, file_id, wanted.settings, wanted.at, wanted.width, wanted.job
        )
        return Response(data, media_type="application/octet-stream")


def _add_people(app: FastAPI, workspace: Workspace) -> None:
    finder, item_of = workspace.people, workspace.library.item

    @app.get("/api/files/{file_id}/people")
    async def people(file_id: str) -> dict[str, Any]:
        """Return the people of a file, and whether they have been searched for."""
        return await run_in_threadpool(lambda: finder.facts(item_of(file_id)))

    @app.post("/api/files/{file_id}/people", status_code=202)
    async def find_people(file_id: str) -> dict[str, Any]:
        """Search for the people of a file. Events named "people" report the progress."""
        await run_in_threadpool(lambda: finder.search(item_of(file_id)))
        return {"state": "running"}

    @app.delete("/api/files/{file_id}/people", status_code=204)
    async def stop_search(file_id: str) -> None:
        """Stop searching for the people of a file."""
        await run_in_threadpool(lambda: finder.cancel(item_of(file_id)))

    @app.put("/api/files/{file_id}/people")
    async def regroup(file_id: str, wanted: Regrouping) -> dict[str, Any]:
        """Merge people into one, or split them into their tracks."""

        def change() -> dict[str, Any]:
            item = item_of(file_id)
            finder.regroup(item, wanted.action, set(wanted.people))
            return finder.facts(item)

        return await run_in_threadpool(change)

    @app.get("/api/files/{file_id}/tracks")
    async def tracks(file_id: str) -> FileResponse:
        """Return the tracks file of a file whose people were found."""
        item = item_of(file_id)
        path = finder.tracks(item)
        if not path.is_file():
            raise LibraryError("the people of this file have not been searched for")
        return FileResponse(path, filename=f"{Path(item.name).stem}.tracks.json")

    @app.post("/api/files/{file_id}/tracks", status_code=201)
    async def save_tracks(file_id: str) -> dict[str, str]:
        """Save the tracks file beside a file of the user's folders, for the command line."""
        item = item_of(file_id)
        if item.uploaded:
            raise LibraryError("the original of an upload is on your side: download the tracks")
        return {"path": str(await run_in_threadpool(finder.save_beside, item))}


def _add_exports(app: FastAPI, workspace: Workspace) -> None:
    @app.post("/api/command")
    async def command(export: Export) -> dict[str, Any]:
        """Return the command line of an export, and where its result would be written.

        "tracks" is the name of the tracks file that the command reads, empty if there is none.
        """
        return await run_in_threadpool(workspace.command, export)

    @app.post("/api/estimate")
    async def estimate(export: Export) -> dict[str, float]:
        """Estimate time and size of an export by encoding a sample of frames."""
        return await run_in_threadpool(workspace.estimate, export)

    @app.get("/api/jobs")
    async def jobs() -> dict[str, Any]:
        """Return all exports in the queue, oldest first."""
        return {"jobs": workspace.jobs.facts()}

    @app.post("/api/jobs", status_code=201)
    async def add(export: Export) -> dict[str, Any]:
        """Add an export to the queue."""
        return await run_in_threadpool(workspace.add_job, export)

    @app.post("/api/jobs/{job_id}/{action}")
    async def act(job_id: str, action: str) -> dict[str, Any]:
        """Pause, resume, cancel or retry an export, or reveal its folder."""
        actions: dict[str, Callable[[str], None]] = {
            "pause": workspace.jobs.pause,
            "resume": workspace.jobs.resume,
            "cancel": workspace.jobs.cancel,
            "retry": workspace.jobs.resume,
            "reveal": workspace.reveal,
        }
        if action not in actions:
            raise LibraryError(f"unknown action '{action}': use {', '.join(actions)}")
        await run_in_threadpool(actions[action], job_id)
        return workspace.jobs.job(job_id).facts()

    @app.delete("/api/jobs/{job_id}", status_code=204)
    async def remove(job_id: str) -> None:
        """Take a finished export off the list. Its result stays."""
        await run_in_threadpool(workspace.jobs.remove, job_id)

    @app.get("/api/jobs/{job_id}/report")
    async def report(job_id: str) -> HTMLResponse:
        """Return the report of a finished export as a page."""
        path = Path(workspace.jobs.job(job_id).report)
        if not path.is_file():
            raise LibraryError("this export has no report")
        return HTMLResponse(await run_in_threadpool(path.read_text, "utf-8"))


def _add_streams(app: FastAPI, workspace: Workspace) -> None:
    @app.get("/api/events")
    async def events() -> StreamingResponse:
        """Return server-sent events: "jobs", "people", "files" and "problem"."""
        stream = workspace.events.stream([("jobs", workspace.jobs.facts())])
        return StreamingResponse(stream, media_type="text/event-stream")

    @app.get("/api/cameras")
    async def cameras() -> dict[str, Any]:
        """Return the cameras of this machine."""
        return {"devices": await run_in_threadpool(camera_devices)}

    @app.websocket("/api/files/{file_id}/play")
    async def play(socket: WebSocket, file_id: str, job: str = "") -> None:
        """Send packets of frames, enhanced on the fly, at the speed of the file.

        Messages to the server: ``{"command": "play", "at", "settings", "width"}`` begins at a time,
        ``{"command": "settings", "settings"}`` changes settings, ``{"command": "shown", "number"}``
        says that the packet of that number is on the screen. With ``?job=ID``, the picture after is
        the result of that export.
        """

        def begin(send: Send) -> PageSession:
            return PlaySession(workspace.source(file_id, job), workspace.loaded, send)

        await converse(socket, begin)

    @app.websocket("/api/camera")
    async def camera(socket: WebSocket) -> None:
        """Enhance a camera: JPEG pictures in (from a browser), and packets of frames out.

        Messages to the server: ``{"command": "open", "source", "strength"}``, where the source is
        "browser" or the path of a device; binary JPEG pictures of the browser's camera;
        ``{"command": "strength", "strength"}``; ``{"command": "shown", "number"}``.
        """
        await converse(socket, lambda send: CameraSession(workspace.loaded, send))
