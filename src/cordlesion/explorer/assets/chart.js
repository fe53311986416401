// The chart above the slider: F1 of voxels and lesions against t, with the tuned t and a cursor.
"use strict";

(() => {
  const HEIGHT = 96;
  const TOP = 20;
  const BOTTOM = 78;
  const EDGE = 9; // half the width of the slider thumb, so that chart and thumb are aligned

  cordlesion.Chart = class {
    constructor(parent) {
      this.svg = element("svg", { height: HEIGHT, role: "img" });
      parent.append(this.svg);
    }

    // Draw the curves of a model; tuned is the index of its tuned threshold, or null.
    draw(metrics, thresholds, tuned, width) {
      this.last = thresholds.length - 1;
      this.width = width;
      const curves = choose(metrics);
      this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
      this.svg.setAttribute("aria-label", `${curves.map((curve) => curve.label).join(" and ")} against the threshold`);
      this.svg.replaceChildren(...this.axes(thresholds, curves));
      for (const curve of curves) this.svg.append(this.line(curve));
      if (tuned !== null) this.svg.append(this.mark(tuned));
      this.cursor = element("line", { class: "cursor", y1: TOP - 4, y2: HEIGHT });
      this.dots = curves.map((curve) => element("circle", { class: `dot ${curve.name}`, r: 3.5 }));
      this.curves = curves;
      this.svg.append(this.cursor, ...this.dots);
    }

    move(index) {
      const x = this.x(index);
      this.cursor.setAttribute("x1", x);
      this.cursor.setAttribute("x2", x);
      this.curves.forEach((curve, n) => {
        const value = curve.values[index];
        this.dots[n].setAttribute("visibility", value === null ? "hidden" : "visible");
        this.dots[n].setAttribute("cx", x);
        this.dots[n].setAttribute("cy", height((value || 0) / curve.highest));
      });
    }

    x(index) {
      return EDGE + (index / this.last) * (this.width - 2 * EDGE);
    }

    axes(thresholds, curves) {
      const parts = [0, 0.5, 1].map((share) => {
        return element("line", { class: "grid", x1: EDGE, x2: this.width - EDGE, y1: height(share), y2: height(share) });
      });
      for (const t of [0, 0.25, 0.5, 0.75, 1]) {
        const index = thresholds.indexOf(t);
        if (index >= 0) parts.push(text(t, { class: "tick", x: this.x(index), y: HEIGHT - 5 }));
      }
      curves.forEach((curve, n) => {
        const x = EDGE + n * 90;
        parts.push(element("line", { class: `curve ${curve.name}`, x1: x, x2: x + 18, y1: 8, y2: 8 }));
        parts.push(text(curve.label, { class: `name ${curve.name}`, x: x + 23, y: 12 }));
      });
      return parts;
    }

    line(curve) {
      const points = curve.values.map((value, index) => (value === null ? "" : `${this.x(index)},${height(value / curve.highest)}`));
      return element("polyline", { class: `curve ${curve.name}`, points: points.filter(Boolean).join(" ") });
    }

    mark(index) {
      const x = this.x(index);
      return element("path", { class: "mark", d: `M${x} ${BOTTOM} l-5 8 h10 z M${x} ${BOTTOM} V${TOP}` });
    }
  };

  // Return the F1 curves; in a scan without lesions, the number of false lesions.
  function choose(metrics) {
    const f1 = [
      { name: "voxel", label: "voxel F1", values: metrics.voxel_f1, highest: 1 },
      { name: "lesion", label: "lesion F1", values: metrics.lesion_f1, highest: 1 },
    ].filter((curve) => curve.values.some((value) => value !== null));
    if (f1.length) return f1;
    const found = metrics.n_predicted_lesions;
    const highest = Math.max(1, ...found);
    return [{ name: "lesion", label: `false lesions (0 to ${highest})`, values: found, highest }];
  }

  function height(share) {
    return BOTTOM - share * (BOTTOM - TOP);
  }

  function text(content, attributes) {
    const made = element("text", attributes);
    made.textContent = content;
    return made;
  }

  function element(name, attributes) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }
})();
