// Frames: the grids on which a scan can be shown. Places are voxels of the scan in left-anterior-superior order.
"use strict";

(() => {
  // The scan itself, or a box of it.
  class Box {
    constructor(scan, image) {
      this.image = image.values;
      this.shape = image.shape;
      this.start = image.start;
      this.spacing = scan.spacing_mm;
      this.affine = shifted(scan.affine, image.start);
      this.stack = scan.stack;
    }

    // Return the centre of the cord in the slice of a voxel, as voxel coordinates along x and y.
    cordCentre([, , z]) {
      const { start_x: x, start_y: y, shape, step, first_slice: first } = this.stack;
      const iso = Math.round((z + this.start[2] + 0.5) / step[2] - 0.5);
      const k = clamp(iso - first, 0, shape[2] - 1);
      return [(x[k] + shape[0] / 2) * step[0] - 0.5 - this.start[0], (y[k] + shape[1] / 2) * step[1] - 0.5 - this.start[1]];
    }

    toPlace(voxel) {
      return voxel.map((index, axis) => index + this.start[axis]);
    }

    toVoxel(place) {
      return place.map((index, axis) => index - this.start[axis]);
    }

    // Copy values of a part of the scan; 0 elsewhere.
    fill(part) {
      const [nx, ny, nz] = this.shape;
      const [px, py, pz] = part.shape;
      const [dx, dy, dz] = part.start.map((index, axis) => index - this.start[axis]);
      const filled = new part.values.constructor(nx * ny * nz);
      const from = Math.max(0, -dx);
      const to = Math.min(px, nx - dx);
      if (to <= from) return filled;
      for (let z = Math.max(0, -dz); z < Math.min(pz, nz - dz); z++) {
        for (let y = Math.max(0, -dy); y < Math.min(py, ny - dy); y++) {
          const row = (z * py + y) * px;
          filled.set(part.values.subarray(row + from, row + to), ((z + dz) * ny + y + dy) * nx + dx + from);
        }
      }
      return filled;
    }
  }

  // The cord stack: slices of 0.5 mm, each with its own start along x and y. The overlay of a voxel is that of the
  // nearest voxel of the scan, because all metrics are computed on the grid of the scan.
  class Stack {
    constructor(scan, image) {
      const { shape, step, spacing_mm: spacing } = scan.stack;
      this.scanShape = scan.shape;
      this.stack = scan.stack;
      this.image = image.values;
      this.shape = shape;
      this.spacing = [spacing, spacing, spacing];
      this.affine = [[-spacing, 0, 0, 0], [0, spacing, 0, 0], [0, 0, spacing, 0], [0, 0, 0, 1]];
      this.z = Array.from({ length: shape[2] }, (_, k) => toNative(scan.stack.first_slice + k, step[2]));
    }

    toPlace([i, j, k]) {
      const { start_x: x, start_y: y, step } = this.stack;
      const place = [toNative(x[k] + i, step[0]), toNative(y[k] + j, step[1]), this.z[k]];
      return place.map((index, axis) => clamp(index, 0, this.scanShape[axis] - 1));
    }

    toVoxel(place) {
      const { start_x: x, start_y: y, step, first_slice: first } = this.stack;
      const iso = place.map((index, axis) => Math.round((index + 0.5) / step[axis] - 0.5));
      const k = clamp(iso[2] - first, 0, this.shape[2] - 1);
      return [iso[0] - x[k], iso[1] - y[k], k];
    }

    fill(part) {
      const [nx, ny, nz] = this.shape;
      const { start_x: x, start_y: y, step } = this.stack;
      const filled = new part.values.constructor(nx * ny * nz);
      for (let k = 0, n = 0; k < nz; k++) {
        const columns = offsets(x[k], nx, step[0], part.start[0], part.shape[0]);
        const rows = offsets(y[k], ny, step[1], part.start[1], part.shape[1]);
        const pz = this.z[k] - part.start[2];
        const inside = pz >= 0 && pz < part.shape[2];
        for (let j = 0; j < ny; j++) {
          for (let i = 0; i < nx; i++, n++) {
            if (!inside || rows[j] < 0 || columns[i] < 0) continue;
            filled[n] = part.values[(pz * part.shape[1] + rows[j]) * part.shape[0] + columns[i]];
          }
        }
      }
      return filled;
    }
  }

  function toNative(isotropic, step) {
    return Math.round((isotropic + 0.5) * step - 0.5);
  }

  // Return the index in a part of the scan for each of n isotropic voxels; -1 outside.
  function offsets(first, n, step, start, size) {
    return Int32Array.from({ length: n }, (_, i) => {
      const index = toNative(first + i, step) - start;
      return index >= 0 && index < size ? index : -1;
    });
  }

  function shifted(affine, start) {
    return affine.map((row, axis) => {
      if (axis === 3) return row;
      return [...row.slice(0, 3), row[3] + row[0] * start[0] + row[1] * start[1] + row[2] * start[2]];
    });
  }

  function clamp(value, low, high) {
    return Math.min(Math.max(value, low), high);
  }

  const makers = {
    cord: async (key, scan) => new Box(scan, await cordlesion.unpack(scan.cord)),
    full: async (key, scan) => new Box(scan, await cordlesion.unpack(await cordlesion.load(`${key}/full`))),
    stack: async (key, scan) => new Stack(scan, await cordlesion.unpack(await cordlesion.load(`${key}/stack`))),
  };

  // Make the frame of a view ("cord", "stack" or "full") of a scan, with its reference (lesion number, or 0).
  cordlesion.makeFrame = async (view, key, scan) => {
    const frame = await makers[view](key, scan);
    frame.reference = frame.fill(await cordlesion.unpack(scan.reference));
    return frame;
  };

  // Return the world coordinates of a place in millimetres with one digit.
  cordlesion.printedPlace = (affine, [x, y, z]) => {
    return affine.slice(0, 3).map((row) => (row[0] * x + row[1] * y + row[2] * z + row[3]).toFixed(1));
  };
  cordlesion.clamp = clamp;
})();
