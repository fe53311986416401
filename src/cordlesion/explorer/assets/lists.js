// The sorted list of scans, and the list of lesions at the current thresholds.
"use strict";

(() => {
  const MAX_FALSE = 100; // rows; at very low thresholds there may be thousands

  const byName = (a, b) => (a.name < b.name ? -1 : 1);
  const undefinedLast = (value) => (value === null ? Infinity : value);

  // Sort orders: they compare the scores of a model at its tuned threshold (otherA, otherB: scores of the right model).
  cordlesion.ORDERS = {
    errors: {
      label: "lesion errors, most first",
      compare: (a, b) => b.missed + b.false - (a.missed + a.false) || undefinedLast(a.voxel_f1) - undefinedLast(b.voxel_f1),
    },
    voxel_f1: {
      label: "voxel F1, lowest first",
      compare: (a, b) => compareNumbers(undefinedLast(a.voxel_f1), undefinedLast(b.voxel_f1)),
    },
    missed: { label: "missed lesions, most first", compare: (a, b) => b.missed - a.missed },
    false: { label: "false lesions, most first", compare: (a, b) => b.false - a.false },
    difference: {
      label: "difference between the models",
      compare: (a, b, otherA, otherB) => gap(b, otherB) - gap(a, otherA),
    },
    name: { label: "name", compare: () => 0 },
  };

  // Return the sorted scans of a set, as [number, scan].
  cordlesion.sortScans = (study, state) => {
    const { compare } = cordlesion.ORDERS[state.sort];
    const score = (scan, model) => scan.scores[model];
    return [...study.scans.entries()]
      .filter(([, scan]) => scan.set === state.set)
      .sort(([, a], [, b]) => {
        return compare(score(a, state.a), score(b, state.a), score(a, state.b), score(b, state.b)) || byName(a, b);
      });
  };

  cordlesion.drawScans = (list, rows, study, state, choose) => {
    replace(
      list,
      ...rows.map(([number, scan]) => {
        const score = scan.scores[state.a];
        const button = make("button", { type: "button" }, make("span", { className: "name" }, scan.name));
        const facts = [scan.volume_mm3 ? `F1 ${cordlesion.format(score.voxel_f1)}` : "no lesions"];
        if (score.missed) facts.push(`${score.missed} missed`);
        if (score.false) facts.push(`${score.false} false`);
        button.append(make("span", { className: "score" }, facts.join(" · ")));
        if (number === state.scan) button.setAttribute("aria-current", "true");
        button.addEventListener("click", () => choose(number));
        return make("li", {}, button);
      }),
    );
  };

  // Draw the list of lesions.
  //   lesions: reference lesions; sides: [{label, data, index}]; selected: place of the selected lesion
  cordlesion.drawLesions = (parent, { lesions, affine }, sides, selected, choose) => {
    const table = make("table", {});
    const head = make("tr", {}, make("th", { scope: "col" }, "Lesion"), make("th", { scope: "col" }, "mm³"));
    for (const side of sides) head.append(make("th", { scope: "col", title: side.label }, side.label));
    table.append(make("thead", {}, head), body(referenceRows(lesions, sides), selected, choose));
    sides.forEach((side, n) => {
      const rows = falseRows(side, n, sides.length, affine);
      if (!rows.length) return;
      const title = `False in ${side.label}${rows.length > MAX_FALSE ? `, the ${MAX_FALSE} most probable of ${rows.length}` : ""}`;
      const heading = make("th", { scope: "colgroup", colSpan: 2 + sides.length }, title);
      table.append(body(rows.slice(0, MAX_FALSE), selected, choose, make("tr", { className: "subhead" }, heading)));
    });
    replace(parent, table);
  };

  function referenceRows(lesions, sides) {
    return lesions.map((lesion, number) => ({
      name: `Lesion ${number + 1}`,
      lesion,
      states: sides.map((side) => ({
        state: !lesion.counted ? "small" : side.data.detected[number][side.index] === "1" ? "detected" : "missed",
        peak: side.data.peaks[number],
      })),
    }));
  }

  // Sorted by peak and named by the position of the peak: both stay the same while t changes, unless lesions merge.
  function falseRows(side, column, n, affine) {
    const rows = side.data.predicted[side.index].filter((lesion) => !lesion[5]).sort((a, b) => b[4] - a[4]);
    return rows.map(([x, y, z, volume, peak]) => ({
      name: `z ${cordlesion.printedPlace(affine, [x, y, z])[2]} mm`,
      title: `${cordlesion.printedPlace(affine, [x, y, z]).join(", ")} mm`,
      lesion: { place: [x, y, z], volume_mm3: volume },
      states: Array.from({ length: n }, (_, k) => (k === column ? { state: "false", peak } : null)),
    }));
  }

  function body(rows, selected, choose, ...heading) {
    return make(
      "tbody",
      {},
      ...heading,
      ...rows.map(({ name, title = "", lesion, states }) => {
        const button = make("button", { type: "button", title }, name);
        const row = make("tr", {}, make("th", { scope: "row" }, button), make("td", {}, lesion.volume_mm3.toFixed(0)));
        row.append(...states.map(cell));
        if (String(lesion.place) === String(selected)) row.setAttribute("aria-current", "true");
        row.addEventListener("click", () => choose(lesion.place));
        return row;
      }),
    );
  }

  const WORDS = { detected: "✓ detected", missed: "✕ missed", false: "! false", small: "too small" };

  function cell(entry) {
    if (!entry) return make("td", {});
    const state = make("span", { className: `state ${entry.state}` }, WORDS[entry.state]);
    return make("td", {}, state, make("small", {}, `peak ${entry.peak.toFixed(2)}`));
  }

  // Replace the content of a list; the button at the same position keeps the focus.
  function replace(list, ...content) {
    const focused = [...list.querySelectorAll("button")].indexOf(document.activeElement);
    list.replaceChildren(...content);
    if (focused >= 0) list.querySelectorAll("button")[focused]?.focus({ preventScroll: true });
  }

  function gap(one, other) {
    if (one.voxel_f1 === null) return Math.abs(one.false - other.false) / 1000;
    return Math.abs(one.voxel_f1 - other.voxel_f1);
  }

  function compareNumbers(a, b) {
    return a === b ? 0 : a - b; // infinities would differ by NaN
  }

  function make(tag, properties, ...children) {
    const made = document.createElement(tag);
    Object.assign(made, properties);
    made.append(...children); // text stays text
    return made;
  }

  cordlesion.make = make;
  cordlesion.format = (value) => (value === null ? "n/a" : value.toFixed(2));
})();
