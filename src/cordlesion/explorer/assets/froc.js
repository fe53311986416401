// The FROC curve of a set: the share of lesions found against false positives per scan, with a point for the slider.
"use strict";

(() => {
  const { svg } = cordlesion;
  const [LEFT, RIGHT, TOP, BOTTOM] = [38, 8, 8, 32];

  cordlesion.Froc = class {
    constructor(parent) {
      this.svg = svg("svg", { role: "img" });
      this.parent = parent;
      parent.append(this.svg);
    }

    // Draw the curve; own is the row of the tuned threshold, or null where scans have different ones.
    draw(curve, own) {
      // At t = 0 the whole scan is one component, which is no point of the curve.
      this.points = curve.map((totals, row) => ({ x: totals.fpPerScan, y: totals.sensitivity, row }));
      this.drawn = this.points.filter(({ row, y }) => y !== null && (row > 0 || this.points.length === 1));
      this.highest = axisEnd(Math.max(0, ...this.drawn.map((point) => point.x)));
      this.size = [this.parent.clientWidth, this.parent.clientHeight];
      this.svg.setAttribute("viewBox", `0 0 ${this.size.join(" ")}`);
      this.svg.setAttribute("aria-label", "FROC curve: sensitivity of lesions against false positive lesions per scan");
      const line = this.drawn.map((point) => this.at(point).join(","));
      this.svg.replaceChildren(...this.axes(), svg("polyline", { class: "curve lesion", points: line.join(" ") }));
      for (const point of this.drawn) this.svg.append(this.mark(point, "tried", 1.75));
      if (own !== null && this.points[own].y !== null) this.svg.append(this.mark(this.points[own], "own", 5));
      this.dot = svg("circle", { class: "dot lesion", r: 4.5 });
      this.svg.append(this.dot);
    }

    move(row) {
      const point = this.points[row];
      this.dot.setAttribute("visibility", point.y === null ? "hidden" : "visible");
      if (point.y === null) return;
      const [x, y] = this.at(point);
      this.dot.setAttribute("cx", x);
      this.dot.setAttribute("cy", y);
    }

    at({ x, y }) {
      const [width, height] = this.size;
      return [LEFT + (Math.min(x, this.highest) / this.highest) * (width - LEFT - RIGHT), height - BOTTOM - y * (height - TOP - BOTTOM)];
    }

    mark(point, name, r) {
      const [cx, cy] = this.at(point);
      return svg("circle", { class: name, cx, cy, r });
    }

    axes() {
      const [width, height] = this.size;
      const parts = [0, 0.5, 1].flatMap((y) => {
        const [, at] = this.at({ x: 0, y });
        return [
          svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: at, y2: at }),
          svg("text", { class: "tick end", x: LEFT - 5, y: at + 3.5 }, String(y)),
        ];
      });
      for (const share of [0, 0.5, 1]) {
        const [x] = this.at({ x: share * this.highest, y: 0 });
        parts.push(svg("text", { class: "tick", x, y: height - BOTTOM + 13 }, String(share * this.highest)));
      }
      const middle = (LEFT + width - RIGHT) / 2;
      parts.push(svg("text", { class: "tick axis", x: middle, y: height - 5 }, "FP per scan"));
      parts.push(svg("text", { class: "tick axis", x: 10, y: (height - BOTTOM) / 2, transform: `rotate(-90 10 ${(height - BOTTOM) / 2})` }, "sensitivity"));
      return parts;
    }
  };

  // The smallest round number that is not below a value.
  function axisEnd(value) {
    return [0.5, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400, 1000].find((end) => end >= value) || value;
  }
})();
