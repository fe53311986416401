// Files of a scan and its models, and the voxel at which a scan opens.
"use strict";

(() => {
  // Return the folder of the data files of a scan.
  cordlesion.scanKey = (number) => `s${String(number).padStart(4, "0")}`;

  // Return the name of the data file of a model.
  cordlesion.modelKey = (number) => `m${String(number).padStart(2, "0")}`;

  // Load the results of a model for a scan.
  cordlesion.loadModel = async (key, number) => {
    const data = await cordlesion.load(`${key}/${cordlesion.modelKey(number)}`);
    return { data, levels: await cordlesion.unpack(data.levels) };
  };

  // Return the index of the threshold that is nearest to t.
  cordlesion.indexOfThreshold = (t, thresholds) => {
    const distances = thresholds.map((threshold) => Math.abs(threshold - t));
    return distances.indexOf(Math.min(...distances));
  };

  // Return whether a voxel is in the scan; a link may be from another scan with the same name.
  cordlesion.isInside = (place, { shape }) => {
    return place !== undefined && place.every((index, axis) => index >= 0 && index < shape[axis]);
  };

  // Return the first voxel to show: in the largest reference lesion or, without lesions, the most probable prediction.
  cordlesion.firstPlace = (data, models, thresholds) => {
    const [largest] = [...data.lesions].sort((a, b) => b.volume_mm3 - a.volume_mm3);
    if (largest) return largest.place;
    const predicted = models.flatMap((model) => {
      return model.data.predicted[cordlesion.indexOfThreshold(model.data.threshold ?? 1, thresholds)];
    });
    const [first] = predicted.sort((a, b) => b[4] - a[4]);
    return first ? first.slice(0, 3) : data.shape.map((n) => Math.floor(n / 2));
  };
})();
