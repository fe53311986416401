// The scores of one model on all scans, at the thresholds of the study's tables (see cohort.py).
"use strict";

(() => {
  const UNDEFINED = 65535;
  const F1_STEPS = 10000;

  cordlesion.Cohort = class {
    // Load the counts of a model.
    static async load(study, number) {
      const { levels, own, ...packed } = await cordlesion.load(`cohort/${cordlesion.modelKey(number)}`);
      const cohort = new cordlesion.Cohort();
      const names = Object.keys(packed);
      const parts = await Promise.all(names.map((name) => cordlesion.unpack(packed[name])));
      const values = Object.fromEntries(names.map((name, n) => [name, parts[n].values]));
      return Object.assign(cohort, { levels, own, values, thresholds: study.thresholds, scans: study.scans });
    }

    // Return the row of the tried threshold that is nearest to the threshold of a cut.
    row({ t }) {
      return cordlesion.indexOfThreshold(this.thresholds[t], this.levels.map((level) => this.thresholds[level]));
    }

    // Return the cut with the threshold of a row.
    cut(row) {
      return { t: this.levels[row] };
    }

    // Return the cut that is tuned (or published) for a scan.
    ownCut(scan) {
      return { t: this.own[scan] };
    }

    // Return the scores of a scan, by its number in the study. It is lesion-free if no voxel of its reference is lesion;
    // lesions below the minimum volume of the rule are not counted.
    score(scan, row) {
      const at = scan * this.levels.length + row;
      const [reference, detected, predicted, confirmed] = ["reference", "detected", "predicted", "confirmed"].map((name) => this.values[name][at]);
      const [voxel_f1, lesion_f1] = ["voxel_f1", "lesion_f1"].map((name) => share(this.values[name][at]));
      const isFree = !this.scans[scan].volume_mm3;
      return { reference, isFree, tp: detected, fn: reference - detected, fp: predicted - confirmed, predicted, voxel_f1, lesion_f1 };
    }

    ownScore(scan) {
      return this.score(scan, this.row(this.ownCut(scan)));
    }

    // Return sums of counts and means of defined scores of several scans.
    totals(scans, row) {
      const scores = scans.map((scan) => this.score(scan, row));
      const sum = (name) => scores.reduce((total, score) => total + score[name], 0);
      const free = scores.filter((score) => score.isFree);
      const [reference, tp, fn, fp] = ["reference", "tp", "fn", "fp"].map(sum);
      return {
        ...{ scans: scans.length, reference, tp, fn, fp },
        sensitivity: reference ? tp / reference : null,
        fpPerScan: scans.length ? fp / scans.length : null,
        free: free.length,
        clean: free.filter((score) => !score.fp).length,
        voxel_f1: mean(scores.map((score) => score.voxel_f1)),
        lesion_f1: mean(scores.map((score) => score.lesion_f1)),
      };
    }

    // Return the totals at each row.
    curve(scans) {
      return this.levels.map((_, row) => this.totals(scans, row));
    }
  };

  function share(value) {
    return value === UNDEFINED ? null : value / F1_STEPS;
  }

  function mean(values) {
    const defined = values.filter((value) => value !== null);
    return defined.length ? defined.reduce((sum, value) => sum + value, 0) / defined.length : null;
  }
})();
