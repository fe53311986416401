// How a map becomes lesions: a cut has an index for each parameter of the rule, and each parameter has a slider.
"use strict";

(() => {
  // A rule with a second threshold is one more row here; links, sliders and counts are indexed by these names.
  cordlesion.PARAMETERS = {
    t: { label: "Threshold", values: (study) => study.thresholds },
  };

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

  // A threshold with at least two digits; more if a published threshold has more.
  cordlesion.printThreshold = (t) => t.toFixed(Math.max(2, String(t).length - 2));

  // Return the index of the threshold that is nearest to t.
  cordlesion.indexOfThreshold = (t, thresholds) => {
    const distances = thresholds.map((threshold) => Math.abs(threshold - t));
    return distances.indexOf(Math.min(...distances));
  };
})();
