// The list of the lesions of a scan at the current thresholds.
"use strict";

(() => {
  const { make } = cordlesion;
  const MAX_FALSE = 100; // rows; at very low thresholds there may be thousands
  const WORDS = { tp: "✓ TP", fn: "✕ FN", fp: "! FP", small: "too small" };
  const MEANINGS = { tp: "true positive", fn: "false negative", fp: "false positive", small: "smaller than the smallest lesion of the rule" };

  // Draw the list of lesions.
  //   lesions: reference lesions; sides: [{label, data, index}]; selected: place of the selected lesion
  cordlesion.drawLesions = (parent, { lesions, affine }, sides, selected, choose) => {
    const falseRows = sides.map((side, n) => rowsOfFalse(side, n, sides.length, affine));
    if (!lesions.length && falseRows.every((rows) => !rows.length)) {
      cordlesion.replaceList(parent, make("p", { className: "nothing" }, "No lesion in the reference, and none predicted at these thresholds."));
      return;
    }
    const table = make("table", {});
    const head = make("tr", {}, make("th", { scope: "col" }, "Lesion"), make("th", { scope: "col" }, "mm³"));
    for (const side of sides) head.append(make("th", { scope: "col", title: side.label }, side.label));
    table.append(make("thead", {}, head), body(referenceRows(lesions, sides), selected, choose));
    falseRows.forEach((rows, n) => {
      if (!rows.length) return;
      const title = `FP of ${sides[n].label}${rows.length > MAX_FALSE ? `, the ${MAX_FALSE} most probable of ${rows.length}` : ""}`;
      const heading = make("th", { scope: "colgroup", colSpan: 2 + sides.length }, title);
      table.append(body(rows.slice(0, MAX_FALSE), selected, choose, make("tr", { className: "subhead" }, heading)));
    });
    cordlesion.replaceList(parent, table);
  };

  // Select the lesion some rows further in the list.
  cordlesion.stepLesion = (parent, step) => {
    const lesions = [...parent.querySelectorAll("tbody tr:not(.subhead)")];
    const current = lesions.findIndex((row) => row.getAttribute("aria-current"));
    const next = current < 0 ? 0 : (current + step + lesions.length) % lesions.length;
    if (lesions.length) lesions[next].click();
  };

  function referenceRows(lesions, sides) {
    return lesions.map((lesion, number) => ({
      name: `Lesion ${number + 1}`,
      lesion,
      states: sides.map((side) => ({
        state: !lesion.counted ? "small" : side.data.detected[number][side.index] === "1" ? "tp" : "fn",
        peak: side.data.peaks[number],
      })),
    }));
  }

  // Sorted by peak and named by the position of the peak: both stay the same while t changes, unless lesions merge.
  function rowsOfFalse(side, column, n, affine) {
    const rows = side.data.predicted[side.index].filter((lesion) => !lesion[5]).sort((a, b) => b[4] - a[4]);
    return rows.map(([x, y, z, volume, peak]) => ({
      name: `z ${cordlesion.printedPlace(affine, [x, y, z])[2]} mm`,
      title: `${cordlesion.printedPlace(affine, [x, y, z]).join(", ")} mm`,
      lesion: { place: [x, y, z], volume_mm3: volume },
      states: Array.from({ length: n }, (_, k) => (k === column ? { state: "fp", peak } : null)),
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

  function cell(entry) {
    if (!entry) return make("td", {});
    const state = make("span", { className: `state ${entry.state}`, title: MEANINGS[entry.state] }, WORDS[entry.state]);
    return make("td", {}, state, make("small", {}, `peak ${entry.peak.toFixed(2)}`));
  }
})();
