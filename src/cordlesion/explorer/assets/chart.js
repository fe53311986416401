// The chart above the slider: F1 of voxels and lesions against t, with the tuned t and a cursor.
"use strict";

(() => {
  const { svg } = cordlesion;
  const HEIGHT = 96;
  const TOP = 20;
  const BOTTOM = 78;
  const LEFT = 24; // of the numbers, and half the width of the slider thumb, so that chart and thumb are aligned
  const RIGHT = 9;

  cordlesion.Chart = class {
    constructor(parent) {
      this.svg = svg("svg", { height: HEIGHT, role: "img" });
      parent.append(this.svg);
    }

    // Draw curves [{name, label, values, highest}]; tuned is the index of the tuned threshold, or null.
    draw(curves, thresholds, tuned, width) {
      this.last = thresholds.length - 1;
      this.width = width;
      this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
      this.svg.setAttribute("aria-label", `${curves.map((curve) => curve.label).join(" and ")} against the threshold`);
      this.svg.replaceChildren(...this.axes(thresholds, curves));
      for (const curve of curves) this.svg.append(this.line(curve));
      if (tuned !== null) this.svg.append(this.mark(tuned));
      this.cursor = svg("line", { class: "cursor", y1: TOP - 4, y2: BOTTOM });
      this.dots = curves.map((curve) => svg("circle", { class: `dot ${curve.name}`, r: 3.5 }));
      this.curves = curves;
      this.svg.append(this.cursor, ...this.dots);
    }

    // Move the cursor to a threshold; the points are those of another one where a curve has no value there.
    move(index, known = index) {
      const x = this.x(index);
      this.cursor.setAttribute("x1", x);
      this.cursor.setAttribute("x2", x);
      this.curves.forEach((curve, n) => {
        const value = curve.values[known];
        this.dots[n].setAttribute("visibility", value === null ? "hidden" : "visible");
        this.dots[n].setAttribute("cx", this.x(known));
        this.dots[n].setAttribute("cy", height((value || 0) / curve.highest));
      });
    }

    x(index) {
      return LEFT + (index / this.last) * (this.width - LEFT - RIGHT);
    }

    axes(thresholds, curves) {
      const highest = curves[0].highest;
      const shares = highest % 2 && highest > 1 ? [0, 1] : [0, 0.5, 1]; // no half lesions
      const parts = shares.flatMap((share) => [
        svg("line", { class: "grid", x1: LEFT, x2: this.width - RIGHT, y1: height(share), y2: height(share) }),
        svg("text", { class: "tick end", x: LEFT - 5, y: height(share) + 3.5 }, String(share * highest)),
      ]);
      for (const t of [0, 0.25, 0.5, 0.75, 1]) {
        const index = thresholds.indexOf(t);
        if (index >= 0) parts.push(svg("text", { class: "tick", x: this.x(index), y: HEIGHT - 5 }, String(t)));
      }
      curves.forEach((curve, n) => {
        const x = LEFT + n * 90;
        parts.push(svg("line", { class: `curve ${curve.name}`, x1: x, x2: x + 18, y1: 8, y2: 8 }));
        parts.push(svg("text", { class: `name ${curve.name}`, x: x + 23, y: 12 }, curve.label));
      });
      return parts;
    }

    line(curve) {
      const points = curve.values.map((value, index) => (value === null ? "" : `${this.x(index)},${height(value / curve.highest)}`));
      return svg("polyline", { class: `curve ${curve.name}`, points: points.filter(Boolean).join(" ") });
    }

    // A triangle above the axis, so that it does not cover the numbers below.
    mark(index) {
      const x = this.x(index);
      return svg("path", { class: "mark", d: `M${x} ${BOTTOM - 8} l-5 8 h10 z M${x} ${BOTTOM - 8} V${TOP}` });
    }
  };

  // Return the F1 curves of a scan; without lesions, the number of false positives.
  cordlesion.scanCurves = (metrics) => {
    const f1 = f1Curves(metrics.voxel_f1, metrics.lesion_f1);
    if (f1.length) return f1;
    const found = metrics.n_predicted_lesions;
    return [{ name: "lesion", label: "false positive lesions", values: found, highest: Math.max(1, ...found) }];
  };

  // Return the mean F1 curves of a set from its totals (see Cohort.curve); null at thresholds that were not tried.
  cordlesion.setCurves = (curve, levels, n) => {
    const spread = (name) => {
      const values = Array(n).fill(null);
      curve.forEach((totals, row) => (values[levels[row]] = totals[name]));
      return values;
    };
    const found = f1Curves(spread("voxel_f1"), spread("lesion_f1"));
    return found.length ? found : [{ name: "lesion", label: "FP per scan", values: spread("fpPerScan"), highest: Math.max(1, ...curve.map((one) => Math.ceil(one.fpPerScan))) }];
  };

  function f1Curves(voxel, lesion) {
    return [
      { name: "voxel", label: "voxel F1", values: voxel, highest: 1 },
      { name: "lesion", label: "lesion F1", values: lesion, highest: 1 },
    ].filter((curve) => curve.values.some((value) => value !== null));
  }

  function height(share) {
    return BOTTOM - share * (BOTTOM - TOP);
  }
})();
