// Notes of the user on scans: pass or fail, and a comment. They stay in this browser until they are exported.
"use strict";

(() => {
  const COLUMNS = ["scan_id", "subject", "session", "set", "verdict", "comment"];
  const EMPTY = { verdict: "", comment: "" };

  cordlesion.Notes = class {
    constructor(study) {
      this.study = study;
      this.key = `cordlesion-notes-${study.id}`;
      this.kept = true; // whether the browser keeps them
      this.notes = this.read();
    }

    of(scan) {
      return this.notes[place(scan)] || EMPTY;
    }

    set(scan, changes) {
      const note = { ...this.of(scan), ...changes };
      if (note.verdict || note.comment) this.notes[place(scan)] = note;
      else delete this.notes[place(scan)];
      this.write();
    }

    get count() {
      return this.study.scans.filter((scan) => this.of(scan) !== EMPTY).length;
    }

    // Return the notes as a table; tabs and line ends in comments become spaces.
    table() {
      const cell = (value) => (value === null || value === undefined || value === "" ? "n/a" : String(value).replace(/\s+/g, " "));
      const rows = this.study.scans
        .filter((scan) => this.of(scan) !== EMPTY)
        .map((scan) => [scan.name, scan.subject, scan.session, scan.set, this.of(scan).verdict, this.of(scan).comment]);
      return [COLUMNS, ...rows.map((row) => row.map(cell))].map((row) => `${row.join("\t")}\n`).join("");
    }

    // Let the browser save the table.
    download() {
      const address = URL.createObjectURL(new Blob([this.table()], { type: "text/tab-separated-values" }));
      const name = this.study.title.replace(/[^\w-]+/g, "_");
      cordlesion.make("a", { href: address, download: `${name}_notes.tsv` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000);
    }

    // What lies in the storage may be from another version, or from another page.
    read() {
      try {
        const stored = JSON.parse(localStorage.getItem(this.key) || "{}");
        const isNote = (note) => note && ["", "pass", "fail"].includes(note.verdict) && typeof note.comment === "string";
        return Object.fromEntries(Object.entries(stored).filter(([, note]) => isNote(note)));
      } catch {
        return {};
      }
    }

    write() {
      try {
        localStorage.setItem(this.key, JSON.stringify(this.notes));
      } catch {
        this.kept = false; // private windows and full storage
      }
    }
  };

  // The form for the note on the scan that is shown. Calls changed(scan) after each change.
  cordlesion.NoteForm = class {
    constructor(form, exporter, notes, changed) {
      Object.assign(this, { form, exporter, notes, changed });
      for (const button of form.querySelectorAll("[data-verdict]")) button.addEventListener("click", () => this.toggle(button.dataset.verdict));
      this.comment = form.querySelector("input");
      // While it is typed: "change" comes only when a mouse button goes down elsewhere, before that click is complete.
      this.comment.addEventListener("input", () => this.set({ comment: this.comment.value.trim() }));
      form.addEventListener("submit", (event) => event.preventDefault()); // Enter in the comment
      exporter.addEventListener("click", () => notes.download());
      this.count();
    }

    show(scan) {
      this.scan = scan;
      const { verdict, comment } = this.notes.of(scan);
      for (const button of this.form.querySelectorAll("[data-verdict]")) button.setAttribute("aria-pressed", button.dataset.verdict === verdict);
      if (document.activeElement !== this.comment || this.shown !== scan) this.comment.value = comment;
      this.shown = scan;
      this.form.querySelector(".note").textContent = this.notes.kept ? "" : "This browser does not keep notes: export them before you close the page.";
    }

    // A second click on the same verdict removes it.
    toggle(verdict) {
      if (this.scan) this.set({ verdict: this.notes.of(this.scan).verdict === verdict ? "" : verdict });
    }

    set(changes) {
      if (!this.scan) return;
      this.notes.set(this.scan, changes);
      this.count();
      this.changed(this.scan);
    }

    count() {
      this.exporter.textContent = `Export notes (${this.notes.count})`;
      this.exporter.disabled = !this.notes.count;
    }
  };

  function place(scan) {
    return `${scan.set}/${scan.name}`;
  }
})();
