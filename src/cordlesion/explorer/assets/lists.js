// The list of scans: which are listed (set, filter, search), in which order, and their counts at the slider of the left model.
"use strict";

(() => {
  const byName = (a, b) => (a.name < b.name ? -1 : 1);
  const undefinedLast = (value) => (value === null ? Infinity : value);
  const errors = (score) => score.fn + score.fp;
  const differs = (one, other) => Math.abs(one.tp - other.tp) + Math.abs(one.fp - other.fp);

  // Sort orders. They compare scans by {own, now}: for each side, the scores at the own threshold and at the slider.
  cordlesion.ORDERS = {
    errors: {
      label: "FN + FP, most first",
      compare: (a, b) => errors(b.own.a) - errors(a.own.a) || undefinedLast(a.own.a.voxel_f1) - undefinedLast(b.own.a.voxel_f1),
    },
    voxel_f1: {
      label: "voxel F1, lowest first",
      compare: (a, b) => compareNumbers(undefinedLast(a.own.a.voxel_f1), undefinedLast(b.own.a.voxel_f1)),
    },
    missed: { label: "FN, most first", compare: (a, b) => b.own.a.fn - a.own.a.fn },
    false: { label: "FP, most first", compare: (a, b) => b.own.a.fp - a.own.a.fp },
    change: { label: "change from own t", moves: true, compare: (a, b) => change(b) - change(a) },
    difference: { label: "difference of the models", compare: (a, b) => gap(b) - gap(a) },
    name: { label: "name", compare: () => 0 },
  };

  // Filters. They see {own, now, scan, note}.
  cordlesion.FILTERS = {
    all: { label: "all", keep: () => true },
    lesions: { label: "with lesions", keep: ({ now }) => !now.a.isFree },
    free: { label: "without lesions", keep: ({ now }) => now.a.isFree },
    fp: { label: "with FP at the slider", moves: true, keep: ({ now }) => now.a.fp > 0 },
    fn: { label: "with FN at the slider", moves: true, keep: ({ now }) => now.a.fn > 0 },
    changed: { label: "changed by the slider", moves: true, keep: (entry) => change(entry) > 0 },
    pass: { label: "noted: pass", ofNotes: true, keep: ({ note }) => note.verdict === "pass" },
    fail: { label: "noted: fail", ofNotes: true, keep: ({ note }) => note.verdict === "fail" },
    comment: { label: "with a comment", ofNotes: true, keep: ({ note }) => Boolean(note.comment) },
    open: { label: "without a note", ofNotes: true, keep: ({ note }) => !note.verdict && !note.comment },
  };

  // Return whether the list depends on the position of the sliders.
  cordlesion.listMoves = ({ sort, filter }) => Boolean(cordlesion.ORDERS[sort].moves || cordlesion.FILTERS[filter].moves);

  // Return the numbers of the listed scans in order.
  //   cohorts: {a, b}; notes: see notes.js; state: {set, sort, filter, query, cut}
  cordlesion.listScans = (study, state, cohorts, notes) => {
    const { keep } = cordlesion.FILTERS[state.filter];
    const { compare } = cordlesion.ORDERS[state.sort];
    const words = state.query.toLowerCase().split(/\s+/).filter(Boolean);
    const both = (score) => ({ a: score("a"), b: score("b") });
    return [...study.scans.entries()]
      .filter(([, scan]) => scan.set === state.set && matches(scan, words))
      .map(([number, scan]) => ({
        number,
        scan,
        note: notes.of(scan),
        own: both((side) => cohorts[side].ownScore(number)),
        now: both((side) => cohorts[side].score(number, cohorts[side].row(state.cut[side] || cohorts[side].ownCut(number)))),
      }))
      .filter(keep)
      .sort((a, b) => compare(a, b) || byName(a.scan, b.scan))
      .map(({ number }) => number);
  };

  // The list at the left.
  cordlesion.ScanList = class {
    constructor(parent, choose) {
      Object.assign(this, { parent, choose, marks: new Map() });
    }

    draw(numbers, study, notes, current) {
      const { make } = cordlesion;
      this.scores = numbers.map((number) => [number, make("span", { className: "score" })]);
      this.marks = new Map(numbers.map((number) => [number, make("span", {})]));
      const items = this.scores.map(([number, score]) => {
        const scan = study.scans[number];
        const button = make("button", { type: "button" }, make("span", { className: "name" }, scan.name), score, this.marks.get(number));
        this.mark(number, notes.of(scan));
        if (number === current) button.setAttribute("aria-current", "true");
        button.addEventListener("click", () => this.choose(number));
        return make("li", {}, button);
      });
      cordlesion.replaceList(this.parent, ...items);
    }

    // Show the note on a scan, if it is listed.
    mark(number, { verdict, comment }) {
      const text = { pass: "✓", fail: "✕" }[verdict] || (comment ? "✎" : "");
      const title = [verdict, comment].filter(Boolean).join(": ");
      if (this.marks.has(number)) Object.assign(this.marks.get(number), { className: `noted ${verdict}`, title, textContent: text });
    }

    // Scroll the list, and not the page, until the current scan is seen.
    showCurrent() {
      const current = this.parent.querySelector("[aria-current]");
      if (!current) return;
      const [list, row] = [this.parent, current].map((one) => one.getBoundingClientRect());
      this.parent.scrollTop += Math.min(0, row.top - list.top) + Math.max(0, row.bottom - list.bottom);
    }

    // Write the counts at a row of the left model's thresholds.
    refresh(cohort, row) {
      for (const [number, score] of this.scores) setText(score, describe(cohort.score(number, row)));
    }
  };

  function describe(score) {
    const facts = score.isFree ? ["no lesions"] : [`F1 ${cordlesion.format(score.voxel_f1)}`];
    if (!score.isFree) facts.push(score.reference ? `${score.tp} of ${score.reference} TP` : "lesions too small");
    if (score.fp) facts.push(`${score.fp} FP`);
    return facts.join(" · ");
  }

  function matches(scan, words) {
    const text = [scan.name, scan.subject, scan.site].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  }

  function change({ own, now }) {
    return differs(own.a, now.a) + differs(own.b, now.b);
  }

  function gap({ own: { a, b } }) {
    return a.voxel_f1 === null ? Math.abs(a.fp - b.fp) / 1000 : Math.abs(a.voxel_f1 - b.voxel_f1);
  }

  function compareNumbers(a, b) {
    return a === b ? 0 : a - b; // infinities would differ by NaN
  }

  // Replace the content of a list; the button at the same position keeps the focus.
  cordlesion.replaceList = (list, ...content) => {
    const focused = [...list.querySelectorAll("button")].indexOf(document.activeElement);
    list.replaceChildren(...content);
    if (focused >= 0) list.querySelectorAll("button")[focused]?.focus({ preventScroll: true });
  };

  cordlesion.make = (tag, properties, ...children) => {
    const made = document.createElement(tag);
    Object.assign(made, properties);
    made.append(...children); // text stays text
    return made;
  };

  // Set a text only where it differs, so that unchanged rows cost nothing.
  function setText(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  cordlesion.setText = setText;
  cordlesion.capitalized = (text) => `${text[0].toUpperCase()}${text.slice(1)}`;
  cordlesion.format = (value) => (value === null ? "n/a" : value.toFixed(2));
})();
