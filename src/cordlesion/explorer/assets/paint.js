// Computes the colours of the overlay at a threshold.
"use strict";

(() => {
  const NOTHING = 0;

  // The colours of the paper: green, red and white; see also pictures/style.py.
  cordlesion.COLORS = { hit: "#1AA876", false: "#E8502A", missed: "#FFFFFF", reference: "#F5E04A" };
  const HIT = packed(cordlesion.COLORS.hit, 0.6);
  const FALSE = packed(cordlesion.COLORS.false, 0.8);
  const FALSE_OTHER = packed(cordlesion.COLORS.false, 0.35);  // every other voxel: a chequered texture, visible without colour vision
  const MISSED = packed(cordlesion.COLORS.missed, 0.9);
  const REFERENCE = packed(cordlesion.COLORS.reference, 0.55);
  const REACHES = 0.8; // opacity of probabilities that reach the threshold
  const BELOW = 0.35;

  // From dark violet to pale yellow, with increasing lightness (after "magma" of matplotlib): [probability, red, green, blue].
  const HEAT = [[0, 59, 15, 112], [0.35, 140, 41, 129], [0.65, 222, 73, 104], [0.85, 254, 159, 109], [1, 252, 253, 191]];

  // Compute the colours of all voxels of a frame.
  //   target: one 32-bit colour per voxel, each row from right to left, as in NiiVue
  //   levels: for each voxel, the index of the highest threshold that it reaches
  //   index: index of the threshold
  //   look: {show, hidden, thresholds}
  cordlesion.paint = (target, frame, levels, index, look) => {
    const { inside, outside } = colors(index, look);
    const { reference, shape } = frame;
    const [nx, ny, nz] = shape;
    for (let z = 0, n = 0; z < nz; z++) {
      for (let y = 0; y < ny; y++) {
        const end = n + nx - 1;
        for (let x = 0; x < nx; x++, n++) {
          const color = (reference[n] ? inside : outside)[levels[n]];
          target[end - x] = color === FALSE && (x + y + z) & 1 ? FALSE_OTHER : color;
        }
      }
    }
  };

  // Colours by level, inside and outside the reference.
  function colors(index, { show, hidden, thresholds }) {
    const inside = new Uint32Array(256);
    const outside = new Uint32Array(256);
    const visible = (name, color) => (hidden.has(name) ? NOTHING : color);
    thresholds.forEach((threshold, level) => {
      const segmented = level >= index;
      if (show === "agreement") {
        inside[level] = segmented ? visible("hit", HIT) : visible("missed", MISSED);
        outside[level] = segmented ? visible("false", FALSE) : NOTHING;
      } else if (show === "reference") {
        inside[level] = REFERENCE;
      } else if (show === "probability" && level > 0) {
        inside[level] = outside[level] = heat(threshold, segmented ? REACHES : BELOW);
      }
    });
    return { inside, outside };
  }

  function heat(p, opacity) {
    const upper = Math.max(1, HEAT.findIndex((stop) => stop[0] >= p));
    const [low, high] = [HEAT[upper - 1], HEAT[upper]];
    const share = (p - low[0]) / (high[0] - low[0]);
    const [red, green, blue] = [1, 2, 3].map((channel) => Math.round(low[channel] + share * (high[channel] - low[channel])));
    return joined(red, green, blue, opacity);
  }

  function packed(color, opacity) {
    return joined(...[1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16)), opacity);
  }

  // Red is the first byte in memory.
  function joined(red, green, blue, opacity) {
    return ((Math.round(255 * opacity) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  }
})();
