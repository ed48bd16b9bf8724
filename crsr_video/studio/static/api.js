// Calls of the HTTP API, and the binary packets that carry a frame before and after.

export class ApiError extends Error {}

async function checked(response) {
  if (response.ok) return response;
  let detail = `the studio answered with status ${response.status}`;
  try { detail = (await response.json()).detail ?? detail; } catch { /* no JSON: keep the status */ }
  throw new ApiError(typeof detail === "string" ? detail : "the request is not valid");
}

async function call(method, path, body) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  try {
    return await checked(await fetch(path, options));
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError("the studio does not answer; is it still running in the terminal?");
  }
}

export const get = async (path) => (await call("GET", path)).json();
export const post = async (path, body = {}) => (await call("POST", path, body)).json();
export const put = async (path, body) => (await call("PUT", path, body)).json();
export const remove = async (path) => { await call("DELETE", path); };
export const postForPacket = async (path, body) => packetOf(await (await call("POST", path, body)).arrayBuffer());

// A packet: u32 length of the header (little-endian), header in JSON, JPEG before, JPEG of the part that differs after (none
// if nothing differs).
export async function packetOf(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const image = (start, bytes) => createImageBitmap(new Blob([new Uint8Array(buffer, start, bytes)], { type: "image/jpeg" }));
  const first = 4 + length;
  const [before, part] = await Promise.all([
    image(first, header.before), header.after ? image(first + header.before, header.after) : null]);
  return { header, before, part };
}

// Uploads a file as the raw body of a request, so that it is streamed and its progress is known.
export function upload(file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/files?name=${encodeURIComponent(file.name)}`);
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded / Math.max(1, event.total)));
    request.addEventListener("error", () => reject(new ApiError(`${file.name}: the upload was interrupted`)));
    request.addEventListener("load", () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* no JSON */ }
      if (request.status < 300) resolve(answer);
      else reject(new ApiError(answer.detail ?? `${file.name}: the upload failed`));
    });
    request.send(file);
  });
}

export function socketTo(path) {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`);
  socket.binaryType = "arraybuffer";
  return socket;
}
