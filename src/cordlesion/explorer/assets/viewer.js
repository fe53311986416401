// One picture: a scan with its overlay, drawn by NiiVue; sagittal or coronal (or both) on the left, axial on the right.
"use strict";

(() => {
  const { Niivue, NVImage, SLICE_TYPE, DRAG_MODE } = niivue;
  const BYTE = 2; // NIfTI data type of unsigned bytes
  const RGBA = 2304; // NIfTI data type of colours with opacity
  const SMALLEST_AXIAL = 0.5; // share of the width, if available
  const CORD_FIELD_MM = 30; // width and height of the axial slice around the cord
  const FIELD_EDGE_MM = 2; // the crosshair stays this far inside
  const CROSS_GAP = 20; // around the centre of the crosshair, in halves of its width
  const GAP = 6; // pixels between slices
  const LONG_PLANES = { sagittal: ["sagittal"], coronal: ["coronal"], both: ["sagittal", "coronal"] };

  cordlesion.LARGEST_ZOOM = 12;

  cordlesion.Viewer = class {
    // Calls moved(place) after the crosshair moved here, and viewed() after zoom, position or window changed here.
    constructor(canvas, { moved, viewed }) {
      this.canvas = canvas;
      this.frame = null;
      this.plane = "sagittal";
      this.nv = new Niivue({
        isRadiologicalConvention: true,
        sagittalNoseLeft: true,
        isCornerOrientationText: false,
        showAllOrientationMarkers: true,
        fontMinPx: 11,
        fontSizeScaling: 0.15,
        fontColor: [0.85, 0.85, 0.85, 1],
        crosshairColor: [0.35, 0.75, 1, 0.7],
        crosshairWidthUnit: "mm",
        crosshairGap: CROSS_GAP,
        multiplanarShowRender: 0,
        dragAndDropEnabled: false,
        isForceMouseClickToVoxelCenters: true, // places are voxels
        isAntiAlias: false,
        logLevel: "error",
        clipPlaneHotKey: "",
        cycleClipPlaneHotKey: "",
        viewModeHotKey: "",
        loadingText: "",
        mouseEventConfig: {
          leftButton: { primary: DRAG_MODE.crosshair, withShift: DRAG_MODE.pan },
          rightButton: DRAG_MODE.windowing,
          centerButton: DRAG_MODE.pan,
        },
      });
      this.nv.onLocationChange = ({ frac }) => {
        if (this.frame) moved(this.frame.toPlace(this.voxelAt(frac)));
      };
      this.nv.onIntensityChange = viewed;
      this.nv.onVolumeUpdated = () => this.upload();
      for (const event of ["pointerup", "mouseup", "touchend"]) canvas.addEventListener(event, viewed);
      canvas.addEventListener("wheel", (event) => this.zoom(event, viewed), { capture: true, passive: false });
      smoothScanSharpOverlay(this.nv);
      thinCross(this.nv);
      axialAtCord(this);
      this.outline = new cordlesion.Outline(canvas.parentElement.querySelector(".lines"));
      drawOncePerFrame(this);
    }

    async start() {
      await this.nv.attachToCanvas(this.canvas, false);
      new ResizeObserver(() => this.frame && this.arrange()).observe(this.canvas.parentElement);
    }

    // Show a frame without overlay; in the view of the cord, the axial slice shows the surroundings of the cord only.
    async open(frame, [low, high], isAtCord) {
      this.lines = null; // those of the former frame
      const bytes = NVImage.createNiftiArray(frame.shape, frame.spacing, frame.affine.flat(), BYTE, frame.image);
      const image = await NVImage.new(bytes.buffer, "scan.nii", "gray", 1, null, low, high);
      const overlay = image.clone();
      this.colors = new Uint32Array(frame.image.length);
      this.bytes = new Uint8Array(this.colors.buffer);
      Object.assign(overlay, { hdr: { ...overlay.hdr, datatypeCode: RGBA, numBitsPerVoxel: 32 }, img: this.bytes });
      this.frame = null; // events of the removed volumes do not belong to the new frame
      replaceVolumes(this.nv, [image, overlay]);
      this.frame = frame;
      this.isAtCord = isAtCord;
      this.arrange();
    }

    // Update the colours of the overlay; nothing else changes when the slider moves.
    paint(levels, cut, look) {
      cordlesion.paint(this.colors, this.frame, levels, cut, look);
      this.lines = look.outline && look.show !== "scan" ? () => this.outline.draw(this, levels, cut, look) : null;
      this.upload();
      this.drawNow();
    }

    // Copy the colours to the graphics card in one call; NiiVue would draw the overlay into its texture slice by slice.
    upload() {
      if (!this.frame) return;
      const { gl, overlayTexture } = this.nv;
      gl.activeTexture(gl.TEXTURE2); // the texture of overlays in NiiVue
      gl.bindTexture(gl.TEXTURE_3D, overlayTexture);
      gl.texSubImage3D(gl.TEXTURE_3D, 0, 0, 0, 0, ...this.frame.shape, gl.RGBA, gl.UNSIGNED_BYTE, this.bytes);
    }

    // Move the crosshair to a voxel of the scan.
    goTo(place) {
      const { shape } = this.frame;
      const frac = this.frame.toVoxel(place).map((index, axis) => (cordlesion.clamp(index, 0, shape[axis] - 1) + 0.5) / shape[axis]);
      frac[0] = 1 - frac[0]; // NiiVue counts from left to right
      this.nv.scene.crosshairPos = Float32Array.from(frac);
      this.nv.drawScene();
    }

    // The voxel of the frame at the crosshair.
    get cross() {
      return this.voxelAt(this.nv.scene.crosshairPos);
    }

    // The number of this voxel in arrays of the frame.
    get crossIndex() {
      const [x, y, z] = this.cross;
      return x + this.frame.shape[0] * (y + this.frame.shape[1] * z);
    }

    get pan() {
      return Array.from(this.nv.scene.pan2Dxyzmm);
    }

    set pan(values) {
      this.nv.scene.pan2Dxyzmm = Float32Array.from(values);
      this.nv.drawScene();
    }

    get window() {
      const [{ cal_min: low, cal_max: high }] = this.nv.volumes;
      return [low, high];
    }

    set window([low, high]) {
      const [image] = this.nv.volumes;
      if (image.cal_min === low && image.cal_max === high) return;
      image.cal_min = low;
      image.cal_max = high;
      this.nv.updateGLVolume();
    }

    voxelAt(frac) {
      const { shape } = this.frame;
      const fractions = [1 - frac[0], frac[1], frac[2]];
      return fractions.map((share, axis) => cordlesion.clamp(Math.floor(share * shape[axis]), 0, shape[axis] - 1));
    }

    zoom(event, viewed) {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (!this.frame) return;
      const [x, y, z, scale] = this.pan;
      const next = cordlesion.clamp(scale * (event.deltaY < 0 ? 1.15 : 1 / 1.15), 1, cordlesion.LARGEST_ZOOM);
      const at = this.toMm(Array.from(this.nv.scene.crosshairPos));
      // NiiVue zooms about the origin of the coordinates; moved by this, the crosshair stays where it is.
      this.pan = next === 1 ? [0, 0, 0, 1] : [...[x, y, z].map((value, axis) => value + at[axis] * (scale - next)), next];
      viewed();
    }

    // Return the coordinates in NiiVue's picture, in millimetres, of a fraction of the frame.
    toMm(frac) {
      const matrix = this.nv.volumes[0].frac2mmOrtho;
      return [0, 1, 2].map((row) => frac.reduce((sum, value, axis) => sum + value * matrix[4 * axis + row], matrix[12 + row]));
    }

    show(plane) {
      this.plane = plane;
      if (this.frame) this.arrange();
    }

    // Give each slice the width that it needs at the full height, the axial slice at least half of what there is.
    arrange() {
      const { clientWidth: width, clientHeight: height } = this.canvas;
      if (!width || !height) return; // hidden
      const [left, anterior, superior] = this.frame.shape.map((n, axis) => n * this.frame.spacing[axis]);
      const names = LONG_PLANES[this.plane];
      const free = width - GAP * names.length;
      const long = names.map((name) => (height / superior) * { sagittal: anterior, coronal: left }[name]);
      const needed = long.reduce((sum, one) => sum + one, 0);
      const fit = this.isAtCord ? height : (height / anterior) * left;
      const axial = Math.min(fit, Math.max(free - needed, free * SMALLEST_AXIAL));
      const share = Math.min(1, (free - axial) / needed);
      this.place([...names, "axial"], [...long.map((one) => one * share), axial]);
    }

    // Put slices of the given widths side by side, with equal margins.
    place(names, widths) {
      const { clientWidth: width, dataset } = this.canvas;
      const margin = (width - widths.reduce((sum, one) => sum + one, 0)) / (widths.length + 1);
      for (const name of ["sagittal", "coronal", "axial"]) delete dataset[name];
      let start = margin;
      const layout = names.map((name, n) => {
        dataset[name] = [start, widths[n]]; // pixels
        const tile = { sliceType: SLICE_TYPE[name.toUpperCase()], position: [start / width, 0, widths[n] / width, 1] };
        start += widths[n] + margin;
        return tile;
      });
      this.nv.setCustomLayout(layout);
    }
  };

  // NiiVue draws at every change and waits for the graphics card; here it draws once per frame of the screen, and the
  // outlines above. drawNow() does not wait for the next frame.
  function drawOncePerFrame(viewer) {
    const draw = viewer.nv.drawScene.bind(viewer.nv);
    let request = 0;
    let isDrawn = false;
    viewer.nv.drawScene = () => (request ||= requestAnimationFrame(viewer.drawNow));
    viewer.drawNow = () => {
      cancelAnimationFrame(request);
      request = 0;
      draw();
      if (viewer.lines && viewer.frame) viewer.lines();
      else if (isDrawn) viewer.outline.clear();
      isDrawn = Boolean(viewer.lines);
    };
  }

  // Replace all volumes. NiiVue would compute its textures again for each that is removed or added.
  function replaceVolumes(nv, volumes) {
    nv.updateGLVolume = () => {};
    while (nv.volumes.length) nv.removeVolumeByIndex(nv.volumes.length - 1);
    for (const volume of volumes) nv.addVolume(volume);
    delete nv.updateGLVolume; // the own method again
    nv.updateGLVolume();
  }

  // NiiVue fits every slice as a whole into its place; here the axial slice shows a square around the cord.
  function axialAtCord(viewer) {
    const { nv } = viewer;
    const field = nv.screenFieldOfViewExtendedVox.bind(nv);
    const size = nv.calculateWidthHeight.bind(nv);
    const isZoomed = (slice) => slice === SLICE_TYPE.AXIAL && viewer.isAtCord && viewer.frame;
    nv.screenFieldOfViewExtendedVox = (slice) => {
      const whole = field(slice);
      return isZoomed(slice) ? aroundCord(viewer, whole) : whole;
    };
    nv.calculateWidthHeight = (slice, scale, width, height) => {
      if (!isZoomed(slice)) return size(slice, scale, width, height);
      const edge = Math.min(width, height);
      return [edge, edge];
    };
  }

  function aroundCord(viewer, whole) {
    const { frame, nv } = viewer;
    const [x, y] = frame.cordCentre(viewer.cross);
    const centre = viewer.toMm([1 - (x + 0.5) / frame.shape[0], (y + 0.5) / frame.shape[1], nv.scene.crosshairPos[2]]);
    const at = viewer.toMm(Array.from(nv.scene.crosshairPos));
    const reach = CORD_FIELD_MM / 2 - FIELD_EDGE_MM;
    for (const axis of [0, 1]) {
      const middle = cordlesion.clamp(centre[axis], at[axis] - reach, at[axis] + reach);
      whole.mnMM[axis] = middle - CORD_FIELD_MM / 2;
      whole.mxMM[axis] = middle + CORD_FIELD_MM / 2;
      whole.fovMM[axis] = CORD_FIELD_MM;
    }
    return whole;
  }

  // In NiiVue the crosshairs of all slices have one width in millimetres; here it is one pixel, at any zoom.
  function thinCross(nv) {
    const draw = nv.drawCrosshairs3D.bind(nv);
    const kept = {}; // by slice: {width, cross}
    nv.drawCrosshairs3D = (...how) => {
      const { axCorSag, fovMM, leftTopWidthHeight } = nv.screenSlices.at(-1);
      const width = (Math.abs(fovMM[0]) / leftTopWidthHeight[2]) * window.devicePixelRatio;
      nv.crosshairs3D = kept[axCorSag]?.cross ?? null;
      if (nv.crosshairs3D && kept[axCorSag].width !== width) nv.crosshairs3D.mm[0] = NaN;  // forces NiiVue to create it again
      nv.opts.crosshairWidth = width;
      draw(...how);
      kept[axCorSag] = { width, cross: nv.crosshairs3D };
    };
  }

  // NiiVue interpolates all layers or none; here the scan is smooth and the overlay shows single voxels.
  function smoothScanSharpOverlay(nv) {
    const update = nv.updateInterpolation.bind(nv);
    nv.updateInterpolation = (layer, isForceLinear) => {
      nv.opts.isNearestInterpolation = layer > 0;
      update(layer, isForceLinear);
    };
  }
})();
