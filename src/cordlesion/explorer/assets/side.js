// One side of the page: a model, its picture, its sliders with the curve above, its metrics and the totals of the set.
"use strict";

(() => {
  const STEPS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };

  cordlesion.Side = class {
    // page: {study, state, cohorts} and the callbacks {chooseModel, setCut, stepCut, reset, activate, moved, viewed}
    constructor(name, page) {
      this.name = name;
      this.page = page;
      this.section = document.querySelector(`[data-side="${name}"]`);
      this.section.append(document.getElementById("side").content.cloneNode(true));
      this.select = this.find("select");
      this.chart = new cordlesion.Chart(this.find(".chart"));
      this.froc = new cordlesion.Froc(this.find(".froc"));
      this.viewer = new cordlesion.Viewer(this.find("canvas"), {
        moved: page.moved,
        viewed: () => page.viewed(this),
      });
      this.inputs = this.makeInputs();
      this.select.setAttribute("aria-label", name === "a" ? "Left model" : "Right model");
      for (const model of page.study.models) this.select.append(new Option(model.label));
      this.listen();
    }

    // Make a slider for each parameter.
    makeInputs() {
      const { study } = this.page;
      return Object.entries(cordlesion.PARAMETERS).map(([parameter, { values }]) => {
        const input = cordlesion.make("input", { type: "range", min: 0, max: values(study).length - 1, step: 1 });
        input.dataset.parameter = parameter;
        input.addEventListener("input", () => this.page.setCut(this.name, parameter, Number(input.value)));
        input.addEventListener("keydown", (event) => this.step(event, parameter));
        return [parameter, input];
      });
    }

    // An arrow key moves the slider to the next threshold; the browser's own step may be too short to reach one.
    step(event, parameter) {
      const step = STEPS[event.key];
      if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.page.stepCut(this.name, parameter, step);
    }

    listen() {
      const { page, name } = this;
      const activate = () => page.activate(name);
      this.select.addEventListener("change", () => page.chooseModel(name, this.select.selectedIndex));
      this.section.addEventListener("pointerdown", activate);
      this.section.addEventListener("focusin", activate);
      this.find(".tuned").addEventListener("click", () => page.reset(name));
      new ResizeObserver(() => this.cut && this.drawn && this.drawn()).observe(this.find(".cut"));
    }

    find(selector) {
      return this.section.querySelector(selector);
    }

    get model() {
      return this.page.study.models[this.page.state[this.name]];
    }

    get isMask() {
      return this.model.kind === "mask";
    }

    // Whether the model has a slider for a parameter.
    has(parameter) {
      return cordlesion.hasParameter(this.model.kind, parameter);
    }

    // The number of the result that is shown, in the lists of the scan.
    get index() {
      return cordlesion.resultAt(this.data, this.cut);
    }

    get cut() {
      return this.page.state.cut[this.name];
    }

    get cohort() {
      return this.page.cohorts[this.name];
    }

    get ownCut() {
      return this.cohort.ownCut(this.page.state.scan);
    }

    // The row of the study's tables that is nearest to the cut.
    get row() {
      return this.cohort.row(this.cut);
    }

    // Show a model: its name, its own threshold, its sliders.
    takeModel() {
      const { study } = this.page;
      this.drawn = null; // the charts are those of another model or page
      this.section.classList.toggle("mask", this.isMask);
      this.find(".tuned").disabled = this.isMask;
      this.find(".tuned").textContent = this.isMask ? "no threshold" : this.describeOwn(study);
      this.placeSliders();
      for (const [parameter, input] of this.inputs) {
        input.disabled = !this.has(parameter);
        input.setAttribute("aria-label", `${cordlesion.PARAMETERS[parameter].label} of ${this.model.label}`);
      }
    }

    // Name the model's own threshold; with a second one in few words, since the button is narrow.
    describeOwn(study) {
      const { t, peak } = this.ownCut;
      const own = cordlesion.printThreshold(study.thresholds[t]);
      if (this.has("peak")) return `tuned ${own}, ${cordlesion.printThreshold(study.peaks[peak])}`;
      return `${this.model.kind} t = ${own}`;
    }

    // Show the sliders of the model; where there are several, with what each is for.
    placeSliders() {
      const inputs = this.inputs.filter(([parameter]) => parameter === "t" || this.has(parameter));
      const caption = ([parameter]) => cordlesion.make("span", { className: "caption" }, cordlesion.PARAMETERS[parameter].caption);
      const parts = inputs.flatMap((one) => (inputs.length > 1 ? [caption(one), one[1]] : [one[1]]));
      this.find(".sliders").replaceChildren(...parts);
    }

    // Show the results of the model for a scan.
    takeScan({ data, levels, highest }, scanName) {
      this.data = data;
      this.highest = highest;
      this.part = levels;
      this.viewer.canvas.setAttribute("aria-label", `${scanName} with the segmentation of ${this.model.label}`);
      this.levels = this.viewer.frame.fill(this.part);
      this.ofSet = false; // whether the charts are those of all scans
      this.draw(() => cordlesion.scanCurves(cordlesion.metricsAlong(this.data, this.cut)));
    }

    // Show the results of the model for all scans of the set, given by their numbers.
    takeSet(scans) {
      this.ofSet = true;
      const curve = this.cohort.curve(scans);
      const owns = new Set(scans.map((scan) => this.cohort.own[scan]));
      const own = owns.size === 1 ? this.cohort.row(this.cohort.ownCut(scans[0])) : null;
      this.draw(() => cordlesion.setCurves(curve, this.cohort.levels, this.page.study.thresholds.length), () => this.froc.draw(curve, own));
    }

    // Draw the charts, now and whenever their size changes.
    draw(curves, more = () => {}) {
      this.drawn = () => {
        this.chart.draw(curves(), this.page.study.thresholds, this.isMask ? null : this.ownCut.t, this.find(".chart").clientWidth);
        more();
        this.moveCharts();
      };
      this.drawn();
    }

    moveCharts() {
      if (!this.drawn || !this.cut) return; // a link is being followed
      this.chart.move(this.cut.t, this.ofSet ? this.cohort.levels[this.row] : this.cut.t);
      if (this.ofSet) this.froc.move(this.row);
    }

    paint() {
      const { show, hidden, outline, opacity } = this.page.state;
      const { thresholds } = this.page.study;
      const { levels, t } = this.kept;
      this.viewer.paint(levels, { t }, { show, hidden, outline, opacity, thresholds });
      if (this.data.rows && this.drawnPeak !== this.cut.peak) this.drawn(); // the curves are those of another peak
      this.drawnPeak = this.cut.peak;
    }

    // The levels of the lesions that reach the peak, and the level from which on voxels are lesion.
    get kept() {
      const { thresholds, peaks, connectivity } = this.page.study;
      const { t, peak } = this.cut;
      if (!this.data.rows || peaks[peak] <= thresholds[t]) return { levels: this.levels, t };
      const kept = cordlesion.keepPeaks(this.part, this.highest, t, thresholds.indexOf(peaks[peak]), connectivity);
      return { levels: this.viewer.frame.fill({ ...this.part, values: kept.values }), t: kept.t };
    }

    // Show the position of the sliders, and the totals of the set.
    writeCut(totals, isWhole) {
      const { study } = this.page;
      const cut = cordlesion.printCut(this.cut, this.model.kind, study);
      for (const [parameter, input] of this.inputs) {
        input.value = this.cut[parameter];
        input.setAttribute("aria-valuetext", `${cut}, ${totals.tp} of ${totals.reference} lesions of the set found`);
      }
      this.find("output").textContent = this.isMask ? "a mask" : cut;
      const at = this.isMask ? "" : ` at ${cordlesion.printCut(this.cohort.cut(this.row), this.model.kind, study)}`;
      const set = `${cordlesion.capitalized(this.page.state.set)} set`;
      this.find(".set-name").textContent = isWhole ? `${set}, ${totals.scans} scans${at}` : `${set}${at}:`;
      this.find(".set-counts").textContent = isWhole ? "" : describeTotals(totals);
      if (isWhole) writeFigures(this.section, totals);
      this.moveCharts();
    }

    // Show all metrics of the scan at the threshold of the slider.
    writeScan() {
      const { metrics } = this.data;
      for (const cell of this.section.querySelectorAll("[data-metric]")) {
        const value = metrics[cell.dataset.metric][this.index];
        cell.textContent = cordlesion.format(value);
        cell.dataset.value = value;
      }
      this.find(".counts.voxels").textContent = describeVolumes(metrics, this.index);
      this.find(".counts.lesions").textContent = describeCounts(metrics, this.index);
    }

    // Show intensity and probability at the crosshair.
    writeValue({ intensities: [low, high] }) {
      const { frame, crossIndex } = this.viewer;
      const grey = frame.image[crossIndex];
      const sign = grey === 0 ? "≤" : grey === 255 ? "≥" : "≈";
      const intensity = `intensity ${sign} ${(low + (grey / 255) * (high - low)).toPrecision(3)}`;
      this.find(".value").textContent = `${intensity}  ${this.describeProbability(this.levels[crossIndex])}`;
    }

    describeProbability(level) {
      const { thresholds } = this.page.study;
      if (this.isMask) return level ? "in the mask" : "outside the mask";
      return level ? `p ${cordlesion.printThreshold(thresholds[level])}` : `p < ${cordlesion.printThreshold(thresholds[1])}`;
    }
  };

  function describeVolumes(metrics, n) {
    return `${metrics.predicted_volume_mm3[n].toFixed(0)} mm³, reference ${metrics.reference_volume_mm3[n].toFixed(0)} mm³`;
  }

  function describeCounts(metrics, n) {
    const wrong = metrics.n_predicted_lesions[n] - metrics.n_true_predicted_lesions[n];
    const [found, all] = [metrics.n_detected_lesions[n], metrics.n_reference_lesions[n]];
    return `TP ${found} of ${all}, FN ${all - found}, FP ${wrong} of ${metrics.n_predicted_lesions[n]} predicted`;
  }

  function describeTotals({ tp, reference, fpPerScan }) {
    return `TP ${tp} of ${reference} · FP ${fpPerScan.toFixed(2)}/scan`;
  }

  function writeFigures(section, totals) {
    const share = totals.reference ? ` (${Math.round(100 * totals.sensitivity)} %)` : "";
    const texts = {
      tp: `${totals.tp}/${totals.reference}${share}`,
      fn: String(totals.fn),
      fp: `${totals.fpPerScan.toFixed(2)}/scan (${totals.fp})`,
      clean: totals.free ? `${totals.clean}/${totals.free}` : "–",
      f1: `${cordlesion.format(totals.voxel_f1)} · ${cordlesion.format(totals.lesion_f1)}`,
    };
    for (const cell of section.querySelectorAll("[data-total]")) cordlesion.setText(cell, texts[cell.dataset.total]);
  }
})();
