// Both pictures move together: crosshair, zoom, position, brightness and planes.
"use strict";

(() => {
  cordlesion.INITIAL_PAN = [0, 0, 0, 1]; // position and zoom

  cordlesion.Pictures = class {
    // sides: both sides, filled later; update(): shows a moved crosshair; changed(): zoom, position or brightness changed
    constructor(state, sides, { update, changed }) {
      Object.assign(this, { state, sides, update, changed });
    }

    get all() {
      return Object.values(this.sides);
    }

    // Move the crosshair of both pictures.
    goTo(place) {
      this.state.place = place;
      for (const { viewer } of this.all) viewer.goTo(place);
      this.update();
    }

    // The user changed zoom, position or brightness of one picture.
    viewed(source) {
      if (!this.all.every(({ viewer }) => viewer.frame)) return; // a scan is being opened
      this.look(source.viewer.pan, source.viewer.window, source);
      this.changed();
    }

    look(pan, range, source) {
      Object.assign(this.state, { pan, window: range });
      for (const side of this.all) {
        if (side === source) continue;
        side.viewer.window = range;
        side.viewer.pan = pan;
        side.viewer.goTo(this.state.place);
      }
    }

    choosePlane(plane) {
      this.state.plane = plane;
      for (const { viewer } of this.all) viewer.show(plane);
      this.update();
    }
  };
})();
