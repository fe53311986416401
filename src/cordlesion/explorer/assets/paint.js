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
  //   cut: {t: index of the threshold}
  //   look: {show, hidden, thresholds, opacity: share of the usual one, outline: lines instead of areas, see outline.js}
  cordlesion.paint = (target, frame, levels, cut, look) => {
    if (look.outline && look.show !== "probability") return target.fill(NOTHING);
    const { inside, outside } = colors(cut.t, look);
    const other = faded(FALSE_OTHER, look.opacity ?? 1);
    const chequered = faded(FALSE, look.opacity ?? 1);
    const { reference, shape } = frame;
    const [nx, ny, nz] = shape;
    for (let z = 0, n = 0; z < nz; z++) {
      for (let y = 0; y < ny; y++) {
        const end = n + nx - 1;
        for (let x = 0; x < nx; x++, n++) {
          const color = (reference[n] ? inside : outside)[levels[n]];
          target[end - x] = color === chequered && (x + y + z) & 1 ? other : color;
        }
      }
    }
  };

  // Colours by level, inside and outside the reference.
  function colors(index, { show, hidden, thresholds, opacity = 1 }) {
    const inside = new Uint32Array(256);
    const outside = new Uint32Array(256);
    const visible = (name, color) => (hidden.has(name) ? NOTHING : faded(color, opacity));
    thresholds.forEach((threshold, level) => {
      const segmented = level >= index;
      if (show === "agreement") {
        inside[level] = segmented ? visible("hit", HIT) : visible("missed", MISSED);
        outside[level] = segmented ? visible("false", FALSE) : NOTHING;
      } else if (show === "reference") {
        inside[level] = faded(REFERENCE, opacity);
      } else if (show === "probability" && level > 0) {
        inside[level] = outside[level] = heat(threshold, (segmented ? REACHES : BELOW) * opacity);
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

  // The same colour with a share of its opacity.
  function faded(color, share) {
    return ((Math.round((color >>> 24) * share) << 24) | (color & 0xffffff)) >>> 0;
  }

  // Red is the first byte in memory.
  function joined(red, green, blue, opacity) {
    return ((Math.round(255 * opacity) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  }
})();
