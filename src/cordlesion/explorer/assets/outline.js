// Outlines: lines between voxels in the slices that are shown, on a canvas above the picture. They are as thin on a voxel
// of three millimetres as on a small one, and leave the voxels themselves visible.
"use strict";

(() => {
  const REFERENCE_WIDTH = 3; // pixels; the outline of the reference is seen on both sides of that of the segmentation
  const WIDTH = 1.5;
  const IN_SLICE = [[0, 1], [0, 2], [1, 2]]; // axes to the right and up of axial, coronal and sagittal slices, as NiiVue numbers them

  cordlesion.Outline = class {
    constructor(canvas) {
      this.canvas = canvas;
      this.context = canvas.getContext("2d");
    }

    clear() {
      this.canvas.width = this.canvas.clientWidth * window.devicePixelRatio; // this clears it, too
      this.canvas.height = this.canvas.clientHeight * window.devicePixelRatio;
    }

    // Draw the outlines in all slices of a viewer.
    //   levels: the index of the highest threshold that each voxel reaches
    draw(viewer, levels, cut, { show, hidden, opacity }) {
      this.clear();
      this.context.globalAlpha = opacity;
      const { frame } = viewer;
      const segmented = (n) => levels[n] >= cut.t;
      const marked = (n) => frame.reference[n] > 0;
      for (const tile of viewer.nv.screenSlices) {
        const slice = makeSlice(viewer, tile);
        this.context.save();
        this.context.beginPath();
        this.context.rect(...tile.leftTopWidthHeight);
        this.context.clip();
        if (show !== "probability") this.stroke(slice, marked, () => (show === "reference" ? "reference" : "missed"), REFERENCE_WIDTH, hidden);
        if (show !== "reference") this.stroke(slice, segmented, (n) => (marked(n) ? "hit" : "false"), WIDTH, hidden);
        this.context.restore();
      }
    }

    // Draw a line between each voxel that fulfils a condition and each neighbour in the slice that does not.
    stroke({ size, voxel, corner }, test, name, width, hidden) {
      const paths = {};
      const isIn = ([i, j]) => i >= 0 && j >= 0 && i < size[0] && j < size[1] && test(voxel(i, j));
      for (let j = 0; j < size[1]; j++) {
        for (let i = 0; i < size[0]; i++) {
          if (!test(voxel(i, j))) continue;
          const color = name(voxel(i, j));
          for (const [neighbour, from, to] of [
            [[i - 1, j], [i, j], [i, j + 1]],
            [[i + 1, j], [i + 1, j], [i + 1, j + 1]],
            [[i, j - 1], [i, j], [i + 1, j]],
            [[i, j + 1], [i, j + 1], [i + 1, j + 1]],
          ]) {
            if (hidden.has(color) || isIn(neighbour)) continue;
            paths[color] ||= new Path2D();
            paths[color].moveTo(...corner(...from));
            paths[color].lineTo(...corner(...to));
          }
        }
      }
      for (const [color, path] of Object.entries(paths)) {
        Object.assign(this.context, { strokeStyle: cordlesion.COLORS[color], lineWidth: width * window.devicePixelRatio, lineCap: "square" });
        this.context.stroke(path);
      }
    }
  };

  // Return the size of a slice in voxels, and functions for the number of a voxel and the pixel of a corner between voxels.
  function makeSlice(viewer, { axCorSag, leftTopWidthHeight: [left, top, width, height], leftTopMM, fovMM }) {
    const { shape } = viewer.frame;
    const [u, v] = IN_SLICE[axCorSag];
    const cross = viewer.cross;
    const strides = [1, shape[0], shape[0] * shape[1]];
    const start = [0, 1, 2].filter((axis) => axis !== u && axis !== v).reduce((sum, axis) => sum + cross[axis] * strides[axis], 0);
    const corner = (i, j) => {
      const frac = [0.5, 0.5, 0.5];
      frac[u] = i / shape[u];
      frac[v] = j / shape[v];
      frac[0] = u === 0 ? 1 - frac[0] : frac[0]; // NiiVue counts from left to right
      const mm = viewer.toMm(frac);
      return [left + (width * (mm[u] - leftTopMM[0])) / fovMM[0], top + height * (1 - (mm[v] - leftTopMM[1]) / fovMM[1])];
    };
    return { size: [shape[u], shape[v]], voxel: (i, j) => start + i * strides[u] + j * strides[v], corner };
  }
})();
