// The rule "peak": of the voxels that reach the threshold, those of lesions whose highest probability reaches a second one.
"use strict";

(() => {
  const MOST_STEPS = { 6: 1, 18: 2, 26: 3 }; // axes along which a neighbour may differ, by connectivity
  const NEVER = 256; // above every level

  // Return the number of the result at a cut, in the lists of a model (see describe_model in scan_data.py).
  cordlesion.resultAt = (data, cut) => (data.rows ? data.rows[cut.t][cut.peak] : cut.t);

  // Return the metrics at each threshold, with the peak of a cut.
  cordlesion.metricsAlong = ({ metrics, rows }, { peak }) => {
    if (!rows) return metrics;
    return Object.fromEntries(Object.entries(metrics).map(([name, values]) => [name, rows.map((row) => values[row[peak]])]));
  };

  // Keep the lesions that reach a peak.
  //   part: levels of a part of the scan; highest: the same before post-processing; t, peak: levels
  // Returns the levels, lower than t in other lesions, and the level from which on voxels are lesion.
  cordlesion.keepPeaks = (part, highest, t, peak, connectivity) => {
    const reaches = (n) => highest[n] >= peak;
    if (!t) return { values: part.values, t: highest.some((level) => level >= peak) ? 0 : NEVER };
    const kept = part.values.map((level) => Math.min(level, t - 1));
    const near = neighbours(part.shape, connectivity);
    const waiting = [];
    const take = (n) => {
      if (part.values[n] < t || kept[n] >= t) return;
      kept[n] = part.values[n];
      waiting.push(n);
    };
    for (let n = 0; n < kept.length; n++) if (part.values[n] >= t && reaches(n)) take(n);
    while (waiting.length) near(waiting.pop(), take);
    return { values: kept, t };
  };

  // Return a function that calls another one with the number of each neighbour of a voxel.
  function neighbours([nx, ny, nz], connectivity) {
    const steps = [-1, 0, 1];
    const offsets = steps.flatMap((z) => steps.flatMap((y) => steps.map((x) => [x, y, z]))).filter((offset) => {
      const n = offset.filter((step) => step).length;
      return n > 0 && n <= MOST_STEPS[connectivity];
    });
    return (n, call) => {
      const x = n % nx;
      const y = Math.floor(n / nx) % ny;
      const z = Math.floor(n / (nx * ny));
      for (const [dx, dy, dz] of offsets) {
        if (x + dx < 0 || x + dx >= nx || y + dy < 0 || y + dy >= ny || z + dz < 0 || z + dz >= nz) continue;
        call(n + dx + nx * (dy + ny * dz));
      }
    };
  }
})();
