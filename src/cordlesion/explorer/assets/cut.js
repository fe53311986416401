// How a map becomes lesions: a cut has an index for each parameter of the rule, and each parameter has a slider.
"use strict";

(() => {
  // Links, sliders and counts are indexed by these names. A peak is a second threshold, of models with the rule "peak": the
  // highest probability of a lesion must reach it; 0, the first value, keeps every lesion.
  cordlesion.PARAMETERS = {
    t: { label: "Threshold", caption: "how far: threshold", kinds: ["tuned", "published", "peak"], values: (study) => study.thresholds },
    peak: { label: "Peak", caption: "how sure: peak", kinds: ["peak"], values: (study) => study.peaks },
  };

  // Return whether a kind of model has a slider.
  cordlesion.hasParameter = (kind, name) => cordlesion.PARAMETERS[name].kinds.includes(kind);

  cordlesion.sameCut = (one, other) => Object.keys(cordlesion.PARAMETERS).every((name) => one[name] === other[name]);

  // Return a cut with each parameter set to the value that a function returns for its name.
  cordlesion.makeCut = (choose) => Object.fromEntries(Object.keys(cordlesion.PARAMETERS).map((name) => [name, choose(name)]));

  // Return a cut whose parameter is moved by some steps of the slider; with a cohort, to a threshold of its tables.
  cordlesion.moveCut = (cut, parameter, step, study, cohort) => {
    const last = cordlesion.PARAMETERS[parameter].values(study).length - 1;
    const moved = { ...cut, [parameter]: cordlesion.clamp(cut[parameter] + step, 0, last) };
    return cohort ? cohort.cut(cohort.row(moved)) : moved;
  };

  // Return a cut whose parameter is moved by some steps: of the slider or, with a cohort, of the thresholds of its tables.
  cordlesion.stepCut = (cut, parameter, step, study, cohort) => {
    if (!cohort) return cordlesion.moveCut(cut, parameter, step, study);
    return cohort.cut(cordlesion.clamp(cohort.row(cut) + step, 0, cohort.levels.length - 1));
  };

  // A cut of a model of some kind in words.
  cordlesion.printCut = (cut, kind, study) => {
    const t = `t = ${cordlesion.printThreshold(study.thresholds[cut.t])}`;
    return cordlesion.hasParameter(kind, "peak") ? `${t}, peak ${cordlesion.printThreshold(study.peaks[cut.peak])}` : t;
  };

  // A threshold with at least two digits; more if a published threshold has more.
  cordlesion.printThreshold = (t) => t.toFixed(Math.max(2, String(t).length - 2));

  // Return the index of the threshold that is nearest to t.
  cordlesion.indexOfThreshold = (t, thresholds) => {
    const distances = thresholds.map((threshold) => Math.abs(threshold - t));
    return distances.indexOf(Math.min(...distances));
  };
})();
