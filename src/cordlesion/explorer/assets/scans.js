// The scan that is shown: its files and those of its models, the voxel at which it opens, and what changes with the state.
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

  // Return whether a voxel is in the scan; a link may be from another scan with the same name.
  cordlesion.isInside = (place, { shape }) => {
    return Boolean(place) && place.every((index, axis) => index >= 0 && index < shape[axis]);
  };

  // Return the first voxel to show: in the largest reference lesion or, without lesions, the most probable prediction.
  cordlesion.firstPlace = (data, models, cuts) => {
    const [largest] = [...data.lesions].sort((a, b) => b.volume_mm3 - a.volume_mm3);
    if (largest) return largest.place;
    const predicted = models.flatMap((model, n) => model.data.predicted[cuts[n].t]);
    const [first] = predicted.sort((a, b) => b[4] - a[4]);
    return first ? first.slice(0, 3) : middleOfCord(data);
  };

  // The centre of the cord in the middle slice of the stack.
  function middleOfCord({ stack, shape }) {
    const k = Math.floor(stack.shape[2] / 2);
    const iso = [stack.start_x[k] + stack.shape[0] / 2, stack.start_y[k] + stack.shape[1] / 2, stack.first_slice + k];
    return iso.map((index, axis) => cordlesion.clamp(Math.round((index + 0.5) * stack.step[axis] - 0.5), 0, shape[axis] - 1));
  }

  // Draw what depends on sliders, crosshair and look for the scan that is shown; the overlay only of the painted sides.
  //   shown: {scan, data}
  cordlesion.drawScan = ({ data }, state, sides, painted, pictures) => {
    for (const side of painted) sides[side].paint();
    for (const side of Object.values(sides)) {
      side.writeScan();
      side.writeValue(data);
    }
    const columns = Object.entries(sides).map(([name, { model, data: of }]) => ({ label: model.label, data: of, index: state.cut[name].t }));
    cordlesion.drawLesions(document.getElementById("lesions"), data, columns, state.place, (place) => pictures.goTo(place));
    const [x, y, z] = cordlesion.printedPlace(data.affine, state.place);
    for (const side of Object.values(sides)) side.find(".place").textContent = `x ${x}  y ${y}  z ${z} mm`;
  };
})();
