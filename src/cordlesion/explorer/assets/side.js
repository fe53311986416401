// One side of the page: a model, its picture, its slider with the curve above it, and its metrics.
"use strict";

(() => {
  cordlesion.Side = class {
    // page: {study, state} and the callbacks {chooseModel, setThreshold, activate, moved, viewed}
    constructor(name, page) {
      this.name = name;
      this.page = page;
      this.section = document.querySelector(`[data-side="${name}"]`);
      this.section.append(document.getElementById("side").content.cloneNode(true));
      this.select = this.find("select");
      this.input = this.find("input");
      this.chart = new cordlesion.Chart(this.find(".chart"));
      this.viewer = new cordlesion.Viewer(this.find("canvas"), {
        moved: page.moved,
        viewed: () => page.viewed(this),
      });
      this.select.setAttribute("aria-label", name === "a" ? "Left model" : "Right model");
      for (const model of page.study.models) this.select.append(new Option(model.label));
      this.listen();
    }

    listen() {
      const { page, name } = this;
      const activate = () => page.activate(name);
      this.select.addEventListener("change", () => page.chooseModel(name, this.select.selectedIndex));
      this.input.addEventListener("input", () => page.setThreshold(name, Number(this.input.value)));
      this.section.addEventListener("pointerdown", activate);
      this.section.addEventListener("focusin", activate);
      this.find(".tuned").addEventListener("click", () => page.setThreshold(name, this.tuned));
      new ResizeObserver(() => this.data && this.drawChart()).observe(this.find(".chart"));
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

    // Index of the threshold of the slider.
    get level() {
      return this.page.state.thresholdIndex[this.name];
    }

    // Index of the own threshold of the model; for a mask, which has none, that of 1: all its voxels reach it.
    get tuned() {
      return cordlesion.indexOfThreshold(this.data.threshold ?? 1, this.page.study.thresholds);
    }

    // Show the results of the model for a scan.
    take({ data, levels }, scanName) {
      this.data = data;
      this.part = levels;
      this.input.disabled = this.isMask;
      this.input.max = this.page.study.thresholds.length - 1;
      this.section.classList.toggle("mask", this.isMask);
      this.find(".tuned").disabled = this.isMask;
      this.find(".tuned").textContent = this.isMask ? "no threshold" : `${this.model.kind} t = ${printed(data.threshold)}`;
      this.input.setAttribute("aria-label", `Threshold of ${this.model.label}`);
      this.viewer.canvas.setAttribute("aria-label", `${scanName} with the segmentation of ${this.model.label}`);
      this.fill();
      this.drawChart();
    }

    // Copy the levels to the frame of the picture.
    fill() {
      this.levels = this.viewer.frame.fill(this.part);
    }

    drawChart() {
      const tuned = this.isMask ? null : this.tuned;
      this.chart.draw(this.data.metrics, this.page.study.thresholds, tuned, this.find(".chart").clientWidth);
      this.chart.move(this.level);
    }

    paint() {
      const { show, hidden } = this.page.state;
      this.viewer.paint(this.levels, this.level, { show, hidden, thresholds: this.page.study.thresholds });
    }

    // Show all metrics at the threshold of the slider.
    write() {
      const { metrics } = this.data;
      const t = printed(this.page.study.thresholds[this.level]);
      this.input.value = this.level;
      this.input.setAttribute("aria-valuetext", `t = ${t}, voxel F1 ${cordlesion.format(metrics.voxel_f1[this.level])}`);
      this.find("output").textContent = this.isMask ? "a mask" : `t = ${t}`;
      for (const cell of this.section.querySelectorAll("[data-metric]")) {
        const value = metrics[cell.dataset.metric][this.level];
        cell.textContent = cordlesion.format(value);
        cell.dataset.value = value;
      }
      this.find(".counts.voxels").textContent = describeVolumes(metrics, this.level);
      this.find(".counts.lesions").textContent = describeCounts(metrics, this.level);
      this.chart.move(this.level);
    }
  };

  function describeVolumes(metrics, n) {
    return `${metrics.predicted_volume_mm3[n].toFixed(0)} mm³, reference ${metrics.reference_volume_mm3[n].toFixed(0)} mm³`;
  }

  function describeCounts(metrics, n) {
    const wrong = metrics.n_predicted_lesions[n] - metrics.n_true_predicted_lesions[n];
    const detected = `${metrics.n_detected_lesions[n]} of ${metrics.n_reference_lesions[n]} detected`;
    return `${detected}, ${wrong} of ${metrics.n_predicted_lesions[n]} false`;
  }

  // At least two digits; more if a published threshold has more.
  function printed(t) {
    return t.toFixed(Math.max(2, String(t).length - 2));
  }
})();
