// What the page shows of all scans: the list, the table, the totals of the set; and the counts that they need.
"use strict";

(() => {
  const SIDES = ["a", "b"];
  const SETTLED_MS = 250; // after the last step of a slider, a list that depends on it is made again
  const find = (id) => document.getElementById(id);

  cordlesion.Board = class {
    // page: {study, state, cohorts, notes, sides} and the callbacks {choose, sort, changed}
    constructor(page) {
      Object.assign(this, page);
      this.numbers = []; // of the listed scans, in order
      this.list = new cordlesion.ScanList(find("scans"), page.choose);
      this.table = new cordlesion.CohortTable(find("table"), page);
    }

    // Load the counts of both models.
    async load() {
      const models = SIDES.map((side) => this.state[side]);
      const cohorts = await Promise.all(models.map((number) => cordlesion.Cohort.load(this.study, number)));
      if (models.some((number, n) => number !== this.state[SIDES[n]])) return; // others were chosen since
      SIDES.forEach((side, n) => (this.cohorts[side] = cohorts[n]));
    }

    // The numbers of all scans of the set.
    get set() {
      return [...this.study.scans.keys()].filter((number) => this.study.scans[number].set === this.state.set);
    }

    // Choose and sort the scans, and draw the list or the table.
    arrange() {
      const { study, state, cohorts, notes } = this;
      this.numbers = cordlesion.listScans(study, state, cohorts, notes);
      if (state.page === "cohort") this.table.draw(this.numbers, study, this.described, notes, state);
      else this.list.draw(this.numbers, study, notes, state.scan);
      this.write();
      this.refresh();
      this.list.showCurrent();
    }

    get described() {
      return SIDES.map((side) => ({ name: side, label: this.sides[side].model.label, cohort: this.cohorts[side] }));
    }

    write() {
      const { state } = this;
      cordlesion.press("[data-set]", ({ set }) => set === state.set);
      find("sort").value = state.sort;
      find("filter").value = state.filter;
      if (document.activeElement !== find("search")) find("search").value = state.query;
    }

    // Say of which model and threshold the counts in the list are: the nearest one that the tables of the study have.
    writeNote(row) {
      const { state, study, cohorts } = this;
      const { label, kind } = study.models[state.a];
      const t = cordlesion.printThreshold(study.thresholds[cohorts.a.levels[row]]);
      const counts = `Counts of ${label}${kind === "mask" ? "" : ` at t = ${t}`}`;
      find("sort-note").textContent = `${this.numbers.length} of ${this.set.length} scans. ${counts}; order at its own threshold.`;
    }

    // Write all counts at the current cuts.
    refresh() {
      const { state, cohorts, sides } = this;
      const rows = SIDES.map((side) => cohorts[side].row(state.cut[side] || cohorts[side].ownCut(state.scan)));
      if (state.page === "cohort") this.table.refresh(rows);
      else this.list.refresh(cohorts.a, rows[0]);
      this.writeNote(rows[0]);
      SIDES.forEach((side, n) => state.cut[side] && sides[side].writeCut(this.totals(side, rows[n]), state.page === "cohort"));
    }

    totals(side, row) {
      const cohort = this.cohorts[side];
      const key = `${this.state.set} ${row}`;
      if (this[`${side}Key`] !== key || this[`${side}Of`] !== cohort) {
        Object.assign(this, { [`${side}Key`]: key, [`${side}Of`]: cohort, [`${side}Totals`]: cohort.totals(this.set, row) });
      }
      return this[`${side}Totals`];
    }

    // The note on a scan has changed.
    noted(scan) {
      const { state, study, notes } = this;
      if (cordlesion.FILTERS[state.filter].ofNotes) this.arrange();
      else this.list.mark(study.scans.indexOf(scan), notes.of(scan));
      this.changed();
    }

    // A slider moved: make the list again when it rests, if it depends on it.
    settle() {
      clearTimeout(this.timer);
      if (!cordlesion.listMoves(this.state)) return;
      this.timer = setTimeout(() => {
        this.arrange();
        this.changed();
      }, SETTLED_MS);
    }

    // Return the number of a scan some steps further in the list; the first one if the current scan is not listed.
    step(step) {
      const current = this.numbers.indexOf(this.state.scan);
      if (current < 0) return this.numbers[0];
      return this.numbers[cordlesion.clamp(current + step, 0, this.numbers.length - 1)];
    }
  };
})();
