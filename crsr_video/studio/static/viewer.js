// The picture: before and after with a divider, zoom, pan, boxes and a loupe, drawn on one canvas.

const NEAR_DIVIDER = 14;
const LOUPE_RADIUS = 90;
const LOUPE_ZOOM = 3;
const MIN_LABELLED = 80; // Pixels beside the line that a label needs.

export class Viewer {
  constructor(canvas, { onPickFace, onDivide }) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.before = this.part = null; // The picture before, and the part of the picture after that differs.
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

  show({ before, part, header }) {
    this.#free();
    Object.assign(this, { before, part });
    [this.size, this.area] = [header.size, header.area];
    this.faces = header.faces ?? [];
    this.sourceWidth = header.width ?? before.width;
    this.draw();
  }

  clear() {
    this.#free();
    this.faces = [];
    this.pan = { x: 0, y: 0 };
    this.draw();
  }

  draw() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    const [wide, high] = [clientWidth, clientHeight].map((length) => Math.max(1, Math.round(length * ratio)));
    if (this.canvas.width !== wide) this.canvas.width = wide; // Even the same size would clear it, which takes time.
    if (this.canvas.height !== high) this.canvas.height = high;
    const draw = this.context;
    draw.setTransform(ratio, 0, 0, ratio, 0, 0);
    draw.clearRect(0, 0, clientWidth, clientHeight);
    if (!this.before) return;
    const place = this.#place();
    draw.imageSmoothingEnabled = this.zoom === "fit" || this.zoom === "1";
    this.#picture(place);
    if (this.showBoxes) this.#boxes(place);
    if (this.showLoupe && this.pointer) this.#loupe(place);
  }

  // Where the picture lies on the canvas, in CSS pixels.
  #place() {
    const { clientWidth, clientHeight } = this.canvas;
    const height = this.sourceWidth * this.size[1] / this.size[0];
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

  #free() {
    this.before?.close();
    this.part?.close();
    this.before = this.part = null;
  }

  // Draws the picture before, or the one after: the one before with the part that differs over it.
  #whole({ x, y, width, height }, isAfter) {
    const draw = this.context;
    draw.drawImage(this.before, x, y, width, height);
    if (!isAfter || !this.part) return;
    const [across, down] = [width / this.size[0], height / this.size[1]];
    const [left, top, wide, high] = this.area;
    draw.drawImage(this.part, x + left * across, y + top * down, wide * across, high * down);
  }

  // Width on the screen, in CSS pixels, of a whole picture with these proportions.
  shownWidth(width, height) {
    return Math.min(this.canvas.clientWidth, this.canvas.clientHeight * width / height);
  }

  #label(text, x, y, isLeft) {
    const draw = this.context;
    draw.font = "600 13px system-ui, sans-serif";
    const width = draw.measureText(text).width + 12;
    const left = isLeft ? x - width - 8 : x + 8;
    draw.fillStyle = "#000a";
    draw.fillRect(left, y, width, 22);
    draw.fillStyle = "#fff";
    draw.fillText(text, left + 6, y + 15.5);
  }

  #picture(place) {
    const { x, y, width, height } = place;
    const draw = this.context;
    const split = width * this.divider;
    this.#whole(place, false);
    if (!this.holdBefore) {
      draw.save();
      draw.beginPath();
      draw.rect(x + split, y, width - split, height);
      draw.clip();
      this.#whole(place, true);
      draw.restore();
    }
    const top = Math.max(0, y) + 8;
    if (split > MIN_LABELLED) this.#label("Before", x + split, top, true);
    if (this.holdBefore) return;
    if (width - split > MIN_LABELLED) this.#label("After", x + split, top, false);
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
    const place = { x: this.pointer.x - u * width * LOUPE_ZOOM, y: this.pointer.y - v * height * LOUPE_ZOOM,
      width: width * LOUPE_ZOOM, height: height * LOUPE_ZOOM };
    this.#whole(place, !this.holdBefore && u >= this.divider);
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
      if (!this.before) return;
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
      else if (this.before) this.canvas.style.cursor = this.#isNearDivider(event) ? "ew-resize" : "";
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
    if (!this.before) return;
    const { x, y, width, height } = this.#place();
    const u = (event.offsetX - x) / width;
    const v = (event.offsetY - y) / height;
    const hit = this.faces.find(({ box }) => u >= box[0] && u <= box[2] && v >= box[1] && v <= box[3]);
    if (hit?.person) this.onPickFace(hit.person);
  }
}
