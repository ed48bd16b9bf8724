// What a reload of the page keeps: the tab, the settings, the open file, and the choices for each file.

const KEY = "crsr-studio";
const MAX_FILES = 100;

export class Memory {
  constructor() {
    try { this.stored = JSON.parse(sessionStorage.getItem(KEY)) ?? {}; } catch { this.stored = {}; }
    this.stored.files ??= {};
  }

  get tab() { return this.stored.tab; }
  get choices() { return this.stored.choices ?? {}; }
  get openFile() { return this.stored.openFile; }

  // Position, trim and choices for people of a file, as they were left.
  file(id) { return this.stored.files[id] ?? {}; }

  store({ tab, choices, openFile, file }) {
    Object.assign(this.stored, { tab, choices, openFile });
    if (openFile) {
      const { [openFile]: _, ...others } = this.stored.files;
      const kept = Object.entries(others).slice(-MAX_FILES);
      this.stored.files = { ...Object.fromEntries(kept), [openFile]: file };
    }
    try { sessionStorage.setItem(KEY, JSON.stringify(this.stored)); } catch { /* full: a reload forgets */ }
  }
}
