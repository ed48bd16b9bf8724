// The picture: before and after with a divider, zoom, pan, boxes and a loupe, drawn on one canvas.

const NEAR_DIVIDER = 14;
const LOUPE_RADIUS = 90;
const LOUPE_ZOOM = 3;

export class Viewer {
  constructor(canvas, { onPickFace, onDivide }) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.before = this.after = null;
    this.faces = [];
    this.divider = 0.5;
    this.holdBefore = this.showBoxes = this.showLoupe = false;
    this.selected = null;
    this.zoom = "fit";
    this.pan = { x: 0, y: 0 };
    this.pointer = null;
    Object.assign(this, { onPickFace, onDivide });
    new ResizeObserver(() => this.draw()).observe(canvas);
    this.#listen();
  }

  show({ before, after, header }) {
    this.before?.close();
    this.after?.close();
    this.before = before;
    this.after = after;
    this.faces = header.faces ?? [];
    this.sourceWidth = header.width ?? after?.width;
    this.draw();
  }

  clear() {
    this.before?.close();
    this.after?.close();
    this.before = this.after = null;
    this.faces = [];
    this.pan = { x: 0, y: 0 };
    this.draw();
  }

  draw() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    this.canvas.width = Math.max(1, Math.round(clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(clientHeight * ratio));
    const draw = this.context;
    draw.setTransform(ratio, 0, 0, ratio, 0, 0);
    draw.clearRect(0, 0, clientWidth, clientHeight);
    if (!this.after) return;
    const place = this.#place();
    draw.imageSmoothingEnabled = this.zoom === "fit" || this.zoom === "1";
    this.#picture(place);
    if (this.showBoxes) this.#boxes(place);
    if (this.showLoupe && this.pointer) this.#loupe(place);
  }

  // Where the picture lies on the canvas, in CSS pixels.
  #place() {
    const { clientWidth, clientHeight } = this.canvas;
    const height = this.sourceWidth * this.after.height / this.after.width;
    const scale = this.zoom === "fit"
      ? Math.min(clientWidth / this.sourceWidth, clientHeight / height)
      : Number(this.zoom) / (window.devicePixelRatio || 1);
    const width = this.sourceWidth * scale;
    const top = height * scale;
    const limit = (value, space) => Math.min(Math.max(0, space / 2), Math.max(-Math.max(0, space / 2), value));
    this.pan.x = limit(this.pan.x, width - clientWidth);
    this.pan.y = limit(this.pan.y, top - clientHeight);
    return { x: (clientWidth - width) / 2 + this.pan.x, y: (clientHeight - top) / 2 + this.pan.y, width, height: top };
  }

  #picture({ x, y, width, height }) {
    const draw = this.context;
    const split = this.holdBefore ? width : width * this.divider;
    draw.drawImage(this.after, x, y, width, height);
    draw.save();
    draw.beginPath();
    draw.rect(x, y, split, height);
    draw.clip();
    draw.drawImage(this.before, x, y, width, height);
    draw.restore();
    if (this.holdBefore) return;
    draw.fillStyle = "#ffffffd0";
    draw.fillRect(x + split - 1, y, 2, height);
    draw.beginPath();
    draw.arc(x + split, y + height / 2, 9, 0, 7);
    draw.fill();
  }

  #boxes({ x, y, width, height }) {
    const draw = this.context;
    draw.font = "14px system-ui";
    for (const face of this.faces) {
      const [left, top, right, bottom] = face.box;
      draw.strokeStyle = face.person && face.person === this.selected ? "#ffd34d" : face.enhanced ? "#5fc0b8" : "#bbbbbb";
      draw.lineWidth = 2;
      draw.strokeRect(x + left * width, y + top * height, (right - left) * width, (bottom - top) * height);
      if (face.person) {
        draw.fillStyle = draw.strokeStyle;
        draw.fillText(String(face.person), x + left * width + 2, y + top * height - 4);
      }
    }
  }

  #loupe({ x, y, width, height }) {
    const draw = this.context;
    const u = (this.pointer.x - x) / width;
    const v = (this.pointer.y - y) / height;
    draw.save();
    draw.beginPath();
    draw.arc(this.pointer.x, this.pointer.y, LOUPE_RADIUS, 0, 7);
    draw.clip();
    const image = this.holdBefore || u < this.divider ? this.before : this.after;
    draw.drawImage(image, this.pointer.x - u * width * LOUPE_ZOOM, this.pointer.y - v * height * LOUPE_ZOOM,
      width * LOUPE_ZOOM, height * LOUPE_ZOOM);
    draw.restore();
    draw.strokeStyle = "#ffffffd0";
    draw.beginPath();
    draw.arc(this.pointer.x, this.pointer.y, LOUPE_RADIUS, 0, 7);
    draw.stroke();
  }

  #listen() {
    let drag = null;
    const at = (event) => ({ x: event.offsetX, y: event.offsetY });
    this.canvas.addEventListener("pointerdown", (event) => {
      if (!this.after) return;
      drag = { divider: this.#isNearDivider(event) && !this.holdBefore, start: at(event), pan: { ...this.pan }, moved: false };
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      this.pointer = at(event);
      if (drag) {
        const moved = { x: event.offsetX - drag.start.x, y: event.offsetY - drag.start.y };
        drag.moved ||= Math.hypot(moved.x, moved.y) > 4;
        const place = this.#place();
        if (drag.divider) {
          this.divider = Math.min(1, Math.max(0, (event.offsetX - place.x) / place.width));
          this.onDivide(this.divider);
        }
        else if (drag.moved) this.pan = { x: drag.pan.x + moved.x, y: drag.pan.y + moved.y };
      }
      else if (this.after) this.canvas.style.cursor = this.#isNearDivider(event) ? "ew-resize" : "";
      if (drag || this.showLoupe) this.draw();
    });
    this.canvas.addEventListener("pointerup", (event) => {
      if (drag && !drag.moved && !drag.divider) this.#pick(event);
      drag = null;
    });
    this.canvas.addEventListener("pointerleave", () => { this.pointer = null; if (this.showLoupe) this.draw(); });
  }

  #isNearDivider(event) {
    const { x, width } = this.#place();
    return Math.abs(event.offsetX - x - width * this.divider) < NEAR_DIVIDER;
  }

  #pick(event) {
    if (!this.after) return;
    const { x, y, width, height } = this.#place();
    const u = (event.offsetX - x) / width;
    const v = (event.offsetY - y) / height;
    const hit = this.faces.find(({ box }) => u >= box[0] && u <= box[2] && v >= box[1] && v <= box[3]);
    if (hit?.person) this.onPickFace(hit.person);
  }
}
