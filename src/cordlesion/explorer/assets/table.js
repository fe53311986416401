// The table of all listed scans, whose counts move with the sliders. Each lesion is a square: found, missed, false.
"use strict";

(() => {
  const SQUARE = 7; // pixels, with its gap
  const RESTS_MS = 100;
  const COLUMNS = [
    ["Lesions", null],
    ["TP", "missed"],
    ["FP", "false"],
    ["F1", "voxel_f1"],
  ];

  cordlesion.CohortTable = class {
    // Calls choose(number) for a click on a scan, and sort(name of an order) for a click on a heading.
    constructor(parent, { choose, sort }) {
      Object.assign(this, { parent, choose, sort });
      parent.addEventListener("scroll", () => this.writeAll(), { passive: true });
    }

    // Draw a row for each scan. sides: [{name, label, cohort}]
    draw(numbers, study, sides, notes, state) {
      const { make } = cordlesion;
      this.sides = sides;
      this.rows = numbers.map((number) => this.row(number, study.scans[number], notes, state));
      const table = make("table", {}, make("caption", { className: "hidden" }, "Lesions of each scan at the thresholds of the sliders"));
      table.append(...this.head(state), make("tbody", {}, ...this.rows.map(({ row }) => row)));
      const empty = make("p", { className: "nothing" }, "No scan fits the filter and the search.");
      cordlesion.replaceList(this.parent, numbers.length ? table : empty);
    }

    head(state) {
      const { make } = cordlesion;
      const group = make("tr", {}, make("th", { scope: "col", rowSpan: 2 }, this.sorter("Scan", "name", state)), make("th", { scope: "col", rowSpan: 2 }, "mm³"));
      const second = make("tr", {});
      for (const { name, label } of this.sides) {
        group.append(make("th", { scope: "colgroup", colSpan: COLUMNS.length, className: "model-name" }, label));
        for (const [text, order] of COLUMNS) {
          // Orders compare the left model.
          const content = name === "a" && order ? this.sorter(text, order, state) : text;
          second.append(make("th", { scope: "col" }, content));
        }
      }
      group.append(make("th", { scope: "col", rowSpan: 2 }, "Note"));
      return [make("colgroup", {}, ...this.columns()), make("thead", {}, group, second)];
    }

    columns() {
      const { make } = cordlesion;
      const widths = ["scan", "volume", ...this.sides.flatMap(() => ["of-squares", "count", "count", "count"]), "note"];
      return widths.map((name) => make("col", { className: name }));
    }

    sorter(text, order, state) {
      const button = cordlesion.make("button", { type: "button", title: `Sort: ${cordlesion.ORDERS[order].label}` }, text);
      button.setAttribute("aria-pressed", state.sort === order);
      button.addEventListener("click", () => this.sort(order));
      return button;
    }

    row(number, scan, notes, state) {
      const { make } = cordlesion;
      const name = make("button", { type: "button", title: [scan.name, scan.site].filter(Boolean).join(", ") }, scan.name);
      const row = make("tr", {}, make("th", { scope: "row" }, name), make("td", { className: "volume" }, scan.volume_mm3 ? scan.volume_mm3.toFixed(0) : "–"));
      const cells = this.sides.map(({ cohort }) => ({ ...makeCells(row), own: cohort.ownScore(number) }));
      const { verdict, comment } = notes.of(scan);
      row.append(make("td", { className: `note-cell ${verdict || ""}`, title: comment || "" }, [{ pass: "✓ pass", fail: "✕ fail" }[verdict], comment].filter(Boolean).join(" ")));
      if (number === state.scan) row.setAttribute("aria-current", "true");
      row.addEventListener("click", () => this.choose(number));
      return { number, row, cells };
    }

    // Write the counts at the given rows of each side's thresholds: at once where they are seen, elsewhere when the slider
    // rests or the table is scrolled.
    refresh(at) {
      this.at = at;
      for (const row of this.seen()) this.write(row);
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.writeAll(), RESTS_MS);
    }

    writeAll() {
      clearTimeout(this.timer);
      for (const row of this.rows || []) this.write(row);
    }

    write({ number, cells }) {
      this.sides.forEach(({ cohort }, n) => write(cells[n], cohort.score(number, this.at[n])));
    }

    // The rows in the visible part of the table; all rows have one height.
    seen() {
      const first = this.rows[0]?.row;
      if (!first?.offsetHeight) return this.rows;
      const { scrollTop, clientHeight } = this.parent;
      const start = Math.max(0, Math.floor((scrollTop - first.offsetTop) / first.offsetHeight));
      return this.rows.slice(start, start + Math.ceil(clientHeight / first.offsetHeight) + 2);
    }
  };

  function makeCells(row) {
    const { make } = cordlesion;
    const squares = ["tp", "fn", "fp"].map((name) => make("i", { className: `squares ${name}` }));
    const box = make("td", { className: "squares-cell" }, ...squares);
    box.setAttribute("aria-hidden", "true");
    const [tp, fp] = [0, 1].map(() => make("td", {}, make("span", {}), make("small", {})));
    const f1 = make("td", {});
    row.append(box, tp, fp, f1);
    return { squares, tp, fp, f1 };
  }

  function write(cells, score) {
    const { own } = cells;
    const key = `${score.tp} ${score.fp} ${score.predicted} ${score.voxel_f1}`;
    if (cells.key === key) return;
    cells.key = key;
    [score.tp, score.fn, score.fp].forEach((n, k) => (cells.squares[k].style.width = `${n * SQUARE}px`));
    writeCount(cells.tp, score.reference ? `${score.tp}/${score.reference}` : "–", score.tp - own.tp);
    writeCount(cells.fp, String(score.fp), score.fp - own.fp);
    cordlesion.setText(cells.f1, score.voxel_f1 === null ? "–" : score.voxel_f1.toFixed(2));
  }

  // Write a count, and its difference to that at the own threshold.
  function writeCount(cell, text, difference) {
    const [count, small] = cell.children;
    cordlesion.setText(count, text);
    cordlesion.setText(small, difference ? ` ${difference > 0 ? "+" : "−"}${Math.abs(difference)}` : "");
  }
})();
